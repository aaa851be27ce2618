//! A cluster whose one broker answers a request for metadata.

use super::ask::{name, text};
use super::write::encode;
use crate::gate::wire;
use kafka_protocol::messages::metadata_response::{
    MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{ApiKey, MetadataResponse};
use kafka_protocol::records::RecordBatchDecoder;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::*;
use crate::gate::Request as Asked;

/// Answers one question about metadata with one partition.
async fn broker(leader: i32) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its number").to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let frame = wire::read(&mut stream).await.expect("a request").expect("a frame");
        let asked = Asked::of(frame).expect("a header");
        assert!(asked.is(ApiKey::Metadata));
        let partition = MetadataResponsePartition::default()
            .with_partition_index(2)
            .with_leader_id(BrokerId(leader))
            .with_replica_nodes([1, 2, 3].map(BrokerId).to_vec())
            .with_isr_nodes([1, 3].map(BrokerId).to_vec());
        let topic = MetadataResponseTopic::default()
            .with_name(Some(name("order.events")))
            .with_partitions(vec![partition]);
        let answer = asked.response(&MetadataResponse::default().with_topics(vec![topic]));
        stream.write_all(&answer.expect("an answer")).await.expect("the client reads");
    });
    address
}

#[tokio::test]
async fn leader_is_told_by_the_first_broker_that_answers() {
    let cluster = Cluster::at(&format!("127.0.0.1:1,{}", broker(3).await));
    assert_eq!(cluster.leader("order.events", 2).await.expect("a leader"), 3);
}

#[tokio::test]
async fn partition_without_a_leader_is_an_error_that_names_it() {
    let cluster = Cluster::at(&broker(-1).await);
    let error = cluster.leader("order.events", 2).await.expect_err("there is none").to_string();
    assert!(error.contains("order.events[2]"), "{error}");
}

#[tokio::test]
async fn replica_that_is_not_in_sync_in_time_is_named() {
    let cluster = Cluster::at(&broker(1).await);
    let error = cluster.in_sync(Duration::ZERO).await.expect_err("one is missing").to_string();
    assert!(error.contains("in_sync: [1, 3]"), "{error}");
}

#[test]
fn record_keeps_its_timestamp_and_headers() {
    let headers = [("ce_id".to_owned(), b"7".to_vec())];
    let given = RawRecord { key: "order-1", value: b"value", headers: &headers };
    let batch = encode(&given, 4_102_444_800_000).expect("a batch");
    let read = RecordBatchDecoder::decode(&mut batch.clone()).expect("records");
    let [record] = &read.records[..] else { panic!("not one record: {read:?}") };
    assert_eq!(record.timestamp, 4_102_444_800_000);
    assert_eq!(
        (record.key.as_deref(), record.value.as_deref()),
        (Some(&b"order-1"[..]), Some(&b"value"[..]))
    );
    assert_eq!(record.headers[&text("ce_id")].as_deref(), Some(&b"7"[..]));
}

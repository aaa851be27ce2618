//! A cluster whose one broker answers a request for metadata.

use super::ask::{name, text};
use super::write::encode;
use crate::gate::wire;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
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
    let address = listener.local_addr().expect("its number");
    let port = address.port();
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
        // This broker is number 7. The other one, at another port, is number 0.
        let brokers = [(7, i32::from(port)), (0, 9093)].map(|(id, port)| {
            MetadataResponseBroker::default().with_node_id(BrokerId(id)).with_port(port)
        });
        let answer = MetadataResponse::default().with_topics(vec![topic]);
        let answer = asked.response(&answer.with_brokers(brokers.to_vec()));
        stream.write_all(&answer.expect("an answer")).await.expect("the client reads");
    });
    address.to_string()
}

#[tokio::test]
async fn leader_is_named_by_the_first_broker_that_answers() {
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

#[tokio::test]
async fn brokers_are_numbered_as_they_advertise_themselves() {
    let clients = format!("{},127.0.0.1:9093", broker(1).await);
    let internal = Cluster::at("a:1,b:1").numbered_by(&clients).await.expect("all are known");
    assert_eq!(internal.position(7).expect("the first"), 1);
    assert_eq!(internal.position(0).expect("the second"), 2);
    let error = internal.position(1).expect_err("no broker has it").to_string();
    assert!(error.contains("number 1"), "{error}");
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

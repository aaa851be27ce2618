//! Writes one record whose timestamp the caller chooses, which no client of Millrace can do.

use anyhow::Context as _;
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::records::{
    Compression, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, Record,
    RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};

use super::Cluster;
use super::ask::{ASK_MAX, ask_one, check, name, text};

/// A record to write.
#[derive(Clone, Copy, Debug)]
pub struct RawRecord<'a> {
    /// Its key.
    pub key: &'a str,
    /// Its value.
    pub value: &'a [u8],
    /// Its headers.
    pub headers: &'a [(String, Vec<u8>)],
}

impl Cluster {
    /// Writes one record with the timestamp `timestamp_ms`, acknowledged by all replicas. Returns
    /// whether the broker kept that timestamp, and did not replace it by its own.
    ///
    /// # Errors
    /// When the partition's leader refuses it.
    pub async fn write(
        &self,
        topic: &str,
        partition: i32,
        record: &RawRecord<'_>,
        timestamp_ms: i64,
    ) -> anyhow::Result<bool> {
        let batch = encode(record, timestamp_ms)?;
        let data = PartitionProduceData::default().with_index(partition).with_records(Some(batch));
        let data =
            TopicProduceData::default().with_name(name(topic)).with_partition_data(vec![data]);
        let timeout_ms = i32::try_from(ASK_MAX.as_millis())?;
        let request = ProduceRequest::default()
            .with_acks(-1)
            .with_timeout_ms(timeout_ms)
            .with_topic_data(vec![data]);
        let leader = self.leader(topic, partition).await?;
        let found = self.brokers.iter().find(|(id, _)| *id == leader);
        let (_, address) = found.context("the leader is no broker of the stack")?;
        let answer = ask_one(address, 7, &request).await?;
        let mut written = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
        let written = written.next().context("the answer names no partition")?;
        check(written.error_code).with_context(|| format!("writing to {topic}[{partition}]"))?;
        Ok(written.log_append_time_ms < 0)
    }
}

pub(super) fn encode(record: &RawRecord<'_>, timestamp_ms: i64) -> anyhow::Result<Bytes> {
    let header = |(name, value): &(String, Vec<u8>)| (text(name), Some(Bytes::from(value.clone())));
    let record = Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
        producer_id: NO_PRODUCER_ID,
        producer_epoch: NO_PRODUCER_EPOCH,
        timestamp_type: TimestampType::Creation,
        offset: 0,
        sequence: NO_SEQUENCE,
        timestamp: timestamp_ms,
        key: Some(Bytes::copy_from_slice(record.key.as_bytes())),
        value: Some(Bytes::copy_from_slice(record.value)),
        headers: record.headers.iter().map(header).collect(),
    };
    let mut batch = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut batch, &[record], &options)?;
    Ok(batch.freeze())
}

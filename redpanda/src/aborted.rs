//! Writes records in a transaction and aborts it, for the fault tests, which prove that no reader
//! of committed records acts on them. No service calls it.

use std::time::Duration;

use bytes::Bytes;
use rdkafka::{
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
};

use crate::{
    brokers::Brokers,
    client::{fatal, retriable},
    log::{Headers, LogError, TopicPartition},
};

/// The deadline of each call.
const CALL_MAX: Duration = Duration::from_secs(10);

/// A record of the aborted transaction.
pub struct Aborted {
    /// The partition that it is written to.
    pub partition: TopicPartition,
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: Bytes,
    /// Its headers.
    pub headers: Headers,
}

/// Writes `records` in one transaction of `transactional_id`, and aborts it after the broker has
/// acknowledged all of them. Blocks.
///
/// # Errors
/// If the broker does not answer in time or refuses a step; the transaction may then be open until
/// the broker's timeout aborts it.
pub fn write_and_abort(
    brokers: impl Into<Brokers>,
    transactional_id: &str,
    records: &[Aborted],
) -> Result<(), LogError> {
    let doing = || format!("writing {} records to abort them", records.len());
    let producer: BaseProducer = brokers
        .into()
        .librdkafka()
        .set("client.id", "millrace")
        .set("transactional.id", transactional_id)
        .set("transaction.timeout.ms", "10000")
        .create()
        .map_err(|e| fatal(doing(), e))?;
    producer.init_transactions(CALL_MAX).map_err(|e| retriable(doing(), e))?;
    producer.begin_transaction().map_err(|e| retriable(doing(), e))?;
    for Aborted { partition, key, value, headers } in records {
        let mut list = OwnedHeaders::new();
        for (name, value) in headers.iter() {
            // The fault tests write these names, and only as text.
            let key = std::str::from_utf8(name).unwrap_or_default();
            list = list.insert(Header { key, value: Some(value) });
        }
        let record = BaseRecord::to(&partition.topic)
            .partition(partition.partition)
            .key(key)
            .payload(&value[..])
            .headers(list);
        producer.send(record).map_err(|(e, _)| retriable(doing(), e))?;
    }
    producer.flush(CALL_MAX).map_err(|e| retriable(doing(), e))?;
    producer.abort_transaction(CALL_MAX).map_err(|e| retriable(doing(), e))
}

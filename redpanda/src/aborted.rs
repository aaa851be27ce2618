//! Writes records in a transaction and aborts it, for proofs that no reader of committed records
//! ever acts on them. No service calls it.

use std::time::Duration;

use bytes::Bytes;
use rdkafka::{
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
};

use crate::{
    brokers::Brokers,
    group::{config_for, fatal, retriable},
    log::{Headers, LogError, TopicPartition},
};

/// The deadline of each call to the broker.
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

/// Writes `records` in one transaction of `transactional_id` and aborts it once the broker has
/// acknowledged all of them. Blocks.
///
/// # Errors
/// When the broker does not answer in time or refuses a step; the transaction may then be open until
/// the broker's timeout aborts it.
pub fn write_and_abort(
    brokers: impl Into<Brokers>,
    transactional_id: &str,
    records: &[Aborted],
) -> Result<(), LogError> {
    let doing = || format!("writing {} records to abort them", records.len());
    let mut config = config_for(&brokers.into(), transactional_id);
    config.set("transactional.id", transactional_id);
    config.set("transaction.timeout.ms", "10000");
    config.remove("group.id");
    let producer: BaseProducer = config.create().map_err(|e| fatal(doing(), &e))?;
    producer.init_transactions(CALL_MAX).map_err(|e| retriable(doing(), &e))?;
    producer.begin_transaction().map_err(|e| retriable(doing(), &e))?;
    for Aborted { partition, key, value, headers } in records {
        let mut with = OwnedHeaders::new();
        for (name, value) in headers.iter() {
            // Names are ours here, and text.
            let key = std::str::from_utf8(name).unwrap_or_default();
            with = with.insert(Header { key, value: Some(value) });
        }
        let record = BaseRecord::to(&partition.topic)
            .partition(partition.partition)
            .key(key)
            .payload(&value[..])
            .headers(with);
        producer.send(record).map_err(|(e, _)| retriable(doing(), &e))?;
    }
    producer.flush(CALL_MAX).map_err(|e| retriable(doing(), &e))?;
    producer.abort_transaction(CALL_MAX).map_err(|e| retriable(doing(), &e))
}

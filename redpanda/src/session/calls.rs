//! Repeats transaction calls that librdkafka calls retriable, and converts their arguments. It
//! never repeats a call that may have taken effect.

use std::time::{Duration, Instant};

use rdkafka::{Offset, TopicPartitionList, error::KafkaError};

use super::errors::CallError;
use crate::log::Transaction;

/// The deadline of one transaction call with its repetitions.
pub(super) const CALL_MAX: Duration = Duration::from_secs(10);
/// The pause before a transaction call is repeated.
const RETRY_PAUSE: Duration = Duration::from_millis(2);

/// Repeats a call until it succeeds, fails for good, or [`CALL_MAX`] has passed.
pub(super) fn retry(
    doing: &str,
    call: impl Fn() -> Result<(), KafkaError>,
) -> Result<(), CallError> {
    let since = Instant::now();
    loop {
        let Err(error) = call() else { return Ok(()) };
        match CallError::of(doing, &error) {
            CallError::Retriable if since.elapsed() < CALL_MAX => std::thread::sleep(RETRY_PAUSE),
            CallError::Retriable => {
                return Err(CallError::Abortable(format!("{doing}: {error}")));
            }
            other => return Err(other),
        }
    }
}

/// The offsets of a transaction as librdkafka takes them. Redpanda keeps their metadata with the
/// offsets (`store_txn_offsets` and `commit_tx` in `src/v/kafka/server/group.cc`).
pub(super) fn offset_list(transaction: &Transaction) -> Result<TopicPartitionList, CallError> {
    let mut offsets = TopicPartitionList::with_capacity(transaction.offsets.len());
    for (partition, committed) in &transaction.offsets {
        let mut element = offsets.add_partition(&partition.topic, partition.partition);
        let next = committed.next;
        element
            .set_offset(Offset::Offset(next))
            .map_err(|e| CallError::Abortable(format!("offset {next} of {partition}: {e}")))?;
        if let Some(metadata) = committed.metadata() {
            element.set_metadata(metadata);
        }
    }
    Ok(offsets)
}

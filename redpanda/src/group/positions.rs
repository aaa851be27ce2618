//! Where a group member reads, and how it moves to other offsets. It never skips what the log does
//! not hold.

use std::time::Instant;

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
};

use super::GroupConsumer;
use crate::{
    client::{REQUEST_MAX, Standalone, fatal, is_transient, is_unreadable, standalone_reader},
    log::{LogError, TopicPartition},
};

impl GroupConsumer {
    /// See [`crate::log::Input::fetch_from`].
    pub(crate) fn fetch_from(
        &mut self,
        positions: &[(TopicPartition, i64)],
    ) -> Result<(), LogError> {
        let doing = || format!("setting the positions of group {}", self.group);
        let mut list = TopicPartitionList::with_capacity(positions.len());
        for (partition, offset) in positions {
            let offset = Offset::Offset(*offset);
            list.add_partition_offset(&partition.topic, partition.partition, offset)
                .map_err(|e| fatal(doing(), e))?;
        }
        self.consumer.assign(&list).map_err(|e| fatal(doing(), e))?;
        self.mutant.forget();
        self.stall.forget();
        self.consumer.context().forget();
        positions.clone_into(&mut self.positions);
        // Until the previous fetches have stopped, records from before this call may still arrive,
        // and they would look like a gap that was skipped.
        self.wait_until_stopped().map_err(|e| fatal(doing(), e))
    }

    /// Waits until the fetches of the previous assignment have stopped.
    ///
    /// librdkafka does not record that a stop is in progress: if the assignment changes again
    /// before the stop is answered, it stops the same partition twice, and an assertion ends the
    /// process (confluentinc/librdkafka#5573). Its main thread handles requests in order, and
    /// `assign` has queued the stops; so the answer to a later request shows that they are done.
    ///
    /// That request must not be a seek. A seek takes its version in this thread, while the main
    /// thread may take one for the start of the same partition. If the two are queued in the other
    /// order, the partition is fetched with the lower version, and all its records are dropped as
    /// outdated, without an error, until the next assignment (`rd_kafka_toppar_op_seek` and
    /// `rd_kafka_toppar_op_fetch_start` in `rdkafka_partition.c`; the same race of a pause is
    /// confluentinc/librdkafka#5591).
    fn wait_until_stopped(&self) -> Result<(), KafkaError> {
        self.consumer.assignment().map(drop)
    }

    /// See [`crate::log::Input::positions`].
    ///
    /// librdkafka moves its position past transaction markers too (`rd_kafka_op_handle_std`), in
    /// the order in which they are polled. A stop makes the position unknown, and all stops are
    /// done when [`GroupConsumer::fetch_from`] returns.
    pub(crate) fn positions(&self) -> Vec<(TopicPartition, i64)> {
        let Ok(read) = self.consumer.position() else { return Vec::new() };
        let position = |(partition, from): &(TopicPartition, i64)| match read
            .find_partition(&partition.topic, partition.partition)?
            .offset()
        {
            Offset::Offset(next) if next >= *from => Some((partition.clone(), next)),
            _ => None,
        };
        self.positions.iter().filter_map(position).collect()
    }

    /// The first position that the log does not hold, as an error. The client's own error does not
    /// name the partition, so this compares all positions with the watermarks. `None` if all
    /// positions are held, or a request fails. No request begins after the deadline of one, because
    /// a part of a transaction may be open meanwhile.
    pub(super) fn out_of_range(&mut self) -> Option<LogError> {
        let until = Instant::now() + REQUEST_MAX;
        self.next_offsets()?.into_iter().find_map(|(partition, offset)| {
            if Instant::now() >= until {
                return None;
            }
            let (beginning, end) = self.watermarks(&partition).ok()?;
            let outside = !(beginning..=end).contains(&offset);
            outside.then_some(LogError::OutOfRange { partition, offset, beginning, end })
        })
    }

    /// The error for a batch that the client can't read, with its partition.
    ///
    /// `error`, which the client has returned, does not name the partition. All records before the
    /// batch were polled, so a reader apart from the group meets the same error at the position of
    /// that partition. If it can't be found, the session must be rebuilt: after some of these
    /// errors the client continues behind the batch.
    pub(super) fn unreadable(&self, error: KafkaError) -> LogError {
        let doing = || format!("finding what can't be read of group {}", self.group);
        let reader = match standalone_reader(&self.brokers, &self.group) {
            Ok(reader) => reader,
            Err(error) => return error,
        };
        let until = Instant::now() + REQUEST_MAX;
        let next = self.next_offsets().unwrap_or_default();
        let found = next
            .into_iter()
            .find(|(partition, offset)| is_unreadable_at(&reader, partition, *offset, until));
        match found {
            Some((partition, offset)) => {
                LogError::Unreadable { partition, offset, cause: error.into() }
            }
            None => fatal(doing(), error),
        }
    }

    /// The offset that each partition is read from next; `None` if the client does not know it.
    fn next_offsets(&self) -> Option<Vec<(TopicPartition, i64)>> {
        let read = self.consumer.position().ok()?;
        let next = |(partition, from): &(TopicPartition, i64)| {
            let offset = match read.find_partition(&partition.topic, partition.partition)?.offset()
            {
                Offset::Offset(offset) => offset,
                _ => *from,
            };
            Some((partition.clone(), offset))
        };
        Some(self.positions.iter().filter_map(next).collect())
    }
}

/// Whether what `reader` meets first at this position is a batch that it can't read. `false` if it
/// meets nothing before `until`.
fn is_unreadable_at(
    reader: &BaseConsumer<Standalone>,
    partition: &TopicPartition,
    offset: i64,
    until: Instant,
) -> bool {
    let mut list = TopicPartitionList::new();
    let assigned = list
        .add_partition_offset(&partition.topic, partition.partition, Offset::Offset(offset))
        .and_then(|()| reader.assign(&list))
        // The answer shows that the fetches of the previous partition have stopped
        // (`wait_until_stopped`).
        .and_then(|()| reader.assignment());
    if assigned.is_err() {
        return false;
    }
    loop {
        let wait = until.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            return false;
        }
        match reader.poll(wait) {
            None => {}
            Some(Err(error)) if is_transient(&error) => {}
            Some(met) => return met.is_err_and(|error| is_unreadable(&error)),
        }
    }
}

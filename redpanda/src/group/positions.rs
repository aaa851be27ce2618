//! Where a group member reads, and how it moves to other offsets. It never skips what the log does
//! not hold.

use rdkafka::{Offset, TopicPartitionList, consumer::Consumer as _, error::KafkaError};

use super::GroupConsumer;
use crate::{
    client::fatal,
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
    /// positions are held, or a request fails.
    pub(super) fn out_of_range(&mut self) -> Option<LogError> {
        let read = self.consumer.position().ok()?;
        self.positions.clone().into_iter().find_map(|(partition, from)| {
            let offset = match read.find_partition(&partition.topic, partition.partition)?.offset()
            {
                Offset::Offset(offset) => offset,
                _ => from,
            };
            let (beginning, end) = self.watermarks(&partition).ok()?;
            let outside = !(beginning..=end).contains(&offset);
            outside.then_some(LogError::OutOfRange { partition, offset, beginning, end })
        })
    }
}

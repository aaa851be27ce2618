//! How far the inputs of a task are read, and the stream's time, which waits for that. Nothing here
//! reads a log.

use redpanda::log::{Record, Topic, TopicPartition};

use super::Task;

/// How far the stream's time may be ahead of the service's clock: five minutes.
const AHEAD_MAX_MS: i64 = 300_000;
/// How far the records of one input may be behind those of another one if it is not known to be
/// read to its end: half an hour, which is less than the dedupe horizon has to spare.
const BEHIND_MAX_MS: i64 = 1_800_000;

impl Task {
    /// The session reads from the task's positions: nothing is known of the ends of its inputs.
    pub(crate) fn reads_anew(&mut self) {
        self.unread = self.topology.inputs().into_iter().map(|topic| (topic, i64::MIN)).collect();
    }

    /// Notes how far an input was read.
    pub(crate) fn was_read(&mut self, record: &Record) {
        if let Some((_, read_ms)) = self.unread.iter_mut().find(|(it, _)| *it == record.topic) {
            *read_ms = record.timestamp_ms.max(*read_ms);
        }
    }

    /// Notes which inputs are read to their ends. `lags` has the partitions that can be read now.
    /// An input that is missing had been read when the stream's time was last advanced, and nothing
    /// more is known of it.
    pub(crate) fn measured(&mut self, lags: &[(TopicPartition, i64)]) {
        let partition = self.partition;
        let lag = |topic: &Topic| {
            let is_it = |it: &TopicPartition| it.partition == partition && it.topic == *topic;
            lags.iter().find(|(it, _)| is_it(it)).map(|(_, lag)| *lag)
        };
        self.unread.retain(|(topic, _)| lag(topic) != Some(0));
        for topic in self.topology.inputs() {
            if lag(&topic).is_none() && self.unread.iter().all(|(unread, _)| *unread != topic) {
                self.unread.push((topic, self.stream_ms));
            }
        }
    }

    /// Advances the stream's time, if the worker has read every input to its end, or nearly, at
    /// `now_ms` of the service's clock. A poll without records alone does not prove that: a
    /// partition's leader may be away.
    ///
    /// Before that the time must stand still: after an outage the topics are read in any order, and
    /// a newer record of one topic must not make an older command of another one expire, nor have
    /// commands forgotten that are repeated there. The bound limits the effect of a record from a
    /// broker whose clock is ahead.
    pub(crate) fn drained(&mut self, now_ms: i64) {
        let enough_ms = self.latest_ms - BEHIND_MAX_MS;
        if self.unread.iter().all(|(_, read_ms)| *read_ms >= enough_ms) {
            let latest_ms = self.latest_ms.min(now_ms.saturating_add(AHEAD_MAX_MS));
            self.stream_ms = self.stream_ms.max(latest_ms);
        }
    }
}

//! How far the inputs of a task are read, and the stream's time, which waits for that. Nothing here
//! reads a log.

use redpanda::log::{Record, Topic, TopicPartition};

use super::Task;
use crate::topology::Route;

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
    /// more is known of it. One that was missing before must be at its end twice: the first time
    /// may tell of the end before it could not be read.
    pub(crate) fn measured(&mut self, lags: &[(TopicPartition, i64)]) {
        let partition = self.partition;
        let lag = |topic: &Topic| {
            let is_it = |it: &TopicPartition| it.partition == partition && it.topic == *topic;
            lags.iter().find(|(it, _)| is_it(it)).map(|(_, lag)| *lag)
        };
        let were_away = std::mem::take(&mut self.away);
        self.unread.retain(|(topic, _)| lag(topic) != Some(0) || were_away.contains(topic));
        self.away = self.topology.inputs();
        self.away.retain(|topic| lag(topic).is_none());
        for topic in &self.away {
            if self.unread.iter().all(|(unread, _)| unread != topic) {
                self.unread.push((topic.clone(), self.stream_ms));
            }
        }
    }

    /// Whether the answers to the task's follow-ups can be read, as far as is known.
    pub(crate) fn can_read_answers(&self) -> bool {
        let is_answers = |topic| matches!(self.topology.route(topic), Some(Route::FollowUps(_)));
        !self.away.iter().any(is_answers)
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use schemas::Codec;

    use super::*;
    use crate::{metrics::Metrics, task::Bounds, topology::Topology};

    /// A task that reads commands and follow-ups of one context, and has read a record of `at_ms`.
    fn task_at(at_ms: i64) -> Task {
        let mut topology = Topology::new("bank", |_| Some(1));
        topology.routes.push(("commands".into(), Route::Commands(0)));
        topology.routes.push(("followups".into(), Route::FollowUps(0)));
        let metrics = Metrics::register(&topology, &prometheus::Registry::new());
        let bounds = Bounds { horizon_ms: 0, retention_ms: 0, parked_bytes_max: 0 };
        let codec = Codec::of(std::iter::empty());
        let metrics = metrics.expect("metrics");
        let mut task = Task::new(0, Arc::new(topology), Arc::new(codec), metrics, bounds);
        task.reads_anew();
        task.latest_ms = at_ms;
        task
    }

    #[test]
    fn input_that_was_away_is_at_its_end_only_after_a_second_look() {
        let at_ms = 10 * BEHIND_MAX_MS;
        let mut task = task_at(at_ms);
        let lag = |topic: &str, lag| (TopicPartition::new(topic, 0), lag);
        let both = [lag("commands", 0), lag("followups", 0)];
        let mut stream_ms_after = |lags: &[_]| {
            task.measured(lags);
            task.drained(at_ms);
            (task.stream_ms, task.can_read_answers())
        };
        assert_eq!(stream_ms_after(&[lag("commands", 0)]), (0, false));
        // The end may be that from before the partition's leader was away.
        assert_eq!(stream_ms_after(&both), (0, true));
        assert_eq!(stream_ms_after(&[lag("commands", 0), lag("followups", 7)]), (0, true));
        assert_eq!(stream_ms_after(&both), (at_ms, true));
    }
}

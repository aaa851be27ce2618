//! What a test makes the log do: time, retention, compaction, timeouts and faults. It writes no
//! records.

use std::time::Duration;

use super::{fault::Fault, log::MemoryLog, partition::Status, state::State};
use crate::log::TopicPartition;

impl MemoryLog {
    /// Sets the time of records that are appended from now on, in milliseconds since the epoch.
    pub fn set_time(&self, now_ms: i64) {
        self.state().now_ms = now_ms;
    }

    /// Sets the limit of a record of `topic`, in place of the one in `topics.yaml`.
    pub fn set_bytes_max(&self, topic: &str, bytes_max: usize) {
        self.state().bytes_max.insert(topic.into(), bytes_max);
    }

    /// Has polls return no records of these partitions, as if their leaders were away. Replaces
    /// those of an earlier call.
    pub fn withhold(&self, partitions: Vec<TopicPartition>) {
        self.state().withheld = partitions;
    }

    /// Has each poll that reads `partition` from `offset` fail, as if the batch there could not be
    /// decompressed.
    pub fn spoil(&self, partition: TopicPartition, offset: i64) {
        self.state().spoiled.push((partition, offset));
    }

    /// Keeps only the last committed record of each key, as compaction does.
    pub fn compact(&self, topic: &str) {
        let mut state = self.state();
        let State { topics, statuses, .. } = &mut *state;
        topics.get_mut(topic).into_iter().flatten().for_each(|log| log.compact(statuses));
    }

    /// Removes everything up to the last stable offset of each partition of `topic`, as retention
    /// does for records that are older than its time.
    pub fn remove_all(&self, topic: &str) {
        self.remove(topic, |_, _, _| true);
    }

    /// The same for partitions without an open transaction of which `group` has committed the end.
    pub fn remove_consumed(&self, topic: &str, group: &str) {
        let state = self.state();
        let offsets =
            state.groups.get(group).map(|group| group.offsets.clone()).unwrap_or_default();
        drop(state);
        self.remove(topic, |partition, stable, end| {
            stable == end && offsets.get(partition).is_some_and(|offset| offset.next >= stable)
        });
    }

    fn remove(&self, topic: &str, may_remove: impl Fn(&TopicPartition, i64, i64) -> bool) {
        let mut state = self.state();
        let State { topics, statuses, .. } = &mut *state;
        for (partition, log) in topics.get_mut(topic).into_iter().flatten().enumerate() {
            let stable = log.stable_end(statuses);
            if may_remove(&TopicPartition::new(topic, partition as i32), stable, log.end) {
                log.remove_before(stable);
            }
        }
    }

    /// Loses everything from `end` on of `partition`, as a leader does that was elected uncleanly.
    ///
    /// # Panics
    /// If there is no such partition.
    pub fn lose_after(&self, partition: &TopicPartition, end: i64) {
        let mut state = self.state();
        let log = state
            .topics
            .get_mut(&partition.topic)
            .and_then(|logs| logs.get_mut(partition.partition as usize));
        log.unwrap_or_else(|| panic!("there is no partition {partition}")).lose_after(end);
    }

    /// Commits an offset of a group outside of any transaction and without metadata.
    pub fn commit(&self, group: &str, partition: TopicPartition, next: i64) {
        let mut state = self.state();
        let group = state.groups.entry(group.to_owned()).or_default();
        group.offsets.insert(partition, next.into());
    }

    /// Orders a fault for `transactional_id`, in place of one that has not acted yet.
    pub fn fail_next(&self, transactional_id: &str, fault: Fault) {
        self.state().faults.insert(transactional_id.to_owned(), fault);
    }

    /// The fault that is ordered for `transactional_id` and has not acted yet.
    pub fn pending_fault(&self, transactional_id: &str) -> Option<Fault> {
        self.state().faults.get(transactional_id).copied()
    }

    /// Sessions say from now on that they have heard from no broker for this time.
    pub fn set_silence(&self, silence: Duration) {
        self.state().silence = silence;
    }

    /// While `hold` is set, transactions are written but their commits are not answered.
    pub fn hold_commits(&self, hold: bool) {
        self.state().hold_commits = hold;
    }

    /// While `fails` is set, restores of this changelog, and reads of single records of this
    /// partition, return a retriable error.
    pub fn fail_restores(&self, partition: TopicPartition, fails: bool) {
        let mut state = self.state();
        state.unreadable.retain(|known| *known != partition);
        if fails {
            state.unreadable.push(partition);
        }
    }

    /// While `hold` is set, a restore of this changelog reads everything and is not handed over, as
    /// if its thread were slow: its ends are older than what is written meanwhile.
    pub fn hold_restores(&self, changelog: TopicPartition, hold: bool) {
        let mut state = self.state();
        state.held.retain(|known| *known != changelog);
        if hold {
            state.held.push(changelog);
        }
    }

    /// While `twice` is set, every session has a mutant: it sends the offsets of each transaction
    /// twice.
    pub fn send_offsets_twice(&self, twice: bool) {
        self.state().sends_offsets_twice = twice;
    }

    /// Takes every partition of the group from its members, as a missed session timeout does.
    pub fn expire_members(&self, group: &str) {
        if let Some(group) = self.state().groups.get_mut(group) {
            group.expire_members();
        }
    }

    /// Aborts all open transactions, as the transaction timeout does.
    pub fn expire_transactions(&self) {
        let mut state = self.state();
        let open: Vec<_> = state.holders.values().filter_map(|holder| holder.open).collect();
        for transaction in open {
            state.end(transaction, Status::Aborted);
        }
        state.holders.values_mut().for_each(|holder| holder.open = None);
    }
}

//! Reading in memory: polls, positions and rebalances. It waits for nothing.

use std::time::Duration;

use super::{fault::Fault, session::MemorySession};
use crate::log::{Input, LogError, Membership, Record, TopicPartition};

impl MemorySession {
    /// Whether the group waits until this member releases its partitions.
    fn must_revoke(&self) -> bool {
        let state = self.log.state();
        let member = state.groups.get(&self.group).and_then(|group| group.member(self.id));
        member.is_some_and(|member| member.must_revoke)
    }
}

impl Input for MemorySession {
    fn poll(
        &mut self,
        _timeout: Duration,
        max: usize,
        out: &mut Vec<Record>,
    ) -> Result<(), LogError> {
        self.check()?;
        let log = self.log.clone();
        let id = self.transactional_id.clone();
        let id = id.as_deref();
        let must_revoke = self.must_revoke();
        if must_revoke && log.state().takes_fault(id, Fault::InRebalance) {
            self.is_broken = true;
            return self.check();
        }
        // A revocation waits for the transaction in flight, also while commits are held.
        if must_revoke && self.ended.is_none() {
            self.ended = self.finish(true);
        }
        let mut state = log.state();
        let changes = state.serve(&self.group, self.id);
        if !changes.is_empty() {
            self.changes.extend(changes);
            self.positions.clear();
            return Ok(());
        }
        let (partitions, before) = (self.positions.len(), out.len());
        for step in 0..partitions {
            let (partition, position) = &mut self.positions[(self.first + step) % partitions];
            if state.withheld.contains(partition) {
                continue;
            }
            if let Some(log) = state.partition(partition)
                && !(log.beginning..=log.end).contains(position)
            {
                let (partition, offset) = (partition.clone(), *position);
                let (beginning, end) = (log.beginning, log.end);
                return Err(LogError::OutOfRange { partition, offset, beginning, end });
            }
            let is_here =
                |(spoiled, at): &(TopicPartition, i64)| *spoiled == *partition && *at == *position;
            if state.spoiled.iter().any(is_here) {
                let (partition, offset) = (partition.clone(), *position);
                let cause = "a test ordered this".into();
                return Err(LogError::Unreadable { partition, offset, cause });
            }
            let room = max - (out.len() - before);
            *position = state.read(partition, *position, room, out);
        }
        // The next poll starts with the next partition, so that none is starved.
        self.first = self.first.wrapping_add(1);
        if out.len() > before && state.takes_fault(id, Fault::AfterPoll) {
            self.is_broken = true;
            return self.check();
        }
        Ok(())
    }

    fn membership(&mut self) -> Option<Membership> {
        self.changes.pop_front()
    }

    fn fetch_from(&mut self, positions: &[(TopicPartition, i64)]) -> Result<(), LogError> {
        self.check()?;
        self.positions = positions.to_vec();
        Ok(())
    }

    fn watermarks(&mut self, partition: &TopicPartition) -> Result<(i64, i64), LogError> {
        Ok(self.log.span(partition))
    }

    fn partitions(&mut self, topic: &str) -> Result<i32, LogError> {
        Ok(self.log.state().topics.get(topic).map_or(0, Vec::len) as i32)
    }

    fn positions(&mut self) -> Vec<(TopicPartition, i64)> {
        self.positions.clone()
    }

    fn lag(&mut self) -> Option<Vec<(TopicPartition, i64)>> {
        let state = self.log.state();
        let lag = |(partition, position): &(TopicPartition, i64)| {
            let log = state.partition(partition).filter(|_| !state.withheld.contains(partition))?;
            Some((partition.clone(), log.stable_end(&state.statuses) - position))
        };
        Some(self.positions.iter().filter_map(lag).collect())
    }

    fn silence(&self) -> Duration {
        self.log.state().silence
    }

    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<i64>>, LogError> {
        let found = self.log.state().committed(&self.group, partitions)?;
        Ok(found.into_iter().map(|offset| offset.map(|offset| offset.next)).collect())
    }
}

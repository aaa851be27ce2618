//! A session on a log in memory: it opens, hands transactions over, and returns their results at
//! once or when a test releases held commits.

use std::{collections::VecDeque, time::Duration};

use super::{
    group::Member, log::MemoryLog, partition::Status, restore::MemoryRestore, state::State,
};
use crate::log::{
    LogError, Membership, ProducerRecords, Restore, Session, Topic, TopicPartition, Transaction,
    TransactionError,
};

/// A member of a group; with a transactional id, also a session.
pub(super) struct MemorySession {
    pub(super) log: MemoryLog,
    pub(super) group: String,
    /// The number of the session, and of its member in the group.
    pub(super) id: u64,
    pub(super) transactional_id: Option<String>,
    pub(super) positions: Vec<(TopicPartition, i64)>,
    pub(super) changes: VecDeque<Membership>,
    /// The index of the partition that the next poll reads first.
    pub(super) first: usize,
    /// The transaction that is written and not submitted.
    pub(super) open: Option<Written>,
    /// The transaction in flight: its number, or how it failed before its commit.
    pub(super) in_flight: Option<Result<u64, TransactionError>>,
    /// A result that the worker has not taken.
    pub(super) ended: Option<Result<(), TransactionError>>,
    /// Whether the session has ended and every call fails.
    pub(super) is_broken: bool,
}

/// An open transaction of a session.
#[derive(Clone, Copy)]
pub(super) struct Written {
    pub(super) transaction: u64,
    pub(super) records: usize,
}

impl MemorySession {
    /// Joins `group`. With a transactional id it fences the session that held the id.
    pub(super) fn join(
        log: &MemoryLog,
        group: &str,
        inputs: &[Topic],
        transactional_id: Option<String>,
    ) -> Self {
        let mut state = log.state();
        let id = state.new_id();
        if let Some(name) = &transactional_id {
            state.take_id(name, id);
        }
        let joined = state.groups.entry(group.to_owned()).or_default();
        joined.topics = inputs.to_vec();
        joined.members.push(Member { id, ..Member::default() });
        joined.rebalance();
        drop(state);
        Self {
            log: log.clone(),
            group: group.to_owned(),
            id,
            transactional_id,
            positions: Vec::new(),
            changes: VecDeque::new(),
            first: 0,
            open: None,
            in_flight: None,
            ended: None,
            is_broken: false,
        }
    }

    /// Returns an error if the session has ended.
    pub(super) fn check(&self) -> Result<(), LogError> {
        match self.is_broken {
            true => {
                let doing = "using a session".to_owned();
                Err(LogError::Fatal { doing, cause: "it has ended".into() })
            }
            false => Ok(()),
        }
    }

    /// Whether this session still holds its transactional id.
    pub(super) fn is_holder(&self, state: &State) -> bool {
        let holder = self.transactional_id.as_ref().and_then(|name| state.holders.get(name));
        holder.is_some_and(|holder| holder.session == self.id)
    }
}

/// Whether the session is unusable after this result.
pub(super) fn is_fatal(result: &Result<(), TransactionError>) -> bool {
    matches!(result, Err(TransactionError::Fenced(_) | TransactionError::Unknown(_)))
}

impl Drop for MemorySession {
    fn drop(&mut self) {
        let mut state = self.log.state();
        if let Some(group) = state.groups.get_mut(&self.group) {
            group.members.retain(|member| member.id != self.id);
            group.rebalance();
        }
    }
}

impl Session for MemorySession {
    fn write(&mut self, records: ProducerRecords) -> Result<(), LogError> {
        self.check()?;
        assert!(
            self.in_flight.is_none(),
            "a transaction is written while another one is in flight"
        );
        if self.ended.is_none() {
            match self.append(&records) {
                Ok(open) => self.open = Some(open),
                Err(error) => self.ended = Some(Err(error)),
            }
        }
        Ok(())
    }

    fn submit(&mut self, transaction: Transaction) -> Result<(), LogError> {
        self.check()?;
        assert!(
            self.in_flight.is_none() && !matches!(self.ended, Some(Ok(()))),
            "one transaction at a time"
        );
        assert!(!transaction.offsets.is_empty(), "a transaction without offsets fences nobody");
        // If the write has failed already, the worker has still to take that result.
        if self.ended.is_none() {
            self.in_flight = Some(self.prepare(&transaction));
        }
        Ok(())
    }

    fn abandon(&mut self) -> Result<(), LogError> {
        self.check()?;
        if let Some(Written { transaction, .. }) = self.open.take() {
            let mut state = self.log.state();
            state.end(transaction, Status::Aborted);
            if let Some(holder) =
                self.transactional_id.as_ref().and_then(|name| state.holders.get_mut(name))
                && holder.session == self.id
            {
                holder.open = None;
            }
            drop(state);
            let reason = "the worker has abandoned it".to_owned();
            self.in_flight = Some(Err(TransactionError::Aborted(reason)));
        }
        Ok(())
    }

    fn completed(&mut self, _wait: Duration) -> Option<Result<(), TransactionError>> {
        let ended = self.ended.take().or_else(|| self.finish(false));
        self.is_broken |= ended.as_ref().is_some_and(is_fatal);
        ended
    }

    fn restore(
        &mut self,
        changelog: &TopicPartition,
        inputs: &[TopicPartition],
        watched: &[TopicPartition],
    ) -> Result<Box<dyn Restore>, LogError> {
        self.check()?;
        Ok(Box::new(MemoryRestore {
            log: self.log.clone(),
            transactional_id: self.transactional_id.clone(),
            group: self.group.clone(),
            changelog: changelog.clone(),
            inputs: inputs.to_vec(),
            watched: watched.to_vec(),
            committed: None,
            position: 0,
            end: 0,
            read: 0,
            start: None,
        }))
    }
}

//! The steps of a transaction in memory, each with the faults that a test can order there.

use super::{
    fault::Fault,
    partition::Status,
    session::{MemorySession, Written, is_fatal},
};
use crate::log::{ProducerRecords, TopicPartition, Transaction, TransactionError};

/// The result of a session that ends at a step, as a fault orders it.
fn ended<T>(step: &str) -> Result<T, TransactionError> {
    Err(TransactionError::Unknown(format!("ended {step}")))
}

fn timed_out() -> TransactionError {
    TransactionError::Fenced("the transaction has timed out".to_owned())
}

impl MemorySession {
    /// The transactional id; empty for a member that only reads, which has no transactions.
    fn name(&self) -> String {
        self.transactional_id.clone().unwrap_or_default()
    }

    /// Writes records into the open transaction, or begins one.
    pub(super) fn append(
        &mut self,
        records: &ProducerRecords,
    ) -> Result<Written, TransactionError> {
        let log = self.log.clone();
        let mut state = log.state();
        let name = self.name();
        let id = Some(&*name);
        // Another session opens with the same id: this one is fenced at its next step.
        if state.takes_fault(id, Fault::Fence) {
            let other = state.new_id();
            state.take_id(&name, other);
        }
        if !self.is_holder(&state) {
            return Err(TransactionError::Fenced(name));
        }
        // `self.open` stays empty on every failure: the transaction is not this session's any more.
        let mut open = match self.open.take() {
            Some(open) if !state.open.contains_key(&open.transaction) => return Err(timed_out()),
            Some(open) => open,
            None => {
                if state.takes_fault(id, Fault::BeforeBegin) {
                    return ended("before it began");
                }
                let transaction = state.begin(&name, self.id, &self.group);
                if state.takes_fault(id, Fault::AfterBegin) {
                    return ended("after it had begun");
                }
                Written { transaction, records: 0 }
            }
        };
        for record in records.iter() {
            // A broker refuses the record batch, and librdkafka then requires an abort.
            if let Err(error) = state.check_size(record.topic, record.wire_bytes()) {
                return Err(state.abort(&name, self.id, open.transaction, error));
            }
            let partition =
                TopicPartition { topic: record.topic.clone(), partition: record.partition };
            state.append(Some(open.transaction), record.to_producer_record());
            if let Some(transaction) = state
                .open
                .get_mut(&open.transaction)
                .filter(|transaction| !transaction.partitions.contains(&partition))
            {
                transaction.partitions.push(partition);
            }
            open.records += 1;
            if state.takes_fault(id, Fault::AfterSend(open.records)) {
                return ended("between its records");
            }
        }
        Ok(open)
    }

    /// Makes all steps before the commit: last records, then offsets. Returns the transaction.
    pub(super) fn prepare(&mut self, transaction: &Transaction) -> Result<u64, TransactionError> {
        let Written { transaction: number, .. } = self.append(&transaction.records)?;
        let log = self.log.clone();
        let mut state = log.state();
        let name = self.name();
        let id = Some(&*name);
        // Offsets come last: they are known only when all records are written.
        for _ in 0..=usize::from(state.sends_offsets_twice) {
            if let Err(error) = state.stage(number, self.id, &transaction.offsets) {
                return Err(state.abort(&name, self.id, number, error));
            }
        }
        if state.takes_fault(id, Fault::Abort) {
            return Err(state.abort(&name, self.id, number, "a test ordered this abort"));
        }
        if state.takes_fault(id, Fault::AfterOffsets) {
            return ended("after its offsets");
        }
        // The commit takes effect and the session does not learn it: only the log can tell.
        if state.takes_fault(id, Fault::CommitUnseen) {
            state.end_of(&name, self.id, number, Status::Committed);
            return ended("before the answer to its commit");
        }
        Ok(number)
    }

    /// Commits the transaction in flight and returns its result; `None` if there is none, or
    /// commits are held and `even_held` is not set.
    pub(super) fn finish(&mut self, even_held: bool) -> Option<Result<(), TransactionError>> {
        let log = self.log.clone();
        let mut state = log.state();
        if state.hold_commits && !even_held && matches!(self.in_flight, Some(Ok(_))) {
            return None;
        }
        let name = self.name();
        let id = Some(&*name);
        let mut ends_after = false;
        let result = match self.in_flight.take()? {
            // A session that lost its id, or whose transaction timed out, meanwhile must not
            // commit.
            Ok(_) if !self.is_holder(&state) => Err(TransactionError::Fenced(name.clone())),
            Ok(transaction) if !state.open.contains_key(&transaction) => Err(timed_out()),
            Ok(_) if state.takes_fault(id, Fault::BeforeCommit) => ended("before its commit"),
            Ok(transaction) => {
                state.end_of(&name, self.id, transaction, Status::Committed);
                ends_after = state.takes_fault(id, Fault::AfterCommit);
                Ok(())
            }
            Err(error) => Err(error),
        };
        drop(state);
        self.is_broken = ends_after || is_fatal(&result);
        Some(result)
    }
}

//! The three ages of a task's state, and how transactions move the borders between them.
//!
//! ```text
//!   committed        | in flight            | pending
//!   no note left     | start .. sealed      | sealed .. latest write
//! ```
//!
//! All three are in the same tables; the borders are savepoints in the tables' undo journals.
//! Committed writes have no note in a journal, so nothing can take them back. The tables never do
//! I/O, and no function here can fail: the worker calls them only after the log has decided.

use super::{Task, due::Due};
use crate::{
    aggregate::AggregateSavepoint, local::LocalSavepoint, output::Output, table::Savepoint,
    topology::AGGREGATES_MAX,
};

/// Savepoints of all tables of a task. The default one is before everything that is not committed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TaskSavepoint {
    pub(super) aggregates: [AggregateSavepoint; AGGREGATES_MAX],
    pub(super) dedup: Savepoint,
    pub(super) pending_commands: Savepoint,
    pub(super) timers: Savepoint,
    pub(super) parked: Savepoint,
    pub(super) queues: Savepoint,
}

/// A point to which a failed input returns: the tables, and the length of the output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InputSavepoint {
    pub(super) tables: TaskSavepoint,
    records: usize,
    local: LocalSavepoint,
}

impl Task {
    /// Pending becomes in flight: the worker has handed the transaction over.
    pub(crate) fn seal(&mut self) {
        self.due.prune(&self.timers);
        self.sealed = self.savepoint();
        self.written = self.sealed;
        self.sealed_positions.clone_from(&self.positions);
        self.touched = false;
        self.in_flight = true;
    }

    /// In flight becomes committed: the log holds the transaction. Pending writes, decided
    /// meanwhile on top of it, stay pending.
    pub(crate) fn commit(&mut self) {
        let sealed = self.sealed;
        for (one, savepoint) in self.aggregates.iter_mut().zip(sealed.aggregates) {
            one.commit(savepoint);
        }
        self.dedup.commit(sealed.dedup);
        self.pending_commands.commit(sealed.pending_commands);
        self.timers.commit(sealed.timers);
        self.parked.commit(sealed.parked);
        self.queues.commit(sealed.queues);
        self.transactions += i64::from(self.in_flight);
        // A transaction that holds anything of the task holds every position that the changelog
        // lacked.
        self.has_all_positions |= self.in_flight;
        // The batch that was too large is committed, so the inputs that follow need no check.
        self.checks_each_input &= !std::mem::take(&mut self.in_flight);
        if self.committed_positions != self.sealed_positions {
            self.committed_positions.clone_from(&self.sealed_positions);
        }
    }

    /// Drops the pending writes; the transaction in flight is not affected. The positions return to
    /// its end, so the dropped inputs are read again.
    pub(crate) fn drop_pending(&mut self) {
        self.roll_back(self.sealed);
        self.written = self.sealed;
        self.positions.clone_from(&self.sealed_positions);
        self.touched = false;
        self.rebuild_indexes();
    }

    /// Drops the writes in flight, because their transaction was aborted, and the pending writes,
    /// because they were decided on top of them. The positions return to the last commit.
    pub(crate) fn abort(&mut self) {
        if redpanda::mutant::is_active("keep-overlay") {
            return self.abort_but_keep_the_state();
        }
        self.roll_back(TaskSavepoint::default());
        self.sealed = self.savepoint();
        self.written = self.sealed;
        self.positions.clone_from(&self.committed_positions);
        self.sealed_positions.clone_from(&self.committed_positions);
        self.touched = false;
        self.in_flight = false;
        self.rebuild_indexes();
    }

    /// The mutant of [`Self::abort`]: the positions return, the aborted state stays.
    fn abort_but_keep_the_state(&mut self) {
        let committed = self.committed_positions.clone();
        self.seal();
        self.commit();
        self.positions.clone_from(&committed);
        self.sealed_positions.clone_from(&committed);
        self.committed_positions = committed;
    }

    /// A savepoint behind the latest writes of all tables.
    pub(super) fn savepoint(&self) -> TaskSavepoint {
        let mut aggregates = [AggregateSavepoint::default(); AGGREGATES_MAX];
        for (savepoint, one) in aggregates.iter_mut().zip(&self.aggregates) {
            *savepoint = one.savepoint();
        }
        TaskSavepoint {
            aggregates,
            dedup: self.dedup.savepoint(),
            pending_commands: self.pending_commands.savepoint(),
            timers: self.timers.savepoint(),
            parked: self.parked.savepoint(),
            queues: self.queues.savepoint(),
        }
    }

    fn roll_back(&mut self, to: TaskSavepoint) {
        for (one, savepoint) in self.aggregates.iter_mut().zip(to.aggregates) {
            one.roll_back(savepoint);
        }
        self.dedup.roll_back(to.dedup);
        self.pending_commands.roll_back(to.pending_commands);
        self.timers.roll_back(to.timers);
        self.parked.roll_back(to.parked);
        self.queues.roll_back(to.queues);
    }

    /// The point to which the input that comes now returns if it fails.
    pub(crate) fn input_savepoint(&self, output: &Output) -> InputSavepoint {
        InputSavepoint {
            tables: self.savepoint(),
            records: output.records.len(),
            local: output.local.savepoint(),
        }
    }

    /// Removes all effects of an input: its writes and its records.
    pub(crate) fn undo(&mut self, to: InputSavepoint, output: &mut Output) {
        self.roll_back(to.tables);
        output.records.truncate(to.records);
        output.local.undo(to.local);
    }

    /// Rebuilds the indexes over the tables, after a restore and after a roll-back.
    pub(super) fn rebuild_indexes(&mut self) {
        self.due = Due::of(&self.timers);
        let mut expiry: Vec<_> =
            self.dedup.iter().map(|(id, row)| (row.received_at, id.into())).collect();
        expiry.sort_unstable();
        self.latest_ms = self.latest_ms.max(expiry.last().map_or(0, |(at_ms, _)| *at_ms));
        self.expiry = expiry.into();
    }
}

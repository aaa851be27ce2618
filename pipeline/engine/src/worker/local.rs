//! Decides a record, and then the follow-ups that it sends to tasks of the same worker: see
//! [`crate::local`]. Everything that one record causes succeeds or is undone as a whole.

use redpanda::log::{Record, Topic, TopicPartition};
use schemas::chain;

use super::Worker;
use crate::{
    envelope::Envelope,
    error::{InputError, Missing},
    learner::Learnt,
    local::{CHAIN_MAX, DECIDED},
    task::InputSavepoint,
    topology::Route,
};

/// How a record was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decided {
    Done,
    /// What the record needs was requested. Nothing has changed.
    Waits(Missing),
}

impl Worker {
    /// Opens the partitions of follow-ups that tasks have read far enough. A task that waits reads
    /// none.
    pub(super) fn update_open_partitions(&mut self) {
        if !self.settings.local_follow_ups {
            return;
        }
        let read = self.active.values().filter(|task| !self.awaiting.contains_key(&task.partition));
        let positions = read.flat_map(|task| {
            let partition = task.partition;
            let input = move |(topic, next): &(Topic, i64)| {
                (TopicPartition { topic: topic.clone(), partition }, *next)
            };
            task.positions().iter().map(input)
        });
        self.batch.open_partitions().set_positions(positions);
    }

    /// Passes over a follow-up whose effects are in the transaction that wrote it. The position
    /// moves as over a transaction marker: it needs no transaction of its own.
    pub(super) fn pass_over_decided(&mut self, record: &Record) -> bool {
        let is_decided = record.headers.get(DECIDED).is_some() && self.is_follow_up(record);
        if is_decided && let Some(task) = self.active.get_mut(&record.partition) {
            task.follow(&record.topic, record.offset + 1);
            task.was_read(record);
        }
        is_decided
    }

    /// Lets a task decide a record, and other tasks its follow-ups.
    pub(super) fn decide_record(&mut self, record: &Record) -> Decided {
        let Some(task) = self.active.get(&record.partition) else { return Decided::Done };
        let before = task.input_savepoint(&self.batch.output);
        let span = self.spans.begin(record, self.topology.processor);
        if let Some(missing) = self.decide_root(record) {
            self.spans.undo(span);
            return Decided::Waits(missing);
        }
        self.spans.end(span);
        let local_spans = self.spans.len();
        if let Err(error) = self.decide_local(record, before) {
            // A parked key, or a bug of a decider. The record is decided alone; its follow-ups are
            // read from the log, and fail or wait there.
            let (topic, partition, offset) = (&record.topic, record.partition, record.offset);
            let error = chain(&error);
            tracing::warn!(%topic, partition, offset, error, "its follow-ups are decided later");
            self.spans.undo(local_spans);
            self.batch.output.local.suspend(true);
            // What it needs is there by now.
            self.decide_root(record);
            self.batch.output.local.suspend(false);
        }
        if let Some(task) = self.active.get_mut(&record.partition) {
            task.end_of_input();
        }
        if self.batch.open_partitions().is_awaiting() && self.is_follow_up(record) {
            let (topic, partition) = (record.topic.clone(), record.partition);
            let (input, id) = (TopicPartition { topic, partition }, Envelope::of(record).id);
            self.batch.open_partitions().was_read(&input, id, record.offset);
        }
        Decided::Done
    }

    fn is_follow_up(&self, record: &Record) -> bool {
        matches!(self.topology.route(&record.topic), Some(Route::FollowUps(_)))
    }

    /// Lets the record's task decide it. Returns what it waits for, if it does.
    fn decide_root(&mut self, record: &Record) -> Option<Missing> {
        let task = self.active.get_mut(&record.partition)?;
        while let Err(missing) = task.apply(record, &mut self.batch.output) {
            match &missing {
                Missing::Schema(unknown) => match self.learner.learn(unknown.0) {
                    Learnt::Known => {}
                    Learnt::Unknown => {
                        let id = unknown.0;
                        let own = record.value.as_deref().and_then(|it| schemas::split(it).ok());
                        // Of an operator's command, a record that it applies may need the schema.
                        if own.is_some_and(|(own, _)| own == id) || !task.set_unregistered(id) {
                            let error = InputError::SchemaNotRegistered(id);
                            task.fail(record, error, &mut self.batch.output);
                            break;
                        }
                    }
                    Learnt::Requested => return Some(missing),
                },
                Missing::Letter(at) => match self.letters.fetch(at) {
                    Some(letter) => task.set_letter(Some((at.clone(), letter))),
                    None => return Some(missing),
                },
            }
        }
        None
    }

    /// Decides the follow-ups that `root` has caused, and those that they cause.
    ///
    /// # Errors
    /// Fails if one of them can't be decided now. Then everything is undone, `root` included.
    fn decide_local(&mut self, root: &Record, before: InputSavepoint) -> Result<(), InputError> {
        let mut undo = Vec::new();
        let mut decided = 0;
        let failed = loop {
            let Some(record) = self.batch.output.local.pop() else { return Ok(()) };
            let Some(task) = self.active.get_mut(&record.partition) else {
                break InputError::BehindParked;
            };
            if decided == CHAIN_MAX {
                break InputError::ChainTooLong;
            }
            undo.push((record.partition, task.input_savepoint(&self.batch.output)));
            let span = self.spans.begin(&record, self.topology.processor);
            if let Err(error) = task.apply_local(&record, &mut self.batch.output) {
                break error;
            }
            self.spans.end(span);
            decided += 1;
            self.batch.add(1);
        };
        // The latest first, so that each task returns to the state before its first follow-up.
        undo.reverse();
        undo.push((root.partition, before));
        for (partition, savepoint) in undo {
            if let Some(task) = self.active.get_mut(&partition) {
                task.undo(savepoint, &mut self.batch.output);
            }
        }
        Err(failed)
    }
}

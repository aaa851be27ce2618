//! A task: one partition number of a processor, with its aggregates and everything else that its
//! changelog keeps.
//!
//! A task turns an input into records, behind a savepoint of its own, and knows which part of its
//! state is committed, in flight and pending ([`transaction`]). It never does I/O: the worker
//! polls, commits and restores.

mod apply;
mod changes;
mod command;
mod due;
mod edit;
mod effects;
mod fail;
mod forget;
mod operations;
mod outcome;
mod parked;
mod progress;
mod redrive;
mod resend;
mod restore;
mod reveal;
mod row;
mod timers;
mod transaction;

pub(crate) use changes::ChangesError;
pub(crate) use restore::LoadError;
pub(crate) use transaction::InputSavepoint;

use std::{collections::VecDeque, sync::Arc};

use redpanda::log::Topic;
use schemas::{
    Codec,
    engine::{Handled, Parked, Waiting},
};

use crate::{
    aggregate::Aggregates,
    envelope::Stamp,
    error::{Failure, InputError},
    letters::{Letter, LetterAt},
    metrics::Metrics,
    table::Table,
    topology::Topology,
};
use due::Due;
use transaction::TaskSavepoint;

/// The bounds of a task's memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// How long the task keeps a command's outcome.
    pub(crate) horizon_ms: i64,
    /// How long the task keeps a finished aggregate.
    pub(crate) retention_ms: i64,
    /// The most bytes in the parked records of all keys.
    pub(crate) parked_bytes_max: u64,
}

/// The length of the queue of a parked key.
#[derive(Clone, Copy, Debug, Default)]
struct Queue {
    count: u32,
    bytes: u64,
}

/// One partition number of a processor.
pub(crate) struct Task {
    pub(crate) partition: i32,
    topology: Arc<Topology>,
    codec: Arc<Codec>,
    metrics: Metrics,
    stamp: Stamp,
    bounds: Bounds,

    /// The aggregates of each decider, in the order of [`Topology::aggregates`].
    aggregates: Vec<Box<dyn Aggregates>>,
    /// Commands by id, for deduplication. A pending command has no outcome yet. Dead letters that
    /// were sent again are here too, by a name of their own.
    dedup: Table<Handled>,
    /// Pending commands by `<context>/<key>`.
    pending_commands: Table<Waiting>,
    /// Due times by the name `<context>/<key>␟<name>`.
    timers: Table<i64>,
    /// Parked records by `<topic>/<key>␟<offset>`.
    parked: Table<Parked>,
    /// The lengths of the queues of parked records by `<topic>/<key>`.
    queues: Table<Queue>,

    /// The next offset of each input topic that was ever read.
    positions: Vec<(Topic, i64)>,
    /// The end of the writes of the transaction in flight: pending writes are behind it.
    sealed: TaskSavepoint,
    /// The end of the pending writes that are in the output already.
    written: TaskSavepoint,
    /// The positions at `sealed`.
    sealed_positions: Vec<(Topic, i64)>,
    /// The positions of the latest transaction that was committed.
    committed_positions: Vec<(Topic, i64)>,

    /// How many transactions with anything of this task the log holds.
    transactions: i64,

    /// Timers by due time. Some may be replaced or cancelled; `timers` is authoritative.
    due: Due,
    /// Commands by receive time, to be forgotten in this order.
    expiry: VecDeque<(i64, Box<str>)>,
    /// The latest record time, in milliseconds since the epoch.
    latest_ms: i64,
    /// The time against which a command's age is measured: the latest record time when all input
    /// was last read, and at most five minutes ahead of the service's clock ([`progress`]).
    stream_ms: i64,
    /// The inputs that are not known to be read to their ends, with a time up to which each one
    /// is.
    unread: Vec<(Topic, i64)>,
    /// The inputs that could not be read when it was last measured how far they are.
    away: Vec<Topic>,
    /// The service's clock when the worker began to decide. Only timers may depend on it: they are
    /// state, so a restore finds them as they were set.
    now_ms: i64,
    /// The last time at which no reply to the task's follow-ups was possible ([`timers`]).
    resumed_ms: i64,
    /// Whether an input was applied or a timer fired since the last seal.
    touched: bool,
    /// How many records and timers were processed since changes were last written.
    processed: usize,
    /// How many changelog records belong to contexts and topics that this processor does not have.
    foreign: usize,
    /// Whether the changelog has a position for every input. Then only changed ones are written.
    has_all_positions: bool,
    /// Whether the transaction in flight holds anything of this task.
    in_flight: bool,
    /// Whether the changes of each input are checked: see [`Task::check_each_input`].
    checks_each_input: bool,
    /// The dead letter that the input asks for which is being decided.
    letter: Option<(LetterAt, Letter)>,
    /// Schemas that the registry does not have. An operator's command that is being decided may
    /// apply records that need them: those records fail, and the command does not.
    unregistered: Vec<u32>,
}

impl Task {
    /// Creates an empty task, to be restored.
    pub(crate) fn new(
        partition: i32,
        topology: Arc<Topology>,
        codec: Arc<Codec>,
        metrics: Metrics,
        bounds: Bounds,
    ) -> Self {
        let versioned = !topology.plain;
        let aggregates = topology.aggregates.iter().map(|one| (one.create)(versioned)).collect();
        let stamp = Stamp::new(topology.source.clone(), 0);
        Self {
            partition,
            topology,
            codec,
            metrics,
            stamp,
            bounds,
            aggregates,
            dedup: Table::default(),
            pending_commands: Table::default(),
            timers: Table::default(),
            parked: Table::default(),
            queues: Table::default(),
            positions: Vec::new(),
            sealed: TaskSavepoint::default(),
            written: TaskSavepoint::default(),
            sealed_positions: Vec::new(),
            committed_positions: Vec::new(),
            transactions: 0,
            due: Due::default(),
            expiry: VecDeque::new(),
            latest_ms: 0,
            stream_ms: 0,
            unread: Vec::new(),
            away: Vec::new(),
            now_ms: 0,
            resumed_ms: 0,
            touched: false,
            processed: 0,
            foreign: 0,
            has_all_positions: false,
            in_flight: false,
            checks_each_input: false,
            letter: None,
            unregistered: Vec::new(),
        }
    }

    /// Gives the task a dead letter that the next input asks for; `None` when that is decided.
    pub(crate) fn set_letter(&mut self, letter: Option<(LetterAt, Letter)>) {
        self.letter = letter;
    }

    /// Notes that this schema is not registered, until the input is decided. Returns `false` if it
    /// was noted before.
    pub(crate) fn set_unregistered(&mut self, schema: u32) -> bool {
        let is_new = !self.unregistered.contains(&schema);
        if is_new {
            self.unregistered.push(schema);
        }
        is_new
    }

    /// The input is decided: forgets its dead letter and the schemas that are not registered.
    pub(crate) fn end_of_input(&mut self) {
        self.letter = None;
        self.unregistered.clear();
    }

    /// The error of a record with an unknown schema, if it is known not to be registered.
    fn permanent(&self, failure: Failure) -> Failure {
        match failure {
            Failure::UnknownSchema(unknown) if self.unregistered.contains(&unknown.0) => {
                InputError::SchemaNotRegistered(unknown.0).into()
            }
            failure => failure,
        }
    }

    /// The next offset of each input topic that was ever read, including pending inputs.
    pub(crate) fn positions(&self) -> &[(Topic, i64)] {
        &self.positions
    }

    /// How many transactions with anything of this task the log holds.
    pub(crate) fn transactions(&self) -> i64 {
        self.transactions
    }

    /// Sets the positions after a restore. With `adjusted`, they differ from the changelog's, so
    /// that the next transaction must carry all of them.
    pub(crate) fn start_at(&mut self, positions: Vec<(Topic, i64)>, adjusted: bool) {
        self.has_all_positions &= !adjusted;
        self.committed_positions.clone_from(&positions);
        self.sealed_positions.clone_from(&positions);
        self.positions = positions;
    }

    /// Moves the position of an input past offsets that no reader gets, such as transaction
    /// markers.
    pub(crate) fn follow(&mut self, topic: &Topic, next: i64) {
        if let Some((_, position)) = self.positions.iter_mut().find(|(known, _)| known == topic) {
            *position = next.max(*position);
        }
    }

    /// Whether a transaction must carry the positions even if no input was applied.
    pub(crate) fn has_moved(&self) -> bool {
        !self.has_all_positions || self.positions != self.sealed_positions
    }

    /// Makes the next transaction carry the positions.
    pub(crate) fn touch(&mut self) {
        self.touched = true;
    }

    /// Whether the next transaction holds anything of this task.
    pub(crate) fn touched(&self) -> bool {
        self.touched
    }

    /// The number of states, children and commands in memory.
    pub(crate) fn rows(&self) -> usize {
        self.aggregates.iter().map(|one| one.len()).sum::<usize>() + self.dedup.len()
    }

    /// The number of parked records.
    pub(crate) fn parked(&self) -> usize {
        self.parked.len()
    }
}

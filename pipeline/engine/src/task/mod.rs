//! One partition number of a processor: its aggregates, and everything that it has to remember.
//!
//! A task turns a record into effects, behind a savepoint of its own, and knows what of its state
//! is committed, in flight and pending. It never does I/O: the worker polls, commits and restores.

mod apply;
mod parked;
mod recall;

pub(crate) use recall::Unwritten;

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use redpanda::log::Topic;
use schemas::{
    Codec,
    engine::{Handled, Parked, Waiting},
};

use crate::{
    aggregate::Aggregates,
    envelope::Stamp,
    metrics::Metrics,
    table::{Savepoint, Table},
    topology::Topology,
};

/// The queue of a parked key.
#[derive(Clone, Copy, Debug, Default)]
struct Queue {
    count: u32,
    bytes: u64,
}

/// How many kinds of aggregates a processor may have: a place in their tables is taken for every
/// record.
pub(crate) const KINDS_MAX: usize = 4;

/// A place in all the tables of a task.
#[derive(Clone, Copy, Debug)]
struct Place {
    kinds: [[Savepoint; 2]; KINDS_MAX],
    own: [Savepoint; 5],
}

/// For how long a task remembers, and how much.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// For how long a command's outcome is remembered.
    pub(crate) horizon_ms: i64,
    /// For how long a finished aggregate is remembered.
    pub(crate) retention_ms: i64,
    /// How many bytes the parked records of all keys may have.
    pub(crate) parked_bytes_max: u64,
}

/// One partition number of a processor.
pub(crate) struct Task {
    pub(crate) partition: i32,
    topology: Arc<Topology>,
    codec: Arc<Codec>,
    metrics: Metrics,
    stamp: Stamp,
    bounds: Bounds,
    kinds: Vec<Box<dyn Aggregates>>,
    handled: Table<Handled>,
    waiting: Table<Waiting>,
    timers: Table<i64>,
    parked: Table<Parked>,
    queues: Table<Queue>,
    /// The next offset of each input topic, by topic; topics that were never read are not here.
    positions: Vec<(Topic, i64)>,
    /// Where the transaction in flight ends and the pending one begins.
    sealed: Place,
    /// How far the pending writes have been written already.
    written: Place,
    /// The positions there, and those that are committed.
    sealed_positions: Vec<(Topic, i64)>,
    committed_positions: Vec<(Topic, i64)>,
    /// Timers by the time that they come due. May name some that are gone: the table decides.
    due: BTreeSet<(i64, Box<str>)>,
    /// Commands by the time that they were received, to be forgotten.
    expiry: VecDeque<(i64, Box<str>)>,
    /// The latest record time that was seen, in milliseconds since the epoch.
    latest_ms: i64,
    /// The time from which a command's age counts: the latest record time when all input was last
    /// read, and at most [`AHEAD_MAX_MS`] ahead of the service's clock.
    stream_ms: i64,
    /// Whether anything was applied since the last seal.
    touched: bool,
    /// How many records and timers were worked on since changes were last written.
    worked: usize,
    /// How many records of the changelog are of contexts and topics that this processor does not
    /// have.
    foreign: usize,
    /// Whether log and changelog have a position for every input: then only changed ones are
    /// written.
    announced: bool,
    /// Whether the transaction in flight holds anything of this task.
    in_flight: bool,
    /// Whether the changes of each input are checked by themselves: see [`Task::check_each`].
    checks: bool,
}

/// How far the stream's time may be ahead of the service's clock: five minutes.
const AHEAD_MAX_MS: i64 = 300_000;

impl Task {
    /// An empty task.
    pub(crate) fn new(
        partition: i32,
        topology: Arc<Topology>,
        codec: Arc<Codec>,
        metrics: Metrics,
        bounds: Bounds,
    ) -> Self {
        let kinds: Vec<_> = topology.kinds.iter().map(|make| make(!topology.plain)).collect();
        let stamp = Stamp::new(topology.source.clone(), 0);
        let start = Savepoint::default();
        let sealed = Place { kinds: [[start; 2]; KINDS_MAX], own: [start; 5] };
        Self {
            partition,
            topology,
            codec,
            metrics,
            stamp,
            bounds,
            kinds,
            handled: Table::default(),
            waiting: Table::default(),
            timers: Table::default(),
            parked: Table::default(),
            queues: Table::default(),
            positions: Vec::new(),
            sealed,
            written: sealed,
            sealed_positions: Vec::new(),
            committed_positions: Vec::new(),
            due: BTreeSet::new(),
            expiry: VecDeque::new(),
            latest_ms: 0,
            stream_ms: 0,
            touched: false,
            worked: 0,
            foreign: 0,
            announced: false,
            in_flight: false,
            checks: false,
        }
    }

    /// The next offset of each input topic that was ever read, as the state stands now.
    pub(crate) fn positions(&self) -> &[(Topic, i64)] {
        &self.positions
    }

    /// Sets where the inputs are read from: what the group has committed, or the log's beginning.
    /// With `anew`, the positions are others than those that were committed, and are to be
    /// committed.
    pub(crate) fn start_at(&mut self, positions: Vec<(Topic, i64)>, anew: bool) {
        self.announced &= !anew;
        self.committed_positions.clone_from(&positions);
        self.sealed_positions.clone_from(&positions);
        self.positions = positions;
    }

    /// All input up to `now_ms` by the service's clock has been read, so the stream's time moves
    /// on. Not before: after an outage the topics are read in any order, and a newer record of one
    /// must not make an older command of another too old. A record of a broker whose clock is ahead
    /// moves it hardly.
    pub(crate) fn drained(&mut self, now_ms: i64) {
        self.stream_ms =
            self.stream_ms.max(self.latest_ms.min(now_ms.saturating_add(AHEAD_MAX_MS)));
    }

    /// Moves the position of an input past what nobody is given.
    pub(crate) fn follow(&mut self, topic: &Topic, next: i64) {
        if let Some((_, position)) = self.positions.iter_mut().find(|(known, _)| known == topic) {
            *position = next.max(*position);
        }
    }

    /// Whether a transaction has to carry the positions, though nothing was applied.
    pub(crate) fn has_moved(&self) -> bool {
        !self.announced || self.positions != self.sealed_positions
    }

    /// Makes a transaction due that carries the positions.
    pub(crate) fn touch(&mut self) {
        self.touched = true;
    }

    /// Whether anything was applied or fired since the last seal: then a transaction is due.
    pub(crate) fn touched(&self) -> bool {
        self.touched
    }

    /// How many states, members and commands it remembers.
    pub(crate) fn remembered(&self) -> usize {
        self.kinds.iter().map(|kind| kind.len()).sum::<usize>() + self.handled.len()
    }

    /// How many records wait behind a failed one of their key.
    pub(crate) fn parked(&self) -> usize {
        self.parked.len()
    }

    /// The pending writes become those of the transaction in flight.
    pub(crate) fn seal(&mut self) {
        self.sealed = self.place();
        self.written = self.sealed;
        self.sealed_positions.clone_from(&self.positions);
        self.touched = false;
        self.in_flight = true;
    }

    /// The transaction in flight was committed: what was sealed is final.
    pub(crate) fn settle(&mut self) {
        let Place { kinds, own } = self.sealed;
        for (kind, savepoint) in self.kinds.iter_mut().zip(kinds) {
            kind.settle(savepoint);
        }
        self.handled.settle(own[0]);
        self.waiting.settle(own[1]);
        self.timers.settle(own[2]);
        self.parked.settle(own[3]);
        self.queues.settle(own[4]);
        // A transaction that holds anything of the task holds all positions that the changelog
        // lacks.
        self.announced |= self.in_flight;
        self.checks &= !std::mem::take(&mut self.in_flight);
        if self.committed_positions != self.sealed_positions {
            self.committed_positions.clone_from(&self.sealed_positions);
        }
    }

    /// Takes the pending writes back; those of the transaction in flight stay.
    pub(crate) fn drop_pending(&mut self) {
        self.roll_back(self.sealed);
        self.written = self.sealed;
        self.positions.clone_from(&self.sealed_positions);
        self.touched = false;
        self.index();
    }

    /// The transaction in flight was aborted: takes everything back that is not final.
    pub(crate) fn abort(&mut self) {
        let start = Savepoint::default();
        if redpanda::mutant::is_active("keep-overlay") {
            let committed = self.committed_positions.clone();
            self.seal();
            self.settle();
            self.positions.clone_from(&committed);
            self.sealed_positions.clone_from(&committed);
            self.committed_positions = committed;
            return;
        }
        self.roll_back(Place { kinds: [[start; 2]; KINDS_MAX], own: [start; 5] });
        self.sealed = self.place();
        self.written = self.sealed;
        self.positions.clone_from(&self.committed_positions);
        self.sealed_positions.clone_from(&self.committed_positions);
        self.touched = false;
        self.in_flight = false;
        self.index();
    }

    fn place(&self) -> Place {
        let mut kinds = [[Savepoint::default(); 2]; KINDS_MAX];
        for (place, kind) in kinds.iter_mut().zip(&self.kinds) {
            *place = kind.savepoint();
        }
        let own = [
            self.handled.savepoint(),
            self.waiting.savepoint(),
            self.timers.savepoint(),
            self.parked.savepoint(),
            self.queues.savepoint(),
        ];
        Place { kinds, own }
    }

    fn roll_back(&mut self, Place { kinds, own }: Place) {
        for (kind, savepoint) in self.kinds.iter_mut().zip(kinds) {
            kind.roll_back(savepoint);
        }
        self.handled.roll_back(own[0]);
        self.waiting.roll_back(own[1]);
        self.timers.roll_back(own[2]);
        self.parked.roll_back(own[3]);
        self.queues.roll_back(own[4]);
    }

    /// Makes the indexes over the tables anew, after a restore or when writes were taken back.
    fn index(&mut self) {
        self.due = self.timers.iter().map(|(name, due_ms)| (*due_ms, name.into())).collect();
        let mut expiry: Vec<_> =
            self.handled.iter().map(|(id, row)| (row.received_at, id.into())).collect();
        expiry.sort_unstable();
        self.latest_ms = self.latest_ms.max(expiry.last().map_or(0, |(at_ms, _)| *at_ms));
        self.expiry = expiry.into();
    }
}

//! A worker: one thread that owns a session and the state of its tasks, and shares nothing with
//! other workers.
//!
//! - `settings`, `status`, `error`: configuration, readiness, errors
//! - `batch`: what is decided and not submitted yet
//! - `poll`: reads input, lets tasks decide, fires timers; `local`: decides follow-ups at once
//! - `pace`: how long a batch waits at high load, so that transactions become fewer
//! - `transaction`: hands batches over to the session, and reacts to the end of transactions
//! - `group`: assigns and releases tasks
//! - `rebuild`: discards everything when it is unknown whether memory and log agree
//! - `spans`: the OpenTelemetry spans of decisions
//! - `restore`, `start`: load tasks from their changelogs, and find the offsets from which they
//!   read
//!
//! The loop is `Worker::turn`. It waits in the poll, and for some milliseconds for the transaction
//! in flight if the next batch is due. Only a release of tasks and a shutdown wait for a
//! transaction's end, and a rebuild pauses before it opens a session. Commits, restores and
//! requests to the registry run on other threads.

mod batch;
mod error;
mod group;
mod local;
mod pace;
mod poll;
mod rebuild;
mod restore;
mod settings;
mod spans;
mod start;
mod status;
mod transaction;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use redpanda::log::{Connect, Record, Session};
use schemas::{Codec, chain};

pub use error::WorkerError;
pub use settings::Settings;
pub use status::{SILENCE_MAX, Status};

use crate::{
    error::Missing,
    learner::{Learner, SchemaSource},
    letters::Letters,
    metrics::Metrics,
    task::Task,
    topology::Topology,
};
use batch::PendingBatch;
use error::SessionError;
use pace::Pace;
use restore::Restoring;
use settings::{COMMIT_MAX, IDLE_WAIT};
use spans::Spans;
use status::Shares;

/// Returns the time in milliseconds since the Unix epoch. A worker uses it only to set timers that
/// an input sets late, to find those that are due, and to bound the stream time.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// A worker: one thread of a processor, with its session and its tasks.
pub struct Worker {
    topology: Arc<Topology>,
    codec: Arc<Codec>,
    connect: Arc<dyn Connect>,
    learner: Learner,
    letters: Letters,
    clock: Clock,
    settings: Settings,
    metrics: Metrics,
    status: Arc<Status>,

    /// The session. `None` before it is opened, and during a step.
    session: Option<Box<dyn Session>>,
    /// Whether the group has assigned partitions, possibly none.
    assigned: bool,
    /// Tasks that process records.
    active: BTreeMap<i32, Task>,
    /// Tasks that are loaded from their changelogs.
    restoring: BTreeMap<i32, Restoring>,
    /// Assigned partitions whose restore has not begun, and when it may begin.
    unread: BTreeMap<i32, Instant>,
    /// Stuck tasks and the reasons. They are restored again after a while.
    stuck: BTreeMap<i32, String>,
    /// Active tasks whose next record has an unknown schema, or sends a dead letter again that is
    /// not read yet. Their inputs are not read.
    awaiting: BTreeMap<i32, Missing>,

    /// Records that were polled and are not decided yet.
    inbox: Vec<Record>,
    batch: PendingBatch,
    spans: Spans,
    /// What it has added to the gauges of its process.
    shares: Shares,
    pace: Pace,
    /// When the transaction in flight was submitted or its abort was requested.
    in_flight: Option<Instant>,
    /// When the first records of the transaction that is open or in flight were handed over.
    open_since: Option<Instant>,

    /// When the worker last looked for positions that no transaction carries, and committed them.
    positions_at: Instant,
    /// When it has looked for those of the batch that is pending or in flight.
    positions_pending: Option<Instant>,
    /// How many times in a row the session was fenced.
    fenced: u32,
    /// The wait before the next session is opened.
    rebuild_wait: Duration,
    /// How many transactions were aborted since the last commit.
    aborts: u32,
    /// The end of the pause after repeated aborts. Until then the worker neither reads nor fires
    /// timers.
    paused: Option<Instant>,
}

impl Worker {
    /// Creates a worker. It opens its session with the first step.
    pub fn new(
        topology: Arc<Topology>,
        codec: Arc<Codec>,
        connect: Arc<dyn Connect>,
        source: Arc<dyn SchemaSource>,
        clock: Clock,
        settings: Settings,
        metrics: Metrics,
    ) -> Self {
        let rebuild_wait = settings.rebuild_wait;
        Self {
            topology,
            learner: Learner::new(source, codec.clone()),
            codec,
            letters: Letters::new(connect.clone()),
            connect,
            clock,
            settings,
            metrics,
            status: Arc::default(),
            session: None,
            assigned: false,
            active: BTreeMap::new(),
            restoring: BTreeMap::new(),
            unread: BTreeMap::new(),
            stuck: BTreeMap::new(),
            awaiting: BTreeMap::new(),
            inbox: Vec::new(),
            batch: PendingBatch::default(),
            spans: Spans::default(),
            shares: Shares::default(),
            pace: Pace::default(),
            in_flight: None,
            open_since: None,
            positions_at: Instant::now(),
            positions_pending: None,
            fenced: 0,
            rebuild_wait,
            aborts: 0,
            paused: None,
        }
    }

    /// The status, for other threads.
    pub fn status(&self) -> Arc<Status> {
        self.status.clone()
    }

    /// Runs until `shutdown` is set, then finishes the transaction that it has begun. Calls
    /// `turned` before each turn.
    ///
    /// # Errors
    /// Fails if the worker must not continue: see [`WorkerError`].
    pub fn run(mut self, shutdown: &AtomicBool, turned: impl Fn()) -> Result<(), WorkerError> {
        while !shutdown.load(Ordering::Relaxed) {
            turned();
            self.step(IDLE_WAIT)?;
        }
        if let Err(error) = self.finish() {
            // The next owner of the tasks restores what the log holds, so nothing is lost.
            let error = chain(&error);
            tracing::warn!(error, "the last transaction did not end in order; the log decides");
        }
        Ok(())
    }

    /// Runs one turn: polls for up to `idle`, decides, and hands over what is due. Returns whether
    /// it did anything.
    ///
    /// # Errors
    /// Fails if the worker must not continue: see [`WorkerError`].
    pub fn step(&mut self, idle: Duration) -> Result<bool, WorkerError> {
        // The session is moved out, so that a turn can borrow both it and the worker.
        let (done, session) = match self.session.take() {
            None => (self.open(), None),
            Some(mut session) => (self.turn(&mut *session, idle), Some(session)),
        };
        match done {
            Ok(worked) => {
                self.session = session.or(self.session.take());
                self.publish();
                Ok(worked)
            }
            Err(error) => self.rebuild(error, session).map(|()| true),
        }
    }

    /// The bytes of output of the pending batch, written or not.
    pub(crate) fn bytes(&self) -> usize {
        self.batch.bytes()
    }

    /// The number of records and timers in the pending batch.
    pub(crate) fn pending(&self) -> usize {
        self.batch.inputs()
    }

    /// The offsets of a partition's changelog that a restore has still to read, as published.
    pub(crate) fn restore_remaining(&self, partition: i32) -> i64 {
        self.metrics.restore_remaining.with_label_values(&[&partition.to_string()]).get()
    }

    fn open(&mut self) -> Result<bool, SessionError> {
        self.session = Some(self.connect.open()?);
        Ok(true)
    }

    fn turn(&mut self, session: &mut dyn Session, idle: Duration) -> Result<bool, SessionError> {
        self.resume(session)?;
        // Positions also move past transaction markers, which may be all that keeps a partition of
        // follow-ups closed.
        if self.batch.open_partitions().is_behind() {
            self.follow(session);
        }
        let polled = self.poll_if_empty(session, idle)?;
        // A poll that meets a change of membership returns early, so it proves nothing about the
        // end of the input.
        let mut drained = polled.drained;
        let mut changed = false;
        while let Some(change) = session.membership() {
            (drained, changed) = (false, true);
            self.change(session, change)?;
        }
        self.decide(session)?;
        if drained {
            self.advance_stream_time();
        }
        let fired = self.fire(session);
        let restored = self.restore(session)?;
        let ended = self.complete(session, Duration::ZERO)?;
        if polled.records == 0 && self.positions_at.elapsed() >= self.settings.positions_every {
            self.add_moved_positions(session);
        }
        let submitted = self.submit_when_due(session, polled.records == 0)?;
        self.measure_lag(session);
        Ok(polled.records > 0
            || changed
            || fired > 0
            || restored
            || ended
            || submitted
            || !self.awaiting.is_empty())
    }

    /// Shuts down: waits for the transaction in flight, then commits the pending batch.
    fn finish(&mut self) -> Result<(), SessionError> {
        let Some(mut session) = self.session.take() else { return Ok(()) };
        if self.in_flight.is_some() {
            self.complete(&mut *session, COMMIT_MAX)?;
        }
        // Records in the inbox are not decided. The next owner of the tasks reads them again.
        self.add_moved_positions(&mut *session);
        if self.batch.inputs() > 0 && self.in_flight.is_none() {
            self.submit(&mut *session)?;
            self.complete(&mut *session, COMMIT_MAX)?;
        }
        Ok(())
    }
}

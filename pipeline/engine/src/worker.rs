//! A worker: one thread that owns a session and the state of its tasks, and shares nothing with
//! other workers.
//!
//! It polls, lets its tasks decide, and hands over what follows, part by part; while a transaction
//! is being committed, the next batch is decided with its effects held back. What the tasks hold in
//! memory beyond the committed log can always be taken back.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use redpanda::{
    batch::Batch,
    log::{
        Connect, LogError, Membership, Record, Restore, Session, Start, Topic, TopicPartition,
        Transaction, TransactionError,
    },
};
use schemas::Codec;

use crate::{
    learner::{Learner, Learnt},
    metrics::Metrics,
    output::Output,
    task::{Bounds, Task, Unwritten},
    topology::{Route, Topology},
};

/// How long a poll waits where nothing is to do.
const IDLE: Duration = Duration::from_millis(500);
/// How long it waits while a transaction is in flight, so that its end is soon seen.
const IN_FLIGHT: Duration = Duration::from_millis(10);
/// How long it waits while some tasks work and others are restored.
const RESTORING: Duration = Duration::from_millis(1);
/// How long a batch that is due waits for the log before the group is served again.
const COMMIT_WAIT: Duration = Duration::from_millis(5);
/// The longest wait between a transaction that was aborted like the one before it and the next.
const ABORT_WAIT_MAX: Duration = Duration::from_secs(10);
/// A commit that is not answered within this is taken for lost. Longer than
/// `transaction.timeout.ms`.
const COMMIT_MAX: Duration = Duration::from_secs(20);
/// How many records are polled in one turn: few enough to be still in the processor's cache when
/// they are decided on.
const POLL_MAX: usize = 256;
/// How many changelog records are read back in one go, and how many timers fire in one batch.
const RESTORE_MAX: usize = 10_000;
const TIMERS_MAX: usize = 1_000;

/// How a worker works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Commit at this interval; zero commits as soon as the input drains.
    pub commit_interval: Duration,
    /// A transaction is due when it has this many input records and timers. While another one is in
    /// flight, the next may grow to twice as many, and then nothing more is taken.
    pub records_max: usize,
    /// The same for bytes of output; one record's output may stand above it.
    pub bytes_max: usize,
    /// A transaction is due when its first input was decided on this long ago, whether or not the
    /// input has drained. Well below `transaction.timeout.ms`, past which the broker fences the
    /// session.
    pub age_max: Duration,
    /// Output of at least this many records is written before its transaction is due, so that the
    /// log works on it while the rest is decided.
    pub part_min: usize,
    /// For how long a command's outcome is remembered, so that a repeat is answered without doing
    /// it again.
    pub dedupe_horizon: Duration,
    /// For how long a finished aggregate is remembered after its last change; its members are for
    /// twice as long.
    pub retention: Duration,
    /// How many bytes the parked records of all keys of a task may have; what does not fit is a
    /// dead letter.
    pub parked_bytes_max: u64,
    /// A process that is fenced this often in a row ends.
    pub fenced_max: u32,
    /// Positions that have moved past what nobody is given, such as the marks of transactions, are
    /// committed this often where nothing else is: long before any topic's retention.
    pub positions_every: Duration,
    /// For how long a task that can't go on is set aside before it is tried again.
    pub stuck_wait: Duration,
    /// Inputs, as `topic[partition]`, that go on at the log's beginning where records are gone that
    /// were not read.
    pub accept_loss: Vec<String>,
    /// The wait before a task is restored again, or asks again what was not to be had. The wait
    /// before a session is opened anew, and before what follows the second of transactions that are
    /// aborted one after the other; these two double up to ten seconds.
    pub rebuild_wait: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            commit_interval: Duration::ZERO,
            records_max: 25_000,
            bytes_max: 16 << 20,
            age_max: Duration::from_secs(2),
            part_min: 2_000,
            dedupe_horizon: Duration::from_secs(25 * 3600),
            retention: Duration::from_secs(90 * 24 * 3600),
            parked_bytes_max: 32 << 20,
            fenced_max: 3,
            positions_every: Duration::from_secs(60),
            stuck_wait: Duration::from_secs(30),
            accept_loss: Vec::new(),
            rebuild_wait: Duration::from_millis(200),
        }
    }
}

/// Where the schemas of older or newer writers come from.
pub trait SchemaSource: Send + Sync {
    /// The schema registered under `id`, as JSON; `None` where there is none.
    ///
    /// # Errors
    /// When the registry can't be reached: to be tried again, never a reason to give a record up.
    fn schema_by_id(&self, id: u32) -> Result<Option<String>, String>;
}

/// Tells the time in milliseconds since the epoch. Only timers look at it, to see whether they are
/// due.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Why a worker ended.
#[derive(Debug, thiserror::Error)]
pub enum End {
    /// Somebody else uses the same transactional id.
    #[error(
        "fenced {times} times in a row: another process runs as {processor} with the same MILLRACE_INSTANCE; \
         give each its own ({detail})"
    )]
    Fenced {
        /// The processor.
        processor: &'static str,
        /// How often.
        times: u32,
        /// What the log said last.
        detail: String,
    },
    /// The client library can open no session in this process any more.
    #[error("{processor}: {detail}")]
    Exhausted {
        /// The processor.
        processor: &'static str,
        /// What the log said.
        detail: String,
    },
}

/// How a worker is, for those who ask from other threads.
#[derive(Debug, Default)]
pub struct Status {
    open: AtomicBool,
    /// Whether the group has told the session which partitions it has, be it none.
    assigned: AtomicBool,
    tasks: AtomicUsize,
    restoring: AtomicUsize,
    stuck: Mutex<Vec<String>>,
    /// When the session has last heard from a broker.
    heard: Mutex<Option<Instant>>,
}

/// A session that has not heard from a broker for this long is cut off. The group's other members
/// have taken its partitions by then: it is the session timeout.
pub const SILENCE_MAX: Duration = Duration::from_secs(10);

impl Status {
    /// Whether it has a session that hears from the broker, has been assigned its partitions, be it
    /// none, and all its tasks are restored.
    pub fn is_ready(&self) -> bool {
        self.open.load(Ordering::Relaxed)
            && self.assigned.load(Ordering::Relaxed)
            && self.restoring.load(Ordering::Relaxed) == 0
            && self.is_in_contact()
    }

    /// Whether the session has heard from a broker within [`SILENCE_MAX`]. A worker that is stuck
    /// for longer counts as cut off too.
    pub fn is_in_contact(&self) -> bool {
        self.heard().is_none_or(|heard| heard.elapsed() < SILENCE_MAX)
    }

    fn heard(&self) -> Option<Instant> {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many tasks are being read back, or are about to be.
    pub fn restoring(&self) -> usize {
        self.restoring.load(Ordering::Relaxed)
    }

    /// Why tasks can't go on; empty where all can.
    pub fn stuck(&self) -> Vec<String> {
        self.stuck.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many tasks are at work.
    pub fn tasks(&self) -> usize {
        self.tasks.load(Ordering::Relaxed)
    }
}

/// What ends the use of a session.
#[derive(Debug)]
enum Trouble {
    Rebuild(String),
    Fenced(String),
    Exhausted(String),
}

impl From<LogError> for Trouble {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Exhausted { .. } => Self::Exhausted(error.to_string()),
            _ => Self::Rebuild(error.to_string()),
        }
    }
}

/// Why a task does not begin to work.
enum Hold {
    /// It is restored again, from the beginning.
    Again(String),
    /// It hardly goes away by itself: people are told.
    Stuck(String),
    /// The whole session is of no use.
    Trouble(Trouble),
}

impl From<LogError> for Hold {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Exhausted { .. } => Self::Trouble(error.into()),
            _ => Self::Again(error.to_string()),
        }
    }
}

/// A task that is being read back from its changelog.
struct Restoring {
    task: Task,
    reader: Box<dyn Restore>,
    /// What was read and is not recalled yet, because a schema is asked for.
    records: Vec<Record>,
    /// What the task starts from, once everything is read.
    start: Option<Start>,
    since: Instant,
    /// When the changelog is read on, after an error that passes.
    not_before: Instant,
}

/// One thread's worth of a processor.
pub struct Worker {
    topology: Arc<Topology>,
    codec: Arc<Codec>,
    connect: Arc<dyn Connect>,
    learner: Learner,
    clock: Clock,
    settings: Settings,
    metrics: Metrics,
    status: Arc<Status>,
    session: Option<Box<dyn Session>>,
    assigned: bool,
    active: BTreeMap<i32, Task>,
    restoring: BTreeMap<i32, Restoring>,
    /// Active tasks whose next record has a schema that is not known yet. They are not read from.
    waiting: BTreeMap<i32, u32>,
    /// Assigned partitions that are still to be restored, and from when on.
    unread: BTreeMap<i32, Instant>,
    /// Tasks that can't go on, and why. They are restored again after a while.
    stuck: BTreeMap<i32, String>,
    /// When positions were last looked at that nothing else carries.
    looked: Instant,
    output: Output,
    /// How many records and timers the pending batch has, and since when there is one.
    pending: usize,
    pending_since: Option<Instant>,
    /// How many bytes of it are written already.
    written: Option<usize>,
    in_flight: Option<Instant>,
    /// Records that were polled and are not decided on yet.
    inbox: Vec<Record>,
    fenced: u32,
    rebuild_wait: Duration,
    /// How many transactions were aborted since the last one that was committed.
    aborts: u32,
    /// While it is set, nothing is read or fired: too many transactions were aborted.
    paused: Option<Instant>,
}

impl Worker {
    /// A worker that has not begun yet.
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
            connect,
            clock,
            settings,
            metrics,
            status: Arc::default(),
            session: None,
            assigned: false,
            active: BTreeMap::new(),
            restoring: BTreeMap::new(),
            waiting: BTreeMap::new(),
            unread: BTreeMap::new(),
            stuck: BTreeMap::new(),
            looked: Instant::now(),
            output: Output::default(),
            pending: 0,
            pending_since: None,
            written: None,
            in_flight: None,
            inbox: Vec::new(),
            fenced: 0,
            rebuild_wait,
            aborts: 0,
            paused: None,
        }
    }

    /// How it is: to be asked from other threads.
    pub fn status(&self) -> Arc<Status> {
        self.status.clone()
    }

    /// Works until `shutdown` is set, then finishes what it has begun. Calls `turned` before each
    /// turn.
    ///
    /// # Errors
    /// When it must not go on: see [`End`].
    pub fn run(mut self, shutdown: &AtomicBool, turned: impl Fn()) -> Result<(), End> {
        while !shutdown.load(Ordering::Relaxed) {
            turned();
            self.step(IDLE)?;
        }
        if let Err(trouble) = self.finish() {
            tracing::warn!(?trouble, "the last transaction did not end in order; the log decides");
        }
        Ok(())
    }

    /// One turn: polls for up to `idle`, decides, commits what is due. `true` where anything was
    /// done.
    ///
    /// # Errors
    /// When it must not go on: see [`End`].
    pub fn step(&mut self, idle: Duration) -> Result<bool, End> {
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
            Err(trouble) => self.throw_away(trouble, session).map(|()| true),
        }
    }

    fn open(&mut self) -> Result<bool, Trouble> {
        self.session = Some(self.connect.open()?);
        Ok(true)
    }

    /// Forgets session, positions and state; the log has everything.
    fn throw_away(
        &mut self,
        trouble: Trouble,
        session: Option<Box<dyn Session>>,
    ) -> Result<(), End> {
        let processor = self.topology.processor;
        // The reason is logged first: a session may take seconds to end.
        match &trouble {
            Trouble::Fenced(detail) => {
                self.fenced += 1;
                tracing::warn!(processor, detail, "fenced: the session is rebuilt");
            }
            Trouble::Rebuild(reason) => {
                tracing::warn!(processor, reason, "the session is rebuilt from the log");
            }
            Trouble::Exhausted(_) => {}
        }
        drop(session);
        self.assigned = false;
        self.active.clear();
        self.restoring.clear();
        self.waiting.clear();
        self.unread.clear();
        self.stuck.clear();
        self.learner.clear();
        self.output = Output::default();
        (self.pending, self.pending_since, self.written, self.in_flight) = (0, None, None, None);
        self.inbox.clear();
        self.paused = None;
        self.metrics.rebuilds.inc();
        self.publish();
        match trouble {
            Trouble::Fenced(detail) if self.fenced >= self.settings.fenced_max => {
                return Err(End::Fenced { processor, times: self.fenced, detail });
            }
            Trouble::Exhausted(detail) => return Err(End::Exhausted { processor, detail }),
            _ => {}
        }
        std::thread::sleep(self.rebuild_wait);
        self.rebuild_wait = (self.rebuild_wait * 2).min(Duration::from_secs(10));
        Ok(())
    }

    fn turn(&mut self, session: &mut dyn Session, idle: Duration) -> Result<bool, Trouble> {
        self.resume(session)?;
        // What is left over is decided on first; without room there is nothing to poll for.
        let (polled, mut drained) = match (self.inbox.len(), self.room()) {
            (0, 0) => (0, false),
            (0, room) => match self.poll(session, idle, room)? {
                // The log has nothing more for now.
                Some(0) => (0, true),
                came => (came.unwrap_or(0), false),
            },
            (left, _) => (left, false),
        };
        // A poll that meets a change of membership comes back with nothing, whatever is to be read.
        let mut changed = false;
        while let Some(change) = session.membership() {
            (drained, changed) = (false, true);
            self.change(session, change)?;
        }
        self.decide(session)?;
        if drained {
            let now_ms = (self.clock)();
            let read = self
                .active
                .iter_mut()
                .filter(|(partition, _)| !self.waiting.contains_key(partition));
            read.for_each(|(_, task)| task.drained(now_ms));
        }
        let fired = self.fire();
        let restored = self.restore(session)?;
        let ended = self.complete(session, Duration::ZERO)?;
        if polled == 0 && self.looked.elapsed() >= self.settings.positions_every {
            self.looked = Instant::now();
            self.announce(session);
        }
        let submitted = self.submit_when_due(session, polled == 0)?;
        self.measure_lag(session);
        Ok(polled > 0
            || changed
            || fired > 0
            || restored
            || ended
            || submitted
            || !self.waiting.is_empty())
    }

    /// Reads on where that had to wait: for a schema that is known now, or after aborts.
    fn resume(&mut self, session: &mut dyn Session) -> Result<(), Trouble> {
        let waited = self.waiting.len();
        self.waiting.retain(|_, id| self.learner.is_asked(*id));
        let is_over = self.paused.is_some_and(|until| until <= Instant::now());
        if is_over {
            self.paused = None;
        }
        if is_over || self.waiting.len() < waited { self.fetch(session) } else { Ok(()) }
    }

    /// How many more records and timers the pending batch may take. While a transaction is in
    /// flight, it may become twice as large as it has to: better than to wait.
    fn room(&self) -> usize {
        let times = if self.in_flight.is_some() { 2 } else { 1 };
        match self.bytes() < self.settings.bytes_max * times {
            true => (self.settings.records_max * times).saturating_sub(self.pending),
            false => 0,
        }
    }

    /// The bytes of output that the pending batch has, written or not.
    pub(crate) fn bytes(&self) -> usize {
        self.written.unwrap_or(0) + self.output.records.bytes()
    }

    /// How many records and timers the pending batch has.
    pub(crate) fn pending(&self) -> usize {
        self.pending
    }

    /// Polls, and gives back how many records have come; `None` when the log could not be asked.
    fn poll(
        &mut self,
        session: &mut dyn Session,
        idle: Duration,
        room: usize,
    ) -> Result<Option<usize>, Trouble> {
        let wait = if self.pending > 0 || (!self.restoring.is_empty() && self.active.is_empty()) {
            Duration::ZERO
        } else if !self.restoring.is_empty() {
            // The changelog is not waited for beside tasks that work: here, so that both do not
            // spin.
            idle.min(RESTORING)
        } else if self.in_flight.is_some() || !self.waiting.is_empty() {
            idle.min(IN_FLIGHT)
        } else {
            idle.min(self.until_timer())
        };
        let wait = match self.paused {
            Some(until) => idle.min(until.saturating_duration_since(Instant::now())),
            None => wait,
        };
        let wait = match self.settings.commit_interval {
            // With an interval there is time until the next commit.
            interval if !interval.is_zero() && self.pending > 0 && self.restoring.is_empty() => {
                let waited = self.pending_since.map_or(Duration::ZERO, |since| since.elapsed());
                interval.saturating_sub(waited).min(IN_FLIGHT)
            }
            _ => wait,
        };
        match session.poll(wait, POLL_MAX.min(room), &mut self.inbox) {
            Ok(()) => Ok(Some(self.inbox.len())),
            Err(LogError::Retriable { doing, cause }) => {
                // News of connections does not come here; missing rights do.
                tracing::warn!(doing, cause, "a poll is tried again");
                Ok(Some(self.inbox.len()).filter(|came| *came > 0))
            }
            // The restore says whether it can go on, and from where.
            Err(error @ LogError::OutOfRange { .. }) => {
                let LogError::OutOfRange { partition: TopicPartition { partition, .. }, .. } =
                    &error
                else {
                    return Ok(None);
                };
                self.release(session, &[*partition])?;
                self.restore_again(*partition, &error.to_string());
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Moves positions past what nobody is given, where all that was polled is decided on.
    fn follow(&mut self, session: &mut dyn Session) {
        if !self.inbox.is_empty() {
            return;
        }
        for (place, next) in session.positions() {
            if let Some(task) = self.active.get_mut(&place.partition) {
                task.follow(&place.topic, next);
            }
        }
    }

    /// Makes a transaction due for positions that nothing else carries, where nothing is under way.
    fn announce(&mut self, session: &mut dyn Session) {
        if self.pending > 0 || self.in_flight.is_some() || self.paused.is_some() {
            return;
        }
        self.follow(session);
        for task in self.active.values_mut().filter(|task| task.has_moved()) {
            task.touch();
            self.pending += 1;
            self.pending_since.get_or_insert_with(Instant::now);
        }
    }

    fn until_timer(&self) -> Duration {
        let Some(due_ms) = self.active.values().filter_map(Task::next_due).min() else {
            return IDLE;
        };
        Duration::from_millis((due_ms - (self.clock)()).max(0).unsigned_abs())
    }

    /// Lets the tasks decide on what was polled, as far as there is room.
    fn decide(&mut self, session: &mut dyn Session) -> Result<(), Trouble> {
        let mut inbox = std::mem::take(&mut self.inbox);
        let mut run: Option<(Topic, u64)> = None;
        let mut done = 0;
        let mut waits = false;
        'records: for record in &inbox {
            if self.room() == 0 {
                break;
            }
            done += 1;
            let Some(task) = self.active.get_mut(&record.partition) else {
                tracing::debug!(topic = %record.topic, partition = record.partition, "a record of no task was left out");
                continue;
            };
            while let Err(id) = task.apply(record, &mut self.output) {
                match self.learner.learn(id) {
                    Learnt::Known => {}
                    Learnt::Unknown => {
                        let error = format!("its schema id {id} is not in the registry");
                        task.fail(record, &error, &mut self.output);
                        break;
                    }
                    Learnt::Asked => {
                        self.waiting.insert(record.partition, id);
                        waits = true;
                        break 'records;
                    }
                }
            }
            self.pending += 1;
            // Records come in runs of one topic: a label is looked up once a run.
            match &mut run {
                Some((topic, count)) if *topic == record.topic => *count += 1,
                run => self.metrics.decided(run.replace((record.topic.clone(), 1))),
            }
        }
        self.metrics.decided(run);
        inbox.drain(..done);
        self.inbox = inbox;
        if self.pending > 0 && self.pending_since.is_none() {
            self.pending_since = Some(Instant::now());
        }
        // What is not decided on is read again, but for the task that waits.
        if waits { self.fetch(session) } else { Ok(()) }
    }

    fn fire(&mut self) -> usize {
        if self.paused.is_some() {
            return 0;
        }
        let now_ms = (self.clock)();
        let (mut fired, room) = (0, self.room());
        for task in self.active.values_mut() {
            fired += task.fire(now_ms, TIMERS_MAX.min(room - fired), &mut self.output);
        }
        if fired > 0 {
            self.pending += fired;
            self.pending_since.get_or_insert_with(Instant::now);
        }
        fired
    }

    fn submit_when_due(
        &mut self,
        session: &mut dyn Session,
        drained: bool,
    ) -> Result<bool, Trouble> {
        let Some(since) = self.pending_since else { return Ok(false) };
        let full =
            self.pending >= self.settings.records_max || self.bytes() >= self.settings.bytes_max;
        let interval = self.settings.commit_interval;
        let on_time = if interval.is_zero() { drained } else { since.elapsed() >= interval };
        let due = full || on_time || since.elapsed() >= self.settings.age_max;
        if self.in_flight.is_some() && !(due && self.complete(session, COMMIT_WAIT)?) {
            return Ok(false);
        }
        // The end of the one before may have been an abort, which took this batch with it.
        if self.pending == 0 {
            return Ok(true);
        }
        // The log works on the first records of a large transaction while the rest is decided.
        let writes = self.output.records.len() >= self.settings.part_min;
        if writes {
            self.write(session)?;
        }
        if due && self.pending > 0 {
            self.follow(session);
            self.submit(session)?;
        }
        Ok(writes || due)
    }

    /// Hands over the records that were decided so far, as a first part of their transaction.
    fn write(&mut self, session: &mut dyn Session) -> Result<(), Trouble> {
        if !self.write_changes(session)? {
            return Ok(());
        }
        let records = self.take_output();
        self.written = Some(self.written.unwrap_or(0) + records.bytes());
        Ok(session.write(records)?)
    }

    /// Adds what the tasks' changelogs have to carry. `false` where one does not take it: then the
    /// batch was dropped, and its input is read again and checked one by one.
    fn write_changes(&mut self, session: &mut dyn Session) -> Result<bool, Trouble> {
        for task in self.active.values_mut().filter(|task| task.touched()) {
            match task.write_changes(&mut self.output) {
                Ok(()) => {}
                Err(Unwritten::TooLarge(error)) => {
                    tracing::warn!(
                        processor = self.topology.processor,
                        partition = task.partition,
                        error,
                        "a change is too large: the batch is decided on again, input by input"
                    );
                    task.check_each();
                    self.take_back(session)?;
                    return Ok(false);
                }
                Err(error @ Unwritten::Codec(_)) => {
                    return Err(Trouble::Rebuild(error.to_string()));
                }
            }
        }
        Ok(true)
    }

    /// Drops the pending batch, aborts what is written of it, and reads its input again.
    fn take_back(&mut self, session: &mut dyn Session) -> Result<(), Trouble> {
        if self.written.is_some() {
            session.abandon()?;
            self.in_flight = Some(Instant::now());
        }
        self.active.values_mut().for_each(Task::drop_pending);
        self.drop_batch();
        self.fetch(session)
    }

    fn submit(&mut self, session: &mut dyn Session) -> Result<(), Trouble> {
        if !self.write_changes(session)? {
            return Ok(());
        }
        let transaction = self.gather()?;
        self.active.values_mut().filter(|task| task.touched()).for_each(Task::seal);
        self.metrics.begun.inc();
        session.submit(transaction)?;
        self.in_flight = Some(Instant::now());
        (self.pending, self.pending_since, self.written) = (0, None, None);
        Ok(())
    }

    /// The records that were decided and not written yet, and the offsets of the whole transaction.
    fn gather(&mut self) -> Result<Transaction, Trouble> {
        let mut offsets = Vec::new();
        for task in self.active.values_mut().filter(|task| task.touched()) {
            let written = task.write_positions(&mut self.output);
            written.map_err(|error| {
                Trouble::Rebuild(format!("a position could not be encoded: {error}"))
            })?;
            let positions = task.positions().iter();
            offsets.extend(positions.map(|(topic, next)| {
                (TopicPartition { topic: topic.clone(), partition: task.partition }, *next)
            }));
        }
        Ok(Transaction { records: self.take_output(), offsets })
    }

    fn take_output(&mut self) -> Batch {
        let records = self.output.records.take();
        self.metrics.records_out.inc_by(records.len() as u64);
        records
    }

    /// Sees whether the transaction in flight, or what was written of the next one, has ended, and
    /// does what follows. `true` when it has.
    fn complete(&mut self, session: &mut dyn Session, wait: Duration) -> Result<bool, Trouble> {
        let ended = self.ended(session, wait)?;
        if ended == Some(Ended::Aborted) {
            self.fetch(session)?;
        }
        Ok(ended.is_some())
    }

    fn ended(
        &mut self,
        session: &mut dyn Session,
        wait: Duration,
    ) -> Result<Option<Ended>, Trouble> {
        if self.in_flight.is_none() && self.written.is_none() {
            return Ok(None);
        }
        let taken = self.in_flight.map_or(Duration::ZERO, |since| since.elapsed());
        match session.completed(wait) {
            None if taken > COMMIT_MAX => {
                self.metrics.aborted.with_label_values(&["unknown"]).inc();
                Err(Trouble::Rebuild(format!("a commit was not answered within {COMMIT_MAX:?}")))
            }
            None => Ok(None),
            Some(Ok(())) => {
                self.in_flight = None;
                self.active.values_mut().for_each(Task::settle);
                self.metrics.committed.inc();
                self.metrics.seconds.observe(taken.as_secs_f64());
                (self.fenced, self.aborts) = (0, 0);
                self.rebuild_wait = self.settings.rebuild_wait;
                Ok(Some(Ended::Committed))
            }
            Some(Err(TransactionError::Aborted(reason))) => {
                let wait = self.wait_after_abort();
                tracing::warn!(
                    processor = self.topology.processor,
                    reason,
                    aborted = self.aborts,
                    wait_ms = wait.as_millis(),
                    "a transaction was aborted; its input is read again"
                );
                self.metrics.aborted.with_label_values(&["aborted"]).inc();
                self.in_flight = None;
                self.active.values_mut().for_each(Task::abort);
                self.drop_batch();
                Ok(Some(Ended::Aborted))
            }
            Some(Err(TransactionError::Fenced(detail))) => {
                self.metrics.aborted.with_label_values(&["fenced"]).inc();
                Err(Trouble::Fenced(detail))
            }
            Some(Err(TransactionError::Unknown(detail))) => {
                self.metrics.aborted.with_label_values(&["unknown"]).inc();
                Err(Trouble::Rebuild(detail))
            }
        }
    }

    /// Sets how long nothing is read or fired after an abort: the first one of several costs no
    /// time.
    fn wait_after_abort(&mut self) -> Duration {
        self.aborts = self.aborts.saturating_add(1);
        let times = self.aborts.checked_sub(2).map_or(0, |repeats| 1_u32 << repeats.min(16));
        let wait = self.settings.rebuild_wait.saturating_mul(times).min(ABORT_WAIT_MAX);
        self.paused = (!wait.is_zero()).then(|| Instant::now() + wait);
        wait
    }

    fn drop_batch(&mut self) {
        self.output.records.truncate(0);
        self.inbox.clear();
        (self.pending, self.pending_since, self.written) = (0, None, None);
    }

    /// Reads on where the tasks are.
    fn fetch(&mut self, session: &mut dyn Session) -> Result<(), Trouble> {
        // What is not decided on yet is read again.
        self.inbox.clear();
        let positions: Vec<_> = self
            .active
            .values()
            .filter(|task| self.paused.is_none() && !self.waiting.contains_key(&task.partition))
            .flat_map(|task| {
                let partition = task.partition;
                task.positions().iter().map(move |(topic, next)| {
                    (TopicPartition { topic: topic.clone(), partition }, *next)
                })
            })
            .collect();
        Ok(session.fetch_from(&positions)?)
    }

    fn change(&mut self, session: &mut dyn Session, change: Membership) -> Result<(), Trouble> {
        tracing::info!(processor = self.topology.processor, ?change, "the group has changed");
        self.assigned = !matches!(change, Membership::Lost(_));
        match change {
            Membership::Assigned(partitions) => {
                self.unread
                    .extend(partitions.into_iter().map(|partition| (partition, Instant::now())));
            }
            Membership::Revoked(partitions) | Membership::Lost(partitions) => {
                self.release(session, &partitions)?;
            }
        }
        Ok(())
    }

    /// Lets tasks go: nothing of theirs stays open or held back.
    fn release(&mut self, session: &mut dyn Session, partitions: &[i32]) -> Result<(), Trouble> {
        // A revocation waits for the transaction in flight; after a loss it can only fail. What is
        // written of the next one must not stay open: whoever has the tasks next waits for it.
        if self.in_flight.is_none() && self.written.is_some() {
            session.abandon()?;
            self.in_flight = Some(Instant::now());
        }
        if self.in_flight.is_some() && self.ended(session, COMMIT_MAX)?.is_none() {
            return Err(unanswered("the tasks had to go"));
        }
        self.active.values_mut().for_each(Task::drop_pending);
        self.drop_batch();
        // Whoever still waits for a schema asks again.
        self.learner.clear();
        for partition in partitions {
            self.active.remove(partition);
            self.waiting.remove(partition);
            self.restoring.remove(partition);
            self.unread.remove(partition);
            self.stuck.remove(partition);
            self.metrics.restore_remaining.with_label_values(&[&partition.to_string()]).set(0);
        }
        self.fetch(session)
    }

    /// Lets a task wait that can't go on, so that the others do. What is told once may have changed
    /// while it was asked; what is told again hardly goes away by itself.
    fn set_aside(&mut self, partition: i32, reason: String) {
        if self.stuck.insert(partition, reason.clone()).is_none() {
            return self.restore_again(partition, &reason);
        }
        let processor = self.topology.processor;
        tracing::error!(processor, partition, reason, "a task can't go on; the others work");
        self.unread.insert(partition, Instant::now() + self.settings.stuck_wait);
    }

    /// Lets a task be restored from the beginning, after a moment.
    fn restore_again(&mut self, partition: i32, reason: &str) {
        tracing::warn!(
            processor = self.topology.processor,
            partition,
            reason,
            "a task is restored again"
        );
        self.unread.insert(partition, Instant::now() + self.settings.rebuild_wait);
    }

    fn hold(&mut self, partition: i32, hold: Hold) -> Result<(), Trouble> {
        match hold {
            Hold::Again(reason) => self.restore_again(partition, &reason),
            Hold::Stuck(reason) => self.set_aside(partition, reason),
            Hold::Trouble(trouble) => return Err(trouble),
        }
        Ok(())
    }

    fn begin_restore(&mut self, session: &mut dyn Session, partition: i32) -> Result<(), Trouble> {
        let place = |topic: &Topic| TopicPartition { topic: topic.clone(), partition };
        let inputs: Vec<_> = self.topology.inputs().iter().map(place).collect();
        let reader = match session.restore(&place(&self.topology.changelog), &inputs) {
            Ok(reader) => reader,
            Err(error) => return self.hold(partition, error.into()),
        };
        let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4);
        let bounds = Bounds {
            horizon_ms: ms(self.settings.dedupe_horizon),
            retention_ms: ms(self.settings.retention),
            parked_bytes_max: self.settings.parked_bytes_max,
        };
        let task = Task::new(
            partition,
            self.topology.clone(),
            self.codec.clone(),
            self.metrics.clone(),
            bounds,
        );
        let now = Instant::now();
        let (records, start) = (Vec::new(), None);
        let restoring = Restoring { task, reader, records, start, since: now, not_before: now };
        self.restoring.insert(partition, restoring);
        Ok(())
    }

    /// Reads some more of the changelogs back; a task that has all of its own begins to work.
    fn restore(&mut self, session: &mut dyn Session) -> Result<bool, Trouble> {
        let now = Instant::now();
        let due: Vec<_> =
            self.unread.iter().filter(|(_, at)| **at <= now).map(|(p, _)| *p).collect();
        for partition in due {
            self.unread.remove(&partition);
            self.begin_restore(session, partition)?;
        }
        if self.restoring.is_empty() {
            return Ok(false);
        }
        let wait = if self.active.is_empty() { IN_FLIGHT } else { Duration::ZERO };
        let (mut finished, mut held, mut worked) = (Vec::new(), Vec::new(), false);
        for (partition, restoring) in &mut self.restoring {
            if restoring.not_before > now {
                continue;
            }
            let Restoring { task, reader, records, start, not_before, .. } = restoring;
            if records.is_empty() && start.is_none() {
                match reader.poll(wait, RESTORE_MAX, records) {
                    Ok(found) => *start = found,
                    // What was read stays read.
                    Err(LogError::Retriable { doing, cause }) => {
                        tracing::warn!(partition, doing, cause, "a restore asks again");
                        *not_before = now + self.settings.rebuild_wait;
                    }
                    Err(error) => {
                        held.push((*partition, error.into()));
                        continue;
                    }
                }
                self.metrics.restored.inc_by(records.len() as u64);
            }
            worked |= !records.is_empty() || start.is_some();
            if let Err(reason) = recall(&mut self.learner, task, records) {
                held.push((*partition, Hold::Stuck(reason)));
                continue;
            }
            let (position, end) = reader.progress();
            let label = partition.to_string();
            self.metrics
                .restore_remaining
                .with_label_values(&[&label])
                .set((end - position).max(0));
            if records.is_empty() && start.is_some() {
                finished.push(*partition);
            }
        }
        let any = !finished.is_empty();
        for partition in finished {
            if let Some(restoring) = self.restoring.remove(&partition)
                && let Err(hold) = self.begin_work(restoring)
            {
                held.push((partition, hold));
            }
        }
        for (partition, hold) in held {
            self.restoring.remove(&partition);
            self.hold(partition, hold)?;
        }
        if any {
            // Reading starts anew everywhere: what was decided but not handed over keeps its place.
            self.fetch(session)?;
        }
        Ok(worked)
    }

    fn begin_work(&mut self, restoring: Restoring) -> Result<(), Hold> {
        let Restoring { mut task, start, since, .. } = restoring;
        let Start { committed, kept } = start.unwrap_or_default();
        task.recalled();
        let partition = task.partition;
        let (mut positions, mut anew) = (Vec::new(), false);
        for ((topic, committed), kept) in
            self.topology.inputs().into_iter().zip(committed).zip(kept)
        {
            let place = TopicPartition { topic: topic.clone(), partition };
            let applied =
                task.positions().iter().find(|(known, _)| *known == topic).map(|(_, next)| *next);
            if let Some(committed) = committed.filter(|_| committed != applied) {
                let but = match applied {
                    Some(applied) => {
                        format!("has applied {applied}; nothing is processed until they agree")
                    }
                    None => format!(
                        "knows of no position: has {} been emptied?",
                        self.topology.changelog
                    ),
                };
                let reason = format!(
                    "{place}: the group has committed {committed}, but the changelog {but}"
                );
                return Err(Hold::Stuck(reason));
            }
            let next = applied.map_or(Ok(kept.0), |applied| self.kept(&place, applied, kept));
            let next = next.map_err(Hold::Stuck)?;
            anew |= applied.is_some_and(|applied| applied != next);
            positions.push((topic, next));
        }
        task.start_at(positions, anew);
        self.stuck.remove(&partition);
        tracing::info!(
            processor = self.topology.processor,
            partition,
            rows = task.remembered(),
            seconds = since.elapsed().as_secs_f64(),
            "a task is restored and begins to work"
        );
        self.active.insert(partition, task);
        Ok(())
    }

    /// Where an input is read on whose position is `next`, while the log keeps `beginning..end` of
    /// it. Records are never skipped, unless an operator has said so.
    fn kept(
        &self,
        place: &TopicPartition,
        next: i64,
        (beginning, end): (i64, i64),
    ) -> Result<i64, String> {
        if (beginning..=end).contains(&next) {
            return Ok(next);
        }
        // Only processors write follow-ups and events, in transactions. So the last offset of such
        // a partition is the mark of one, and where it is all that is gone, no record is.
        let written_by_users =
            matches!(self.topology.route(&place.topic), Some(Route::Commands(_)));
        if !written_by_users && beginning == end && next + 1 == beginning {
            tracing::warn!(%place, next, beginning, "retention has removed a transaction's mark; reading goes on behind it");
            return Ok(beginning);
        }
        let (partition, offset) = (place.clone(), next);
        let error = LogError::OutOfRange { partition, offset, beginning, end };
        if next > end {
            return Err(format!(
                "{error}; the log has lost its end: bring back what it had, or rebuild the cluster"
            ));
        }
        if self.settings.accept_loss.contains(&place.to_string()) {
            tracing::error!(%error, "what was not read is given up, as MILLRACE_ACCEPT_LOSS says");
            return Ok(beginning);
        }
        Err(format!(
            "{error}: it was removed before it was read, and may have held records. Start the service with \
             MILLRACE_ACCEPT_LOSS={place} to go on at {beginning} without them"
        ))
    }

    /// Commits what was decided, as far as that is still possible.
    fn finish(&mut self) -> Result<(), Trouble> {
        let Some(mut session) = self.session.take() else { return Ok(()) };
        if self.in_flight.is_some() {
            self.complete(&mut *session, COMMIT_MAX)?;
        }
        // What was polled and not decided on is for whoever comes next.
        self.announce(&mut *session);
        if self.pending > 0 && self.in_flight.is_none() {
            self.submit(&mut *session)?;
            self.complete(&mut *session, COMMIT_MAX)?;
        }
        Ok(())
    }

    fn measure_lag(&self, session: &mut dyn Session) {
        for (place, lag) in session.lag() {
            if self.active.contains_key(&place.partition) {
                self.metrics
                    .lag
                    .with_label_values(&[&*place.topic, &place.partition.to_string()])
                    .set(lag);
            }
        }
    }

    fn publish(&self) {
        self.status.open.store(self.session.is_some(), Ordering::Relaxed);
        self.status.assigned.store(self.assigned, Ordering::Relaxed);
        if let Some(session) = &self.session {
            let heard = Instant::now().checked_sub(session.silence());
            *self.status.heard.lock().unwrap_or_else(PoisonError::into_inner) = heard;
        }
        let waiting = self.waiting.iter().filter_map(|(partition, id)| {
            let error = self.learner.error(*id)?;
            Some(format!("task {partition}: waits for schema {id} of the registry: {error}"))
        });
        let stuck =
            self.stuck.iter().map(|(partition, reason)| format!("task {partition}: {reason}"));
        *self.status.stuck.lock().unwrap_or_else(PoisonError::into_inner) =
            stuck.chain(waiting).collect();
        self.status.tasks.store(self.active.len(), Ordering::Relaxed);
        self.status.restoring.store(self.restoring.len() + self.unread.len(), Ordering::Relaxed);
        self.metrics.tasks.with_label_values(&["active"]).set(self.active.len() as i64);
        self.metrics.tasks.with_label_values(&["restoring"]).set(self.restoring.len() as i64);
        self.metrics.tasks.with_label_values(&["stuck"]).set(self.stuck.len() as i64);
        self.metrics
            .remembered
            .set(self.active.values().map(Task::remembered).sum::<usize>() as i64);
        self.metrics.parked_now.set(self.active.values().map(Task::parked).sum::<usize>() as i64);
    }
}

/// How a transaction has ended that the session survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Committed,
    Aborted,
}

fn unanswered(before: &str) -> Trouble {
    Trouble::Rebuild(format!("a commit was not answered before {before}"))
}

/// Takes records of a changelog back in, and out of `records`. What is left there waits for a
/// schema.
fn recall(learner: &mut Learner, task: &mut Task, records: &mut Vec<Record>) -> Result<(), String> {
    let mut done = 0;
    let recalled = 'records: {
        for record in &*records {
            while let Err(error) = task.recall(record) {
                match error.unknown_schema().map_or(Learnt::Unknown, |id| learner.learn(id)) {
                    Learnt::Known => {}
                    Learnt::Asked => break 'records Ok(()),
                    Learnt::Unknown => {
                        let (topic, partition, offset) =
                            (&record.topic, record.partition, record.offset);
                        let reason =
                            format!("{topic}[{partition}] at {offset} can't be read back: {error}");
                        break 'records Err(reason);
                    }
                }
            }
            done += 1;
        }
        Ok(())
    };
    records.drain(..done);
    recalled
}

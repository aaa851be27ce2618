//! The settings of a worker, and the constants of its loop.

use std::time::Duration;

use super::status::SILENCE_MAX;

/// How long a poll waits when the worker is idle.
pub(super) const IDLE_WAIT: Duration = Duration::from_millis(500);
/// How long a poll waits while a transaction is in flight, so that its end is soon noticed.
pub(super) const IN_FLIGHT_WAIT: Duration = Duration::from_millis(10);
/// How long a poll waits while some tasks work and others are restored.
pub(super) const RESTORING_WAIT: Duration = Duration::from_millis(1);
/// How long a batch that is due waits for the transaction in flight before the worker serves the
/// group again.
pub(super) const COMMIT_WAIT: Duration = Duration::from_millis(5);
/// The longest pause after several transactions in a row were aborted.
pub(super) const ABORT_WAIT_MAX: Duration = Duration::from_secs(10);
/// The longest wait before a session is opened again.
pub(super) const REBUILD_WAIT_MAX: Duration = Duration::from_secs(10);
/// A commit without an answer within this time counts as lost. It is longer than
/// `transaction.timeout.ms`.
pub(super) const COMMIT_MAX: Duration = Duration::from_secs(20);
/// The most records of one poll: few enough to be in the CPU's cache when they are decided.
pub(super) const POLL_MAX: usize = 256;
/// The most changelog records that a restore reads in one turn.
pub(super) const RESTORE_MAX: usize = 10_000;
/// The most timers that a task fires in one turn.
pub(super) const TIMERS_MAX: usize = 1_000;

/// The settings of a worker.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The age at which a batch is due. Zero: as soon as the input drains. `None`: as soon as it
    /// drains at low load, and at high load up to 100 ms later.
    pub commit_interval: Option<Duration>,
    /// A transaction is due when it has this many input records and timers. While another one is in
    /// flight, the next may grow to twice as many; then the worker stops reading.
    pub records_max: usize,
    /// The same limit for bytes of output. The output of the last record may exceed it.
    pub bytes_max: usize,
    /// A transaction is due when its first input was decided this long ago, even if the input has
    /// not drained. It must be well below `transaction.timeout.ms`, after which the broker fences
    /// the session.
    pub age_max: Duration,
    /// Whether follow-ups for the worker's own tasks are decided in the transaction that writes
    /// them. Every instance of the processor must run a version that knows such follow-ups.
    pub local_follow_ups: bool,
    /// Output of at least this many records is written as a part before its transaction is due, so
    /// that the log stores it while the rest is decided.
    pub part_min: usize,
    /// How long a command's outcome is kept for repeats.
    pub dedupe_horizon: Duration,
    /// How long a finished aggregate is kept after its last change. Its children are kept for twice
    /// as long.
    pub retention: Duration,
    /// The most bytes in the parked records of all keys of a task. A record that does not fit is a
    /// dead letter.
    pub parked_bytes_max: u64,
    /// The worker ends when it is fenced this many times in a row.
    pub fenced_max: u32,
    /// The interval at which positions are committed that moved only past offsets that no reader
    /// gets, such as transaction markers. It must be far below the retention of every topic.
    pub positions_every: Duration,
    /// How long a stuck task waits before it is restored again.
    pub stuck_wait: Duration,
    /// Inputs, as `topic[partition]`, that start at the log's beginning although records before it
    /// were removed unread.
    pub accept_loss: Vec<String>,
    /// The wait before a task is restored again or a failed read of a changelog is retried. It is
    /// also the first wait before a session is opened again, and the pause after the second abort
    /// in a row. Both double each time, up to 10 s.
    pub rebuild_wait: Duration,
    /// If a transaction is aborted this long after its first records were handed over, or later,
    /// nobody could write meanwhile, and the time does not count against deadlines.
    pub slow_abort: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            commit_interval: None,
            records_max: 25_000,
            bytes_max: 16 << 20,
            age_max: Duration::from_secs(2),
            local_follow_ups: true,
            part_min: 2_000,
            dedupe_horizon: Duration::from_secs(25 * 3600),
            retention: Duration::from_secs(90 * 24 * 3600),
            parked_bytes_max: 32 << 20,
            fenced_max: 3,
            positions_every: Duration::from_secs(60),
            stuck_wait: Duration::from_secs(30),
            accept_loss: Vec::new(),
            rebuild_wait: Duration::from_millis(200),
            slow_abort: SILENCE_MAX,
        }
    }
}

//! Sessions on librdkafka: a group member and a transactional producer, with every hazard of
//! transactions in one place.
//!
//! A thread of the session makes librdkafka's transaction calls, because they block. It receives a
//! transaction in parts: it begins, writes records, sends the offsets exactly once with the group
//! metadata of that moment (KIP-447), and commits. It classifies each error where it occurs: a
//! transaction that must be aborted is aborted and reported as such; any other error, and any
//! answer that was not seen, makes the session unusable, and its owner rebuilds from the log.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, DeliveryResult, Producer, ProducerContext},
};

use crate::{
    batch::{Batch, Written},
    brokers::Brokers,
    fault,
    group::{Context, GroupConsumer, fatal},
    log::{
        Connect, Input, LogError, Membership, Record, Restore, Session, Topic, TopicPartition,
        Transaction, TransactionError,
    },
    planted, raw,
    topics::{BATCH_BYTES_MAX, RECORD_BYTES_MAX},
};

/// Bounds recovery: an open transaction of a dead process holds readers up for so long at most.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a call may be tried again before its transaction is given up.
const CALL_MAX: Duration = Duration::from_secs(10);
/// How long a revocation waits for the transaction in flight.
const REVOKE_MAX: Duration = Duration::from_secs(20);

/// How long one wait for a producer's news lasts. It sees them at once; but every wait spins for up
/// to a millisecond before it gives up, and the crate's own thread waits ten times a second.
const NEWS: Duration = Duration::from_secs(5);

/// The planted bug `offsets-twice` begins after this many transactions of a process, so that the
/// suite's preparations still work.
const BEFORE_PLANT: u64 = 20;
/// How many transactions a process with that bug has begun to commit.
static PLANTED: AtomicU64 = AtomicU64::new(0);

/// How often librdkafka's statistics come, from which lag and contact are taken.
const LAG_EVERY_MS: &str = "5000";

type TransactionalProducer = BaseProducer<Connections>;

/// What happened to a producer beside its calls: which of its connections broke, and how many
/// records could not be delivered.
///
/// librdkafka sends a request again by itself when the connection breaks under it. The first copy
/// may still be on its way. A broker without KIP-890's second part takes a late EndTxn for the end
/// of whatever this producer has open then, and commits half a transaction; a late TxnOffsetCommit
/// stages the offsets of an earlier transaction in a later one. These requests go over the
/// connections of the transactions' coordinator and of the group's. So an answer that was got while
/// any connection broke is not enough to go on with.
///
/// librdkafka tells of a break in its log only, with the facility `FAIL`. At the usual levels it
/// leaves out closed connections on which nothing seems to be under way, and what is identical to
/// the error before for thirty seconds (`rd_kafka_broker_set_error`,
/// `rd_kafka_broker_conn_closed`); with the debug context `broker` it leaves out nothing. Its
/// counters of disconnects come with the statistics alone, every some seconds, which is too late
/// for a commit. The line is logged before requests are sent again (`rd_kafka_broker_fail`).
#[derive(Default)]
struct Connections {
    breaks: Mutex<Breaks>,
    undelivered: AtomicU64,
}

/// Connections that broke while they may have carried requests.
#[derive(Clone, Debug, Default)]
struct Breaks {
    count: u64,
    /// What was logged of the last one.
    last: String,
}

/// The states of a connection in which no request is on its way but those that set it up: a
/// bootstrap broker that is dead never gets beyond them.
const SET_UP: [&str; 9] = [
    "INIT",
    "DOWN",
    "TRY_CONNECT",
    "CONNECT",
    "SSL_HANDSHAKE",
    "AUTH_LEGACY",
    "APIVERSION_QUERY",
    "AUTH_HANDSHAKE",
    "AUTH_REQ",
];

/// Whether a line of librdkafka's log tells of a connection that may have carried requests. Where
/// the line does not say in which state it was, it may.
fn tells_of_a_break(facility: &str, message: &str) -> bool {
    let state =
        message.rsplit_once(" in state ").and_then(|(_, rest)| rest.split([')', ',']).next());
    facility == "FAIL" && !state.is_some_and(|state| SET_UP.contains(&state))
}

impl Connections {
    fn breaks(&self) -> MutexGuard<'_, Breaks> {
        self.breaks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a line of librdkafka's log, whose levels are those of syslog.
    fn note(&self, level: i32, facility: &str, message: &str) {
        if tells_of_a_break(facility, message) {
            let mut breaks = self.breaks();
            breaks.count += 1;
            breaks.last.clear();
            breaks.last.push_str(message);
        }
        match level {
            ..=4 => tracing::warn!(facility, message, "librdkafka"),
            5 | 6 => tracing::info!(facility, message, "librdkafka"),
            _ => tracing::debug!(facility, message, "librdkafka"),
        }
    }
}

impl ClientContext for Connections {
    // What is logged before the session has its own queue.
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.note(level as i32, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "the producer's connection");
    }
}

impl ProducerContext for Connections {
    type DeliveryOpaque = ();

    // It fails the commit of a transaction by itself.
    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.undelivered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// How often what is decided shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// Once, whatever fails: outputs, state and offsets are one transaction.
    #[default]
    ExactlyOnce,
    /// Once, or more often after a failure, which the state counts too: records are written, then
    /// offsets committed. There to be measured against; no service of Millrace runs so.
    AtLeastOnce,
}

/// Who opens sessions, and on what.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The brokers to begin with.
    pub brokers: Brokers,
    /// The consumer group: the processor's name.
    pub group: String,
    /// The input topics; one partition count.
    pub inputs: Vec<Topic>,
    /// `<processor>-<instance>-<worker>`: the transactional id, and the static member's name too.
    /// Few and stable.
    pub transactional_id: String,
    /// How often what is decided shows.
    pub delivery: Delivery,
}

impl Connect for Settings {
    fn open(&self) -> Result<Box<dyn Session>, LogError> {
        let doing = || format!("opening a session as {}", self.transactional_id);
        let left = LEFT.load(Ordering::Relaxed);
        if left >= LEFT_MAX {
            let cause = format!("{left} threads of earlier sessions are stuck in librdkafka");
            return Err(LogError::Exhausted { doing: doing(), cause });
        }
        let timeout_ms = TRANSACTION_TIMEOUT.as_millis().to_string();
        let mut config = self.brokers.librdkafka();
        config
            .set("client.id", "millrace")
            .set("acks", "all")
            .set("linger.ms", "5")
            // A coordinator that is still at the end of the transaction before is asked again soon,
            // anything else more and more rarely.
            .set("retry.backoff.ms", "1")
            .set("retry.backoff.max.ms", "20")
            .set("batch.num.messages", "100000")
            .set("batch.size", BATCH_BYTES_MAX.to_string())
            .set("message.max.bytes", RECORD_BYTES_MAX.to_string())
            .set("queue.buffering.max.messages", "1000000")
            .set("delivery.report.only.error", "true")
            .set("reconnect.backoff.max.ms", "1000")
            // See [`Connections`]. Whether its lines are shown is for `RUST_LOG` to say.
            .set("debug", "broker")
            .set_log_level(RDKafkaLogLevel::Debug);
        if self.delivery == Delivery::ExactlyOnce {
            config
                .set("transactional.id", &self.transactional_id)
                .set("transaction.timeout.ms", &timeout_ms);
        }
        let producer: TransactionalProducer =
            config.create_with_context(Connections::default()).map_err(|e| fatal(doing(), &e))?;
        let (producer, logs, news) = News::listen(producer)
            .map_err(|error| LogError::Fatal { doing: doing(), cause: error.to_string() })?;
        if self.delivery == Delivery::ExactlyOnce {
            // Fences whoever had the id before, and ends their open transaction.
            producer.init_transactions(Duration::from_secs(30)).map_err(|e| fatal(doing(), &e))?;
        }
        let gate = Arc::new(Gate::default());
        let waits = gate.clone();
        let input = GroupConsumer::join(
            &self.brokers,
            &self.group,
            &self.inputs,
            &[
                ("group.instance.id", &self.transactional_id),
                ("statistics.interval.ms", LAG_EVERY_MS),
            ],
            Box::new(move || waits.wait_idle(REVOKE_MAX)),
        )?;
        let committer = Committer {
            producer,
            consumer: input.client(),
            gate: gate.clone(),
            logs,
            breaks_before: 0,
            delivery: self.delivery,
            topics: Vec::new(),
            is_open: false,
            _news: news,
        };
        let committing = CommitThread::start(move |handed| committer.run(handed), END_MAX)
            .map_err(|error| LogError::Fatal { doing: doing(), cause: error.to_string() })?;
        Ok(Box::new(KafkaSession { input, committing, gate }))
    }
}

/// How far the transaction in flight is, for those who wait for it.
#[derive(Default)]
struct Gate {
    state: Mutex<Flight>,
    changed: Condvar,
}

#[derive(Default)]
enum Flight {
    #[default]
    Idle,
    Busy,
    Ended(Result<(), TransactionError>),
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, Flight> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, result: Result<(), TransactionError>) {
        *self.state() = Flight::Ended(result);
        self.changed.notify_all();
    }

    fn wait_idle(&self, max: Duration) {
        let busy = |flight: &mut Flight| matches!(flight, Flight::Busy);
        drop(self.changed.wait_timeout_while(self.state(), max, busy));
    }

    fn take(&self, wait: Duration) -> Option<Result<(), TransactionError>> {
        if !wait.is_zero() {
            self.wait_idle(wait);
        }
        let mut state = self.state();
        match std::mem::take(&mut *state) {
            Flight::Ended(result) => Some(result),
            flight => {
                *state = flight;
                None
            }
        }
    }
}

struct KafkaSession {
    /// Is dropped before the input, whose consumer the thread uses: fields are dropped in order.
    committing: CommitThread,
    input: GroupConsumer,
    gate: Arc<Gate>,
}

/// The thread that makes the transaction calls of a session. It ends with its channel, after the
/// call that it is in, and this waits for it when it is dropped, for a bounded time.
///
/// librdkafka's `send_offsets_to_transaction` has a timeout and waits for ever all the same, where
/// the answer to TxnOffsetCommit has become outdated (`rd_kafka_txn_handle_TxnOffsetCommit` in
/// `rdkafka_txnmgr.c` returns without a result). A thread that is stuck there is left behind: the
/// next session has a new epoch, which fences whatever this one may still do.
struct CommitThread {
    hand_over: Option<mpsc::Sender<Handed>>,
    /// Is closed when the thread ends.
    ended: mpsc::Receiver<()>,
    end_max: Duration,
}

/// How long a session that is dropped waits for its thread.
const END_MAX: Duration = Duration::from_secs(5);
/// A process with this many threads left behind opens no session any more: it has to be restarted.
const LEFT_MAX: usize = 8;
/// How many threads are left behind and have not ended since.
static LEFT: AtomicUsize = AtomicUsize::new(0);

impl CommitThread {
    fn start(
        work: impl FnOnce(&mpsc::Receiver<Handed>) + Send + 'static,
        end_max: Duration,
    ) -> std::io::Result<Self> {
        let (hand_over, handed) = mpsc::channel();
        let (ends, ended) = mpsc::channel::<()>();
        std::thread::Builder::new().name("commit".to_owned()).spawn(move || {
            work(&handed);
            // Nobody listens any more where the thread was left behind.
            if ends.send(()).is_err() {
                LEFT.fetch_sub(1, Ordering::Relaxed);
            }
        })?;
        Ok(Self { hand_over: Some(hand_over), ended, end_max })
    }

    fn hand_over(&self, handed: Handed) -> Result<(), LogError> {
        let sent = self.hand_over.as_ref().map(|channel| channel.send(handed));
        sent.and_then(Result::ok).ok_or_else(|| broken("the committing thread has ended"))
    }
}

impl Drop for CommitThread {
    fn drop(&mut self) {
        self.hand_over = None;
        if let Err(mpsc::RecvTimeoutError::Timeout) = self.ended.recv_timeout(self.end_max) {
            let left = LEFT.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::error!(
                left,
                "a thread is stuck in a transaction call of librdkafka and is left behind"
            );
        }
    }
}

/// What the committing thread is given.
enum Handed {
    /// The first records of a transaction.
    Records(Batch),
    /// Its last records and its offsets: it is to be committed.
    Commit(Transaction),
    /// The transaction is to be aborted.
    Abort,
    /// The worker has seen how the transaction failed: what follows belongs to the next one.
    Anew,
}

impl KafkaSession {
    /// Hands over what ends a transaction.
    fn end(&self, handed: Handed) -> Result<(), LogError> {
        let mut state = self.gate.state();
        match *state {
            Flight::Idle => *state = Flight::Busy,
            // It has failed while its first records were written, and that is still to be told.
            Flight::Ended(Err(_)) => return Ok(()),
            Flight::Busy | Flight::Ended(Ok(())) => return Err(broken("another one is in flight")),
        }
        drop(state);
        self.committing.hand_over(handed)
    }
}

fn broken(cause: &str) -> LogError {
    LogError::Fatal { doing: "handing a transaction over".to_owned(), cause: cause.to_owned() }
}

impl Input for KafkaSession {
    fn poll(
        &mut self,
        timeout: Duration,
        max: usize,
        out: &mut Vec<Record>,
    ) -> Result<(), LogError> {
        self.input.poll(timeout, max, out)
    }

    fn membership(&mut self) -> Option<Membership> {
        self.input.membership()
    }

    fn fetch_from(&mut self, positions: &[(TopicPartition, i64)]) -> Result<(), LogError> {
        self.input.fetch_from(positions)
    }

    fn watermarks(&mut self, partition: &TopicPartition) -> Result<(i64, i64), LogError> {
        self.input.watermarks(partition)
    }

    fn lag(&mut self) -> Vec<(TopicPartition, i64)> {
        self.input.lag()
    }

    fn silence(&self) -> Duration {
        self.input.silence()
    }

    fn positions(&mut self) -> Vec<(TopicPartition, i64)> {
        self.input.positions()
    }

    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<i64>>, LogError> {
        self.input.committed(partitions)
    }
}

impl Session for KafkaSession {
    fn write(&mut self, records: Batch) -> Result<(), LogError> {
        self.committing.hand_over(Handed::Records(records))
    }

    fn submit(&mut self, transaction: Transaction) -> Result<(), LogError> {
        self.end(Handed::Commit(transaction))
    }

    fn abandon(&mut self) -> Result<(), LogError> {
        self.end(Handed::Abort)
    }

    fn completed(&mut self, wait: Duration) -> Option<Result<(), TransactionError>> {
        let ended = self.gate.take(wait)?;
        if ended.is_err() {
            // A thread that has ended needs no word.
            drop(self.committing.hand_over(Handed::Anew));
        }
        Some(ended)
    }

    fn restore(
        &mut self,
        changelog: &TopicPartition,
        inputs: &[TopicPartition],
    ) -> Result<Box<dyn Restore>, LogError> {
        Ok(Box::new(self.input.restore(changelog, inputs)?))
    }
}

/// The thread that hears what librdkafka has to tell of a producer, without which flush, commit and
/// abort do not end. It ends within [`NEWS`] after this is dropped, and the producer with it.
struct News(Arc<AtomicBool>);

/// What a producer logs, for all who wait for it.
type Logs = Arc<Mutex<raw::LogQueue<Connections>>>;

/// Takes note of everything that the producer has logged until now.
fn take_note(logs: &Logs, producer: &TransactionalProducer) {
    // Whoever comes second waits: by then, all of it is noted.
    let mut logs = logs.lock().unwrap_or_else(PoisonError::into_inner);
    let context = producer.client().context();
    logs.drain(|level, facility, message| context.note(level, facility, message));
}

impl News {
    fn listen(
        producer: TransactionalProducer,
    ) -> Result<(Arc<TransactionalProducer>, Logs, Self), Box<dyn std::error::Error>> {
        let (producer, ended) = (Arc::new(producer), Arc::new(AtomicBool::new(false)));
        let logs = Arc::new(Mutex::new(raw::LogQueue::of(producer.clone())?));
        let (polled, drained, end) = (producer.clone(), logs.clone(), ended.clone());
        std::thread::Builder::new().name("news".to_owned()).spawn(move || {
            while !end.load(Ordering::Relaxed) {
                polled.poll(NEWS);
                // Nobody else does while no transaction is written.
                take_note(&drained, &polled);
            }
        })?;
        Ok((producer, logs, Self(ended)))
    }
}

impl Drop for News {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The thread that talks to the transaction's coordinator.
struct Committer {
    producer: Arc<TransactionalProducer>,
    consumer: Arc<BaseConsumer<Context>>,
    gate: Arc<Gate>,
    logs: Logs,
    /// How many connections had broken when the transaction began.
    breaks_before: u64,
    delivery: Delivery,
    /// Those that were written to. They are few, and mostly known by the address of their names.
    topics: Vec<(Topic, raw::ProducerTopic<Connections>)>,
    /// Whether something was written that is neither committed nor aborted.
    is_open: bool,
    _news: News,
}

/// What to do about a failed call.
enum Class {
    Again,
    Abort(String),
    Fenced(String),
    Unknown(String),
}

impl Committer {
    fn run(mut self, handed: &mpsc::Receiver<Handed>) {
        let mut failed = false;
        while let Ok(handed) = handed.recv() {
            let result = match handed {
                Handed::Anew => {
                    failed = false;
                    continue;
                }
                // It was on its way when the transaction failed, and belongs to it.
                _ if failed => continue,
                Handed::Records(records) => {
                    match self.begin().and_then(|()| self.send_all(&records)) {
                        Ok(()) => continue,
                        Err(class) => Err(self.failure(class)),
                    }
                }
                Handed::Commit(transaction) => match self.delivery {
                    Delivery::ExactlyOnce => self.commit(&transaction),
                    Delivery::AtLeastOnce => self.deliver(&transaction),
                },
                Handed::Abort => Err(self.abort("it is not wanted any more".to_owned())),
            };
            self.is_open = false;
            failed = result.is_err();
            self.gate.end(result);
        }
    }

    /// How a transaction ends of which a call has failed.
    fn failure(&self, class: Class) -> TransactionError {
        match class {
            Class::Abort(reason) => self.abort(reason),
            Class::Fenced(reason) => TransactionError::Fenced(reason),
            Class::Unknown(reason) => self.lost(reason),
            Class::Again => self.lost("a call was given up".to_owned()),
        }
    }

    fn commit(&mut self, transaction: &Transaction) -> Result<(), TransactionError> {
        if planted("offsets-early") {
            self.commit_early(transaction);
        }
        self.write_last(transaction).map_err(|class| self.failure(class))?;
        if fault::is_ordered("before-commit") || fault::is_ordered("end-sent") {
            // Otherwise it would die with its records, before the broker has seen any.
            drop(self.producer.flush(CALL_MAX));
        }
        fault::place("before-commit");
        if fault::is_due("abort") {
            return Err(self.abort("it was ordered".to_owned()));
        }
        if fault::is_due("end-sent") {
            // The wish to commit is written in less time than this, and its answer takes longer.
            std::thread::spawn(|| {
                std::thread::sleep(Duration::from_micros(300));
                fault::die("end-sent");
            });
        }
        let since = Instant::now();
        while let Err(error) = raw::commit_transaction(&*self.producer, CALL_MAX) {
            let text = format!("committing: {} ({})", error.text, error.code);
            if is_fenced(error.code) {
                return Err(TransactionError::Fenced(text));
            }
            if error.requires_abort {
                return Err(self.abort(text));
            }
            if error.fatal || !error.retriable || since.elapsed() > CALL_MAX {
                return Err(self.lost(text));
            }
        }
        fault::place("after-commit");
        match self.broken().filter(|_| !planted("same-epoch")) {
            // Committed, but not to be built on: a new session has a new epoch, which fences
            // requests that are late.
            Some(line) => {
                Err(self.lost(format!("committed, but a connection broke meanwhile: {line}")))
            }
            None => Ok(()),
        }
    }

    /// How many connections have broken until now, and what was logged of the last one.
    fn breaks(&self) -> Breaks {
        // What librdkafka has logged before it answered is in its queue by now.
        take_note(&self.logs, &self.producer);
        self.producer.client().context().breaks().clone()
    }

    /// What was logged of the last connection that has broken since the transaction began.
    fn broken(&self) -> Option<String> {
        let breaks = self.breaks();
        (breaks.count != self.breaks_before).then_some(breaks.last)
    }

    /// Writes the last records of a transaction and sends its offsets, exactly once.
    ///
    /// A transaction whose records come all at once sends its offsets before them. Apache Kafka
    /// refuses the first request of a transaction for some milliseconds after the one before, with
    /// CONCURRENT_TRANSACTIONS; librdkafka repeats AddOffsetsToTxn after `retry.backoff.ms`, but
    /// AddPartitionsToTxn after a fixed 20 ms. Where records were written before, how far the
    /// transaction goes is known only now, so its offsets follow them.
    fn write_last(&mut self, transaction: &Transaction) -> Result<(), Class> {
        let offsets = listed(transaction)?;
        let offsets_first = !self.is_open;
        let twice =
            planted("offsets-twice") && PLANTED.fetch_add(1, Ordering::Relaxed) >= BEFORE_PLANT;
        self.begin()?;
        if offsets_first || twice {
            self.send_offsets(&offsets)?;
        }
        self.send_all(&transaction.records)?;
        if !offsets_first || twice {
            self.send_offsets(&offsets)?;
        }
        Ok(())
    }

    /// Begins a transaction, unless one is open.
    fn begin(&mut self) -> Result<(), Class> {
        if !self.is_open && self.delivery == Delivery::ExactlyOnce {
            // Nothing is on its way between transactions: a break before this one harms nothing.
            self.breaks_before = self.breaks().count;
            self.call("beginning a transaction", || self.producer.begin_transaction())?;
            fault::place("after-begin");
        }
        self.is_open = true;
        Ok(())
    }

    fn send_all(&mut self, records: &Batch) -> Result<(), Class> {
        for record in records.iter() {
            self.send(record)?;
            fault::place("after-send");
        }
        Ok(())
    }

    /// Stages the offsets. A call that fails is never repeated, but ends in an abort: it may have
    /// staged them, and Redpanda refuses AddOffsetsToTxn after that.
    fn send_offsets(&self, offsets: &TopicPartitionList) -> Result<(), Class> {
        if self.delivery == Delivery::AtLeastOnce {
            return Ok(());
        }
        // Read for each transaction: a member of an earlier generation must not commit (KIP-447).
        let metadata = self.consumer.group_metadata().ok_or(KafkaError::Canceled);
        let sent = metadata.and_then(|metadata| {
            self.producer.send_offsets_to_transaction(offsets, &metadata, CALL_MAX)
        });
        sent.map_err(|error| match class("sending offsets", &error) {
            Class::Again => Class::Abort(format!("sending offsets: {error}")),
            class => class,
        })?;
        fault::place("after-offsets");
        Ok(())
    }

    /// The planted bug: offsets first, apart from the transaction.
    fn commit_early(&self, transaction: &Transaction) {
        if let Ok(offsets) = listed(transaction) {
            drop(self.consumer.commit(&offsets, CommitMode::Sync));
        }
    }

    /// Writes at least once: the offsets follow when all records are there.
    fn deliver(&mut self, transaction: &Transaction) -> Result<(), TransactionError> {
        let offsets = self.write_last(transaction).and_then(|()| listed(transaction));
        let lost = |reason| Err(TransactionError::Unknown(reason));
        match offsets {
            Ok(_) if !raw::flush(&*self.producer, CALL_MAX) => {
                lost("records were not answered in time".to_owned())
            }
            Ok(_) if self.undelivered() > 0 => lost("a record was not delivered".to_owned()),
            Ok(offsets) => self
                .consumer
                .commit(&offsets, CommitMode::Sync)
                .or_else(|error| lost(format!("committing offsets: {error}"))),
            Err(Class::Abort(reason) | Class::Fenced(reason) | Class::Unknown(reason)) => {
                lost(reason)
            }
            Err(Class::Again) => lost("a call was given up".to_owned()),
        }
    }

    fn undelivered(&self) -> u64 {
        self.producer.client().context().undelivered.load(Ordering::Relaxed)
    }

    fn send(&mut self, record: Written<'_>) -> Result<(), Class> {
        let known = self
            .topics
            .iter()
            .position(|(name, _)| Topic::ptr_eq(name, record.topic) || name == record.topic);
        let index = match known {
            Some(index) => index,
            None => {
                let topic = raw::ProducerTopic::new(self.producer.clone(), record.topic)
                    .map_err(|error| class(&format!("writing to {}", record.topic), &error))?;
                self.topics.push((record.topic.clone(), topic));
                self.topics.len() - 1
            }
        };
        let mut since = None;
        loop {
            match self.topics[index].1.send(&record) {
                Ok(()) => return Ok(()),
                Err(RDKafkaErrorCode::QueueFull)
                    if since.get_or_insert_with(Instant::now).elapsed() < CALL_MAX =>
                {
                    // The producer's own thread empties the queue.
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(code) => {
                    let error = KafkaError::MessageProduction(code);
                    return Err(class(&format!("writing to {}", record.topic), &error));
                }
            }
        }
    }

    /// Makes a call until it works, or must be given up.
    fn call(&self, doing: &str, call: impl Fn() -> Result<(), KafkaError>) -> Result<(), Class> {
        let since = Instant::now();
        loop {
            let Err(error) = call() else { return Ok(()) };
            match class(doing, &error) {
                Class::Again if since.elapsed() < CALL_MAX => {
                    std::thread::sleep(Duration::from_millis(2))
                }
                Class::Again => return Err(Class::Abort(format!("{doing}: {error}"))),
                class => return Err(class),
            }
        }
    }

    /// Aborts; only an abort that is known to have ended makes the session usable again.
    fn abort(&self, reason: String) -> TransactionError {
        if self.delivery == Delivery::AtLeastOnce {
            return TransactionError::Aborted(reason);
        }
        match self.producer.abort_transaction(CALL_MAX) {
            Ok(()) => match self.broken() {
                Some(line) => self
                    .lost(format!("{reason}; aborted, but a connection broke meanwhile: {line}")),
                None => TransactionError::Aborted(reason),
            },
            Err(error) => match class("aborting", &error) {
                Class::Fenced(text) => TransactionError::Fenced(format!("{reason}; {text}")),
                _ => self.lost(format!("{reason}; the abort failed: {error}")),
            },
        }
    }

    /// The session is lost. A producer that was fenced while it wrote says why only here.
    fn lost(&self, reason: String) -> TransactionError {
        match self.producer.client().fatal_error() {
            Some((code, text)) if is_fenced(code) => {
                TransactionError::Fenced(format!("{reason}: {text}"))
            }
            _ => TransactionError::Unknown(reason),
        }
    }
}

/// A transaction's offsets, as librdkafka wants them.
fn listed(transaction: &Transaction) -> Result<TopicPartitionList, Class> {
    let mut offsets = TopicPartitionList::with_capacity(transaction.offsets.len());
    for (place, next) in &transaction.offsets {
        offsets
            .add_partition_offset(&place.topic, place.partition, Offset::Offset(*next))
            .map_err(|e| Class::Abort(format!("offset {next} of {place}: {e}")))?;
    }
    Ok(offsets)
}

fn is_fenced(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::Fenced
            | RDKafkaErrorCode::ProducerFenced
            | RDKafkaErrorCode::InvalidProducerEpoch
    )
}

fn class(doing: &str, error: &KafkaError) -> Class {
    let text = format!("{doing}: {error}");
    match error {
        KafkaError::Transaction(cause) if is_fenced(cause.code()) => Class::Fenced(text),
        KafkaError::Transaction(cause) if cause.is_fatal() => Class::Unknown(text),
        KafkaError::Transaction(cause) if cause.txn_requires_abort() => Class::Abort(text),
        KafkaError::Transaction(cause) if cause.is_retriable() => Class::Again,
        // A fatal producer says so only here.
        KafkaError::MessageProduction(RDKafkaErrorCode::Fatal) => Class::Unknown(text),
        KafkaError::MessageProduction(code) if is_fenced(*code) => Class::Fenced(text),
        KafkaError::MessageProduction(_) | KafkaError::Canceled => Class::Abort(text),
        _ => Class::Unknown(text),
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;

    use super::*;

    #[test]
    fn line_of_a_broken_connection_counts_unless_it_was_being_set_up() {
        for (message, counts) in [
            ("[thrd:b:9092/1]: b:9092/1: Disconnected (after 12ms in state UP) (_TRANSPORT)", true),
            (
                "[thrd:GroupCoordinator]: GroupCoordinator: b:9092: Disconnected (after 2ms in state UP) \
                 (_TRANSPORT): identical to last error: error log suppressed",
                true,
            ),
            (
                "b/1: 2 request(s) timed out: disconnect (after 9ms in state UP, 3 identical error(s) suppressed)",
                true,
            ),
            ("b/1: Receive failed: reset (after 9ms in state REAUTH)", true),
            ("b/1: a line that is cut off before it says in which", true),
            (
                "b/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)",
                false,
            ),
            (
                "b/bootstrap: Disconnected: requesting ApiVersion (after 1ms in state APIVERSION_QUERY)",
                false,
            ),
            (
                "b/bootstrap: Failed to resolve 'b:9092' (after 0ms in state TRY_CONNECT, 2 identical error(s) suppressed)",
                false,
            ),
        ] {
            assert_eq!(tells_of_a_break("FAIL", message), counts, "{message}");
        }
        assert!(!tells_of_a_break("CONNECT", "b/1: Broker in state UP connecting"));
    }

    #[test]
    fn every_break_since_a_transaction_began_is_seen_though_all_are_alike() {
        let cluster = MockCluster::new(1).expect("a mock");
        let mut config = rdkafka::ClientConfig::new();
        config
            .set("bootstrap.servers", cluster.bootstrap_servers())
            .set("debug", "broker")
            .set("reconnect.backoff.ms", "1")
            .set("reconnect.backoff.max.ms", "10")
            .set_log_level(RDKafkaLogLevel::Debug);
        let producer = config.create_with_context(Connections::default()).expect("a producer");
        let (producer, logs, _news) = News::listen(producer).expect("threads");
        let count = || {
            take_note(&logs, &producer);
            producer.client().context().breaks().count
        };
        // The connection to the bootstrap address is given up when the broker is known, so the
        // answer must come from the broker itself.
        let answers = || {
            let metadata = producer.client().fetch_metadata(None, Duration::from_secs(1));
            metadata.is_ok_and(|metadata| metadata.orig_broker_id() == 1)
        };
        let wait_for = |what: &str, done: &dyn Fn() -> bool| {
            let begun = Instant::now();
            while !done() {
                assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        for round in 0..3 {
            wait_for("the broker answers", &answers);
            let before = count();
            cluster.broker_down(1).expect("it goes down");
            wait_for(&format!("break {round} is seen"), &|| count() > before);
            assert!(!answers());
            let broken = count();
            // It can't be reached, which is no break.
            assert!(!answers());
            assert_eq!(count(), broken, "{}", producer.client().context().breaks().last);
            cluster.broker_up(1).expect("it comes back");
        }
    }

    #[test]
    fn thread_that_is_stuck_is_left_behind_and_counted_until_it_ends() {
        let (release, stuck) = mpsc::channel::<()>();
        let work = move |_: &mpsc::Receiver<Handed>| stuck.recv().unwrap_or_default();
        let thread = CommitThread::start(work, Duration::from_millis(20)).expect("a thread");
        drop(thread);
        assert_eq!(LEFT.load(Ordering::Relaxed), 1);

        drop(release);
        let begun = Instant::now();
        while LEFT.load(Ordering::Relaxed) > 0 {
            assert!(begun.elapsed() < Duration::from_secs(10), "the thread has not ended");
            std::thread::yield_now();
        }
    }

    #[test]
    fn thread_ends_with_its_channel_before_the_session_is_gone() {
        let (done, is_done) = mpsc::channel();
        let work = move |handed: &mpsc::Receiver<Handed>| {
            while handed.recv().is_ok() {}
            done.send(()).expect("the test waits for it");
        };
        drop(CommitThread::start(work, Duration::from_secs(10)).expect("a thread"));
        is_done.try_recv().expect("the thread has ended");
    }
}

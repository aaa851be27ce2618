//! The test driver: runs a topology on the in-memory log, step by step.
//!
//! The workers are those of production, with another log and clock. A test can kill a worker
//! between any two steps and cause faults through [`Driver::log`]. Nothing runs unless the test
//! calls it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use redpanda::{
    log::{Headers, Record},
    memory::MemoryLog,
};
use schemas::{Codec, Message, Outcome, chain, headers};
use uuid::Uuid;

use crate::{
    learner::{SchemaSource, SourceError},
    metrics::Metrics,
    topology::Topology,
    worker::{Settings, Worker, WorkerError},
};

/// The initial time of the driver's clock, in milliseconds since the epoch.
pub const START_MS: i64 = 1_700_000_000_000;
/// Workers that still work after this many turns are taken to work forever.
const TURNS_MAX: usize = 100_000;
/// Small, so that tests write batches in parts.
const PART_MIN: usize = 4;

struct NoRegistry;

impl SchemaSource for NoRegistry {
    fn schema_by_id(&self, _id: u32) -> Result<Option<String>, SourceError> {
        Ok(None)
    }
}

/// A processor of several workers on an in-memory log.
pub struct Driver {
    /// The log, to cause faults and to read records.
    pub log: MemoryLog,
    topology: Arc<Topology>,
    codec: Arc<Codec>,
    now_ms: Arc<AtomicI64>,
    workers: Vec<Option<Worker>>,
    settings: Settings,
    registry: Arc<dyn SchemaSource>,
}

impl Driver {
    /// Starts `workers` workers on `log`.
    pub fn new(log: MemoryLog, topology: Topology, codec: Codec, workers: usize) -> Self {
        let mut driver = Self {
            log,
            topology: Arc::new(topology),
            codec: Arc::new(codec),
            now_ms: Arc::new(AtomicI64::new(START_MS)),
            workers: (0..workers).map(|_| None).collect(),
            settings: Settings {
                rebuild_wait: Duration::ZERO,
                fenced_max: u32::MAX,
                part_min: PART_MIN,
                // A test must not depend on real time.
                commit_interval: Some(Duration::ZERO),
                positions_every: Duration::MAX,
                ..Settings::default()
            },
            registry: Arc::new(NoRegistry),
        };
        driver.log.set_time(START_MS);
        (0..workers).for_each(|worker| driver.start(worker));
        driver
    }

    /// The number of workers, running or not.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// The transactional id of a worker.
    pub fn transactional_id(&self, worker: usize) -> String {
        format!("{}-0-{worker}", self.topology.processor())
    }

    /// Starts a worker that is not running.
    pub fn start(&mut self, worker: usize) {
        if self.workers[worker].is_some() {
            return;
        }
        let processor = self.topology.processor();
        let connect =
            self.log.connect(processor, &self.topology.inputs(), &self.transactional_id(worker));
        let now_ms = self.now_ms.clone();
        let metrics = Metrics::register(&self.topology, &prometheus::Registry::new());
        self.workers[worker] = Some(Worker::new(
            self.topology.clone(),
            self.codec.clone(),
            Arc::new(connect),
            self.registry.clone(),
            Arc::new(move || now_ms.load(Ordering::Relaxed)),
            self.settings.clone(),
            metrics.unwrap_or_else(|error| panic!("{error}")),
        ));
    }

    /// The settings of workers that are started from now on.
    pub fn settings(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// Sets the source of unknown schemas for workers that are started from now on. Its answers
    /// come from another thread, so a test that needs one steps until it has arrived.
    pub fn set_registry(&mut self, registry: Arc<dyn SchemaSource>) {
        self.registry = registry;
    }

    /// The number of tasks of a running worker that are not restored yet.
    pub fn restoring(&self, worker: usize) -> usize {
        self.workers[worker].as_ref().map_or(0, |worker| worker.status().restoring())
    }

    /// The pending batch of a running worker: the number of records and timers, and the bytes of
    /// output.
    pub fn pending(&self, worker: usize) -> (usize, usize) {
        self.workers[worker].as_ref().map_or((0, 0), |worker| (worker.pending(), worker.bytes()))
    }

    /// The offsets of a partition's changelog that a running worker has still to read, as its
    /// process would report.
    pub fn restore_remaining(&self, worker: usize, partition: i32) -> i64 {
        self.workers[worker].as_ref().map_or(0, |worker| worker.restore_remaining(partition))
    }

    /// Why tasks of a running worker are stuck.
    pub fn stuck(&self, worker: usize) -> Vec<String> {
        self.workers[worker].as_ref().map(|worker| worker.status().stuck()).unwrap_or_default()
    }

    /// Stops a worker, which commits its pending batch.
    ///
    /// # Errors
    /// Fails if the worker must not continue.
    pub fn stop(&mut self, worker: usize) -> Result<(), WorkerError> {
        self.workers[worker]
            .take()
            .map_or(Ok(()), |worker| worker.run(&AtomicBool::new(true), || {}))
    }

    /// Drops a worker without any clean-up, as `kill -9` does.
    pub fn kill(&mut self, worker: usize) {
        self.workers[worker] = None;
    }

    /// Runs one turn of a worker. Returns `false` if it is not running or had nothing to do.
    ///
    /// # Errors
    /// Fails if the worker must not continue.
    pub fn step(&mut self, worker: usize) -> Result<bool, WorkerError> {
        self.workers[worker].as_mut().map_or(Ok(false), |worker| worker.step(Duration::ZERO))
    }

    /// Whether a worker is ready, as its process would report.
    pub fn is_ready(&self, worker: usize) -> bool {
        self.workers[worker].as_ref().is_some_and(|worker| worker.status().is_ready())
    }

    /// Runs all workers until none has anything to do.
    ///
    /// # Panics
    /// Panics if they never come to rest, or if one ends.
    pub fn settle(&mut self) {
        let mut quiet = 0;
        for _ in 0..TURNS_MAX {
            let mut worked = false;
            for worker in 0..self.workers.len() {
                worked |= self
                    .step(worker)
                    .unwrap_or_else(|error| panic!("worker {worker} ended: {}", chain(&error)));
            }
            quiet = if worked { 0 } else { quiet + 1 };
            if quiet == 3 {
                return;
            }
        }
        let stuck: Vec<_> = (0..self.workers.len()).map(|worker| self.stuck(worker)).collect();
        panic!("the workers do not come to rest; stuck: {stuck:?}");
    }

    /// Advances the time of clock and log.
    pub fn advance(&mut self, by: Duration) {
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        let now_ms = self.now_ms.fetch_add(by_ms, Ordering::Relaxed) + by_ms;
        self.log.set_time(now_ms);
    }

    /// Sets clock and log back, as an administrator may do.
    pub fn set_back(&mut self, by: Duration) {
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        let now_ms = self.now_ms.fetch_sub(by_ms, Ordering::Relaxed) - by_ms;
        self.log.set_time(now_ms);
    }

    /// Writes a message with an id and a principal, as the gateway does.
    pub fn send(&self, topic: &str, key: &str, id: Uuid, principal: &str, message: &impl Message) {
        let mut written = Headers::default();
        written.push(headers::ID, id.to_string());
        written.push(headers::TYPE, message.name());
        written.push(headers::PRINCIPAL, principal);
        self.log.append(topic, key, Some(self.encode(message)), written);
    }

    /// A message in the wire format.
    ///
    /// # Panics
    /// Panics if the driver's codec does not know the schema.
    pub fn encode(&self, message: &impl Message) -> Bytes {
        let mut bytes = Vec::new();
        message.encode(&self.codec, &mut bytes).unwrap_or_else(|error| panic!("{error}"));
        bytes.into()
    }

    /// The committed records of a topic, decoded, partition by partition.
    ///
    /// # Panics
    /// Panics if a record is no `M`.
    pub fn read<M: Message>(&self, topic: &str) -> Vec<(Record, M)> {
        let decoded = |record: Record| {
            let value = record.value.clone()?;
            let message =
                M::decode(&self.codec, &value).unwrap_or_else(|error| panic!("{topic}: {error}"));
            Some((record, message))
        };
        self.log.read_committed(topic).into_iter().filter_map(decoded).collect()
    }

    /// The outcomes of a command: none while it is pending, and a further one for each repeat.
    pub fn outcomes(&self, command: Uuid) -> Vec<Outcome> {
        let outcomes = self.read::<Outcome>(self.topology.outcomes()).into_iter();
        let outcomes = outcomes.map(|(_, outcome)| outcome);
        outcomes.filter(|outcome| outcome.command_id == command).collect()
    }
}

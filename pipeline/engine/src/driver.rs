//! Runs a topology on the in-memory log, step by step: the test driver.
//!
//! It is the worker that runs in production, with the log and the clock exchanged. Workers can be
//! killed between any two steps, faults can be ordered on [`Driver::log`], and nothing happens
//! unless a test asks for it.

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
use schemas::{Codec, Message, Outcome, headers};
use uuid::Uuid;

use crate::{
    metrics::Metrics,
    topology::Topology,
    worker::{End, SchemaSource, Settings, Worker},
};

/// When the driver's clock begins, in milliseconds since the epoch.
pub const START_MS: i64 = 1_700_000_000_000;
/// A system that still works after so many turns will never rest.
const TURNS_MAX: usize = 100_000;
/// Small, so that tests write in parts too.
const PART_MIN: usize = 4;

struct NoRegistry;

impl SchemaSource for NoRegistry {
    fn schema_by_id(&self, _id: u32) -> Result<Option<String>, String> {
        Ok(None)
    }
}

/// A processor of several workers on an in-memory log.
pub struct Driver {
    /// The log, to order faults and to look at.
    pub log: MemoryLog,
    topology: Arc<Topology>,
    codec: Arc<Codec>,
    now_ms: Arc<AtomicI64>,
    workers: Vec<Option<Worker>>,
    settings: Settings,
    registry: Arc<dyn SchemaSource>,
}

impl Driver {
    /// `workers` workers, running, on `log`.
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
                // Time of day is none of a test's.
                positions_every: Duration::MAX,
                ..Settings::default()
            },
            registry: Arc::new(NoRegistry),
        };
        driver.log.set_time(START_MS);
        (0..workers).for_each(|worker| driver.start(worker));
        driver
    }

    /// How many workers there are, running or not.
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

    /// How workers work that are started from now on.
    pub fn settings(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// Where workers that are started from now on find schemas that the codec does not know. Its
    /// answers come from another thread, so a test that needs one steps until it is there.
    pub fn set_registry(&mut self, registry: Arc<dyn SchemaSource>) {
        self.registry = registry;
    }

    /// How many tasks of a running worker are still to be restored.
    pub fn restoring(&self, worker: usize) -> usize {
        self.workers[worker].as_ref().map_or(0, |worker| worker.status().restoring())
    }

    /// What a running worker has decided on and not handed over for a commit yet: records with
    /// timers, and bytes of output.
    pub fn held(&self, worker: usize) -> (usize, usize) {
        self.workers[worker].as_ref().map_or((0, 0), |worker| (worker.pending(), worker.bytes()))
    }

    /// Why tasks of a running worker can't go on.
    pub fn stuck(&self, worker: usize) -> Vec<String> {
        self.workers[worker].as_ref().map(|worker| worker.status().stuck()).unwrap_or_default()
    }

    /// Lets a worker end in order.
    ///
    /// # Errors
    /// Where it must not go on.
    pub fn stop(&mut self, worker: usize) -> Result<(), End> {
        self.workers[worker]
            .take()
            .map_or(Ok(()), |worker| worker.run(&AtomicBool::new(true), || {}))
    }

    /// Ends a worker where it stands, as `kill -9` does.
    pub fn kill(&mut self, worker: usize) {
        self.workers[worker] = None;
    }

    /// One turn of a worker; `false` where it is not running or had nothing to do.
    ///
    /// # Errors
    /// Where the worker must not go on.
    pub fn step(&mut self, worker: usize) -> Result<bool, End> {
        self.workers[worker].as_mut().map_or(Ok(false), |worker| worker.step(Duration::ZERO))
    }

    /// Whether a worker is ready, as its process would say.
    pub fn is_ready(&self, worker: usize) -> bool {
        self.workers[worker].as_ref().is_some_and(|worker| worker.status().is_ready())
    }

    /// Lets all workers work until none has anything to do.
    ///
    /// # Panics
    /// If they never come to rest, or one ends.
    pub fn settle(&mut self) {
        let mut quiet = 0;
        for _ in 0..TURNS_MAX {
            let mut worked = false;
            for worker in 0..self.workers.len() {
                worked |=
                    self.step(worker).unwrap_or_else(|end| panic!("worker {worker} ended: {end}"));
            }
            quiet = if worked { 0 } else { quiet + 1 };
            if quiet == 3 {
                return;
            }
        }
        panic!("the workers do not come to rest");
    }

    /// Lets time pass for clock and log.
    pub fn advance(&mut self, by: Duration) {
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        let now_ms = self.now_ms.fetch_add(by_ms, Ordering::Relaxed) + by_ms;
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
    /// If the driver's codec does not know its schema.
    pub fn encode(&self, message: &impl Message) -> Bytes {
        let mut bytes = Vec::new();
        message.encode(&self.codec, &mut bytes).unwrap_or_else(|error| panic!("{error}"));
        bytes.into()
    }

    /// What a read-committed reader sees of a topic, decoded, partition by partition.
    ///
    /// # Panics
    /// If a record is no `M`.
    pub fn read<M: Message>(&self, topic: &str) -> Vec<(Record, M)> {
        let decoded = |record: Record| {
            let value = record.value.clone()?;
            let message =
                M::decode(&self.codec, &value).unwrap_or_else(|error| panic!("{topic}: {error}"));
            Some((record, message))
        };
        self.log.read_committed(topic).into_iter().filter_map(decoded).collect()
    }

    /// The outcomes of a command: none while it is pending, and one more for each repeat.
    pub fn outcomes(&self, command: Uuid) -> Vec<Outcome> {
        let outcomes = self.read::<Outcome>("outcomes").into_iter().map(|(_, outcome)| outcome);
        outcomes.filter(|outcome| outcome.command_id == command).collect()
    }
}

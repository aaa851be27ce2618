//! Tests of the loop over a store in memory.

mod claims;
mod positions;
mod retention;
mod schemas;
mod turns;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use ::schemas::{Codec, Schema};
use futures_util::future::BoxFuture;
use redpanda::{
    log::{Connect as _, Headers, Input, LogError, ProducerRecord, TopicPartition, Transaction},
    memory::MemoryLog,
};
use tokio::runtime::Runtime;

use super::*;
use crate::{
    StoreError,
    metrics::Metrics,
    projection::{Batch, Claim, PositionStore, Projection, REMOVE_MAX, Retention},
};

/// A store in memory. Most tests have one partition.
#[derive(Default)]
struct Fake {
    /// The topics that it reads; none stands for `events`.
    topics: &'static [&'static str],
    /// The epoch and the position of each partition.
    claims: Mutex<BTreeMap<i32, (i64, Option<i64>)>>,
    /// Whether a projection without a position starts at the end of the log.
    starts_at_end: bool,
    /// The ends up to which it is rebuilt, with the number of records that were applied before.
    rebuilds: Mutex<Vec<(i64, usize)>>,
    /// How long its preparation takes.
    prepares_for: Duration,
    /// Whether every batch fails.
    fails: AtomicBool,
    /// Whether every record makes it panic.
    panics: AtomicBool,
    /// The most records of a batch that it applies; `None` stands for all.
    applies_max: Option<usize>,
    /// Whether it refuses batches of several records, so that they are applied one by one.
    refuses_several: bool,
    /// The number of records that were applied.
    applied: AtomicUsize,
    /// The number of rows whose retention has passed, and the `before_ms` of the last removal.
    old: Mutex<(usize, i64)>,
}

impl Fake {
    /// The claim of the first partition after `more` others.
    fn claimed(&self, more: i64) -> Claim {
        self.claimed_of(0, more)
    }

    fn claimed_of(&self, partition: i32, more: i64) -> Claim {
        let mut claims = self.claims.lock().expect("a lock");
        let claim = claims.entry(partition).or_default();
        claim.0 += more;
        Claim { epoch: claim.0, next: claim.1 }
    }

    /// The position of the first partition.
    fn position(&self) -> Option<i64> {
        self.claimed(0).next
    }

    fn set_position(&self, partition: i32, next: Option<i64>) {
        self.claims.lock().expect("a lock").entry(partition).or_default().1 = next;
    }
}

impl PositionStore for Fake {
    fn claim<'a>(
        &'a self,
        _: &'a str,
        partition: &'a TopicPartition,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        Box::pin(async { Ok(self.claimed_of(partition.partition, 1)) })
    }

    fn current_claim<'a>(
        &'a self,
        _: &'a str,
        partition: &'a TopicPartition,
    ) -> BoxFuture<'a, Result<Option<Claim>, StoreError>> {
        Box::pin(async { Ok(Some(self.claimed_of(partition.partition, 0))) })
    }

    fn write_dead_letter<'a>(
        &'a self,
        _: &'a str,
        batch: &'a Batch<'a>,
        _: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async {
            self.set_position(batch.partition.partition, Some(batch.to));
            Ok(())
        })
    }
}

impl Projection for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn topics(&self) -> &'static [&'static str] {
        if self.topics.is_empty() { &["events"] } else { self.topics }
    }

    fn schemas(&self) -> Vec<&'static Schema> {
        Vec::new()
    }

    fn positions(&self) -> &dyn PositionStore {
        self
    }

    fn start(&self, beginning: i64, end: i64) -> i64 {
        if self.starts_at_end { end } else { beginning }
    }

    fn begin_rebuild<'a>(
        &'a self,
        _: &'a TopicPartition,
        _: Claim,
        end: i64,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let applied = self.applied.load(Ordering::Relaxed);
            self.rebuilds.lock().expect("a lock").push((end, applied));
            Ok(())
        })
    }

    fn prepare(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            tokio::time::sleep(self.prepares_for).await;
            Ok(())
        })
    }

    fn apply<'a>(
        &'a self,
        batch: &'a Batch<'a>,
        _: &'a Codec,
    ) -> BoxFuture<'a, Result<i64, StoreError>> {
        Box::pin(async {
            if self.fails.load(Ordering::Relaxed) {
                return Err(StoreError::failed("writing a batch", "no answer"));
            }
            let records = batch.records;
            if self.refuses_several && records.len() > 1 {
                let record = "one of several".to_owned();
                return Err(StoreError::Record { record, cause: "it is not known which".into() });
            }
            let panics = !records.is_empty() && self.panics.load(Ordering::Relaxed);
            assert!(!panics, "a bug of the projection");
            let applied = self.applies_max.map_or(records.len(), |most| most.min(records.len()));
            let to = records.get(applied).map_or(batch.to, |record| record.offset);
            self.applied.fetch_add(applied, Ordering::Relaxed);
            self.set_position(batch.partition.partition, Some(to));
            Ok(to)
        })
    }

    fn erase(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    fn removes_versions(&self) -> bool {
        true
    }

    fn remove(&self, retention: Retention) -> BoxFuture<'_, Result<usize, StoreError>> {
        Box::pin(async move {
            let Some(before_ms) = retention.before_ms else { return Ok(0) };
            let mut old = self.old.lock().expect("a lock");
            let removed = old.0.min(REMOVE_MAX);
            *old = (old.0 - removed, before_ms);
            Ok(removed)
        })
    }
}

/// A log whose topic `events` holds one record and the marker of its transaction.
fn log_with_one_transaction() -> MemoryLog {
    let log = MemoryLog::new([("input", 1), ("events", 1)]);
    let mut session =
        log.connect("writer", &["input".into()], "writer-0").open().expect("a session");
    session.poll(Duration::ZERO, 1, &mut Vec::new()).expect("it joins");
    let event = ProducerRecord {
        topic: "events".into(),
        partition: 0,
        key: None,
        value: None,
        headers: Headers::default(),
    };
    let offsets = vec![(TopicPartition::new("input", 0), 0.into())];
    session
        .submit(Transaction { records: [event].into_iter().collect(), offsets })
        .expect("it writes");
    assert!(matches!(session.completed(Duration::ZERO), Some(Ok(()))));
    log
}

fn resources(log: &MemoryLog, runtime: &Runtime) -> Resources {
    let metrics = Metrics::register(&prometheus::Registry::new()).expect("metrics");
    let retention = Duration::from_secs(3600);
    Resources { retention, ..Resources::in_memory(log, metrics, runtime.handle()) }
}

fn member<'a>(log: &MemoryLog, fake: &'a Fake, resources: &'a Resources) -> Projector<'a> {
    let topics: Vec<_> = fake.topics().iter().map(|topic| (*topic).into()).collect();
    Projector::new(log.input("projector.fake", &topics), fake, resources)
}

fn steps(projector: &mut Projector<'_>, count: usize) {
    (0..count).for_each(|_| projector.step().expect("a step"));
}

#[test]
fn projector_ends_if_its_process_must_be_restarted() {
    let (runtime, log) = (Runtime::new().expect("a runtime"), MemoryLog::new([("events", 1)]));
    let open = |_: &str, _: &[&str]| -> Result<Box<dyn Input>, LogError> {
        Err(LogError::Exhausted { doing: "joining a group".to_owned(), cause: "a test".into() })
    };
    let resources = Resources { open: Arc::new(open), ..resources(&log, &runtime) };
    let error = run(Box::new(Fake::default()), &resources, &|| {}).expect_err("it ends");
    assert!(matches!(error, LogError::Exhausted { .. }), "{error:?}");
}

#[test]
fn projection_that_panics_on_a_record_stops_its_partition_and_not_the_thread() {
    let (runtime, fake) = (Runtime::new().expect("a runtime"), Fake::default());
    let log = log_with_one_transaction();
    let resources = resources(&log, &runtime);
    let mut projector = member(&log, &fake, &resources);
    fake.panics.store(true, Ordering::Relaxed);
    steps(&mut projector, 10);
    assert_eq!(projector.partitions(), (0, 1), "the partition waits");
    assert_eq!(fake.position(), Some(0), "it is where the projection starts");
}

#[test]
fn owner_whose_claim_was_replaced_releases_the_partition() {
    let (runtime, fake) = (Runtime::new().expect("a runtime"), Fake::default());
    let log = log_with_one_transaction();
    let resources = resources(&log, &runtime);
    let mut projector = member(&log, &fake, &resources);
    steps(&mut projector, 3);
    assert_eq!(projector.partitions(), (1, 0));

    fake.claimed(1);
    projector.compare_claims();
    assert_eq!(projector.partitions(), (0, 1));
}

#[test]
fn erased_position_is_noticed_and_the_partition_is_claimed_again_at_once() {
    let (runtime, fake) = (Runtime::new().expect("a runtime"), Fake::default());
    let log = log_with_one_transaction();
    let resources = resources(&log, &runtime);
    let mut projector = member(&log, &fake, &resources);
    projector.store_positions.every = Duration::ZERO;
    steps(&mut projector, 5);

    fake.set_position(0, None);
    projector.compare_claims();
    assert_eq!(projector.partitions(), (0, 1), "the partition waits for a new claim");
    steps(&mut projector, 5);
    assert_eq!(fake.position(), Some(2), "the projection was rebuilt");
}

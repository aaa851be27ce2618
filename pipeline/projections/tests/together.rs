//! The projector's loop on the in-memory log over a store that applies several partitions in one
//! step. The stores themselves are tested in `integration/tests/projections`.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use projections::{
    Metrics, Projection, StoreError,
    projection::{Batch, Claim, PositionStore},
    projector::{Projector, Resources},
};
use redpanda::{
    log::{Headers, Topic, TopicPartition},
    memory::MemoryLog,
};
use schemas::{Codec, Schema};

const TOPIC: &str = "events";

/// A store that refuses one value for good.
#[derive(Default)]
struct Store {
    claims: Mutex<BTreeMap<i32, Claim>>,
    /// The values that were applied, by partition.
    applied: Mutex<BTreeMap<i32, Vec<u8>>>,
    dead_letters: Mutex<Vec<(i32, i64)>>,
    /// The partitions of each step that was applied.
    steps: Mutex<Vec<Vec<i32>>>,
    refuses: Option<u8>,
    /// The number of steps that fail because another owner has a claim.
    loses: AtomicUsize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("a lock")
}

impl Store {
    fn claimed(&self, partition: &TopicPartition, more: i64) -> Claim {
        let mut claims = lock(&self.claims);
        let claim = claims.entry(partition.partition).or_insert(Claim { epoch: 0, next: None });
        claim.epoch += more;
        *claim
    }

    /// Applies all batches, or nothing. A batch without records only moves its position.
    fn write(&self, batches: &[Batch<'_>]) -> Result<(), StoreError> {
        let lost = |batch: &Batch<'_>| StoreError::Lost { position: batch.partition.to_string() };
        if let Some(batch) = batches.iter().find(|one| self.claimed(one.partition, 0) != one.claim)
        {
            return Err(lost(batch));
        }
        let has_records = batches.iter().any(|batch| !batch.records.is_empty());
        let loses = || {
            let less = |left: usize| left.checked_sub(1);
            self.loses.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
        };
        if has_records && loses() {
            return Err(lost(&batches[0]));
        }
        let values = |batch: &Batch<'_>| -> Vec<u8> {
            batch.records.iter().map(|one| one.value.as_ref().expect("a value")[0]).collect()
        };
        if batches.iter().flat_map(values).any(|value| Some(value) == self.refuses) {
            let (doing, why) = ("writing a row", "ERROR: value too long (22001)".to_owned());
            return Err(StoreError::Unstorable { doing, cause: why.into() });
        }
        for batch in batches {
            let partition = batch.partition.partition;
            lock(&self.claims).entry(partition).and_modify(|claim| claim.next = Some(batch.to));
            lock(&self.applied).entry(partition).or_default().extend(values(batch));
        }
        if has_records {
            let partitions = batches.iter().map(|batch| batch.partition.partition);
            lock(&self.steps).push(partitions.collect());
        }
        Ok(())
    }

    fn applied(&self) -> usize {
        lock(&self.applied).values().map(Vec::len).sum()
    }
}

impl PositionStore for Store {
    fn claim<'a>(
        &'a self,
        _: &'a str,
        partition: &'a TopicPartition,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        Box::pin(async { Ok(self.claimed(partition, 1)) })
    }

    fn current_claim<'a>(
        &'a self,
        _: &'a str,
        partition: &'a TopicPartition,
    ) -> BoxFuture<'a, Result<Option<Claim>, StoreError>> {
        Box::pin(async { Ok(Some(self.claimed(partition, 0))) })
    }

    fn write_dead_letter<'a>(
        &'a self,
        _: &'a str,
        batch: &'a Batch<'a>,
        _: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async {
            let partition = batch.partition.partition;
            lock(&self.claims).entry(partition).and_modify(|claim| claim.next = Some(batch.to));
            lock(&self.dead_letters).push((partition, batch.to - 1));
            Ok(())
        })
    }
}

impl Projection for Store {
    fn name(&self) -> &'static str {
        "trial"
    }

    fn topics(&self) -> &'static [&'static str] {
        &[TOPIC]
    }

    fn schemas(&self) -> Vec<&'static Schema> {
        Vec::new()
    }

    fn positions(&self) -> &dyn PositionStore {
        self
    }

    fn apply<'a>(
        &'a self,
        batch: &'a Batch<'a>,
        _: &'a Codec,
    ) -> BoxFuture<'a, Result<i64, StoreError>> {
        Box::pin(async { self.write(std::slice::from_ref(batch)).map(|()| batch.to) })
    }

    fn apply_together<'a>(
        &'a self,
        batches: &'a [Batch<'a>],
        _: &'a Codec,
    ) -> Option<BoxFuture<'a, Result<(), StoreError>>> {
        Some(Box::pin(async { self.write(batches) }))
    }

    fn erase(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }
}

/// A log with three partitions, each of which has the values `values`.
fn log(values: &[u8]) -> MemoryLog {
    let log = MemoryLog::new([(TOPIC, 3)]);
    let key_of = |partition: i32| {
        let trial = MemoryLog::new([(TOPIC, 3)]);
        let key = (0..)
            .map(|number: u32| number.to_string())
            .find(|key| trial.append(TOPIC, key, None, Headers::default()).0 == partition);
        key.expect("a key")
    };
    for key in (0..3).map(key_of) {
        for value in values {
            log.append(TOPIC, &key, Some(vec![*value].into()), Headers::default());
        }
    }
    log
}

/// Runs a projector until `count` values were applied; then calls `more`, which returns how many
/// are to be applied in all.
fn run(log: &MemoryLog, store: &Store, count: usize, more: impl FnOnce() -> usize) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let metrics = Metrics::register(&prometheus::Registry::new()).expect("metrics");
    let resources = Resources::in_memory(log, metrics, runtime.handle());
    let topics: Vec<Topic> = vec![TOPIC.into()];
    let mut projector = Projector::new(log.input("projector.trial", &topics), store, &resources);
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut until = |count| {
        while store.applied() < count {
            projector.step().expect("a step");
            assert!(Instant::now() < deadline, "applied {:?}", lock(&store.applied));
        }
    };
    until(count);
    until(more());
}

#[test]
fn records_of_one_poll_are_applied_in_one_step_for_all_partitions() {
    let store = Store::default();
    run(&log(&[1, 2]), &store, 6, || 6);

    assert_eq!(*lock(&store.steps), [[0, 1, 2]]);
    assert!(lock(&store.applied).values().all(|values| *values == [1, 2]));
}

#[test]
fn record_that_the_store_refuses_stops_no_other_partition() {
    let (store, log) = (Store { refuses: Some(9), ..Store::default() }, log(&[1]));
    let (partition, offset) = log.append(TOPIC, "key", Some(vec![9].into()), Headers::default());
    log.append(TOPIC, "key", Some(vec![2].into()), Headers::default());
    run(&log, &store, 4, || 4);

    assert_eq!(*lock(&store.dead_letters), [(partition, offset)]);
    assert_eq!(lock(&store.applied)[&partition], [1, 2]);
}

#[test]
fn partitions_are_applied_together_again_after_a_step_has_failed() {
    let (store, log) = (Store { loses: 1.into(), ..Store::default() }, log(&[1]));
    run(&log, &store, 3, || {
        let steps = std::mem::take(&mut *lock(&store.steps));
        assert!(steps.iter().all(|partitions| partitions.len() == 1), "{steps:?}");
        for key in 0..20 {
            log.append(TOPIC, &key.to_string(), Some(vec![3].into()), Headers::default());
        }
        23
    });

    assert_eq!(*lock(&store.steps), [[0, 1, 2]]);
}

#[test]
fn partition_that_another_owner_has_claimed_is_released_and_the_others_continue() {
    let (store, log) = (Store::default(), log(&[1]));
    let mut appended = 0;
    run(&log, &store, 3, || {
        store.claimed(&TopicPartition::new(TOPIC, 1), 1);
        for key in 0..20 {
            let value = Some(vec![3].into());
            let (partition, _) = log.append(TOPIC, &key.to_string(), value, Headers::default());
            appended += usize::from(partition != 1);
        }
        3 + appended
    });

    assert_eq!(lock(&store.applied)[&1], [1], "its record was applied by the former owner");
    assert_eq!(lock(&store.claims)[&1].epoch, 2, "the former owner has claimed it again at once");
}

//! The projector's loop on the in-memory log over a store in memory, for records that can't be
//! applied. The stores themselves are tested in `integration/tests/projections`.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
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
use schemas::{Codec, Message, Schema, notification, notification::NotificationRead};
use uuid::Uuid;

const TOPIC: &str = "notification.events";
const UNKNOWN_ID: u32 = 4_000_000;

/// A store that refuses the event of the notification `refuses`.
#[derive(Default)]
struct Store {
    claimed: Mutex<Claimed>,
    refuses: Option<Uuid>,
}

#[derive(Default)]
struct Claimed {
    epoch: i64,
    next: Option<i64>,
    applied: Vec<i64>,
    /// Offsets and reasons.
    dead_letters: Vec<(i64, String)>,
}

impl Store {
    fn claimed(&self) -> MutexGuard<'_, Claimed> {
        self.claimed.lock().expect("a lock")
    }
}

impl PositionStore for Store {
    fn claim<'a>(
        &'a self,
        _: &'a str,
        _: &'a TopicPartition,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        Box::pin(async {
            let mut claimed = self.claimed();
            claimed.epoch += 1;
            Ok(Claim { epoch: claimed.epoch, next: claimed.next })
        })
    }

    fn current_claim<'a>(
        &'a self,
        _: &'a str,
        _: &'a TopicPartition,
    ) -> BoxFuture<'a, Result<Option<Claim>, StoreError>> {
        Box::pin(async {
            let claimed = self.claimed();
            Ok(Some(Claim { epoch: claimed.epoch, next: claimed.next }))
        })
    }

    fn write_dead_letter<'a>(
        &'a self,
        _: &'a str,
        batch: &'a Batch<'a>,
        why: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let mut claimed = self.claimed();
            claimed.next = Some(batch.to);
            claimed.dead_letters.push((batch.to - 1, why.to_owned()));
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
        notification::Event::schemas().to_vec()
    }

    fn positions(&self) -> &dyn PositionStore {
        self
    }

    fn apply<'a>(
        &'a self,
        batch: &'a Batch<'a>,
        codec: &'a Codec,
    ) -> BoxFuture<'a, Result<i64, StoreError>> {
        Box::pin(async move {
            for record in batch.records {
                let value = record.value.as_ref().expect("a value");
                let name = format!("{}@{}", batch.partition, record.offset);
                let event = notification::Event::decode(codec, value)
                    .map_err(|error| StoreError::Unfit { record: name, cause: error.into() })?;
                let notification::Event::NotificationRead(read) = event else {
                    panic!("another event")
                };
                if Some(read.notification_id) == self.refuses {
                    return Err(StoreError::Unstorable {
                        doing: "writing a row",
                        cause: "ERROR: value too long (22001)".into(),
                    });
                }
            }
            let mut claimed = self.claimed();
            claimed.next = Some(batch.to);
            claimed.applied.extend(batch.records.iter().map(|record| record.offset));
            Ok(batch.to)
        })
    }

    fn erase(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }
}

struct Bench {
    log: MemoryLog,
    codec: Arc<Codec>,
    runtime: tokio::runtime::Runtime,
    registry: prometheus::Registry,
    reachable: Arc<AtomicBool>,
}

impl Bench {
    fn new() -> Self {
        Self {
            log: MemoryLog::new([(TOPIC, 1)]),
            codec: Arc::new(Codec::local()),
            runtime: tokio::runtime::Runtime::new().expect("a runtime"),
            registry: prometheus::Registry::new(),
            reachable: Arc::new(AtomicBool::new(true)),
        }
    }

    fn resources(&self) -> Resources {
        let reachable = self.reachable.clone();
        let metrics = Metrics::register(&self.registry).expect("metrics");
        Resources {
            schema_by_id: Arc::new(move |_| match reachable.load(Ordering::Relaxed) {
                true => Ok(None),
                false => Err("the registry can't be reached".into()),
            }),
            ..Resources::in_memory(&self.log, metrics, self.runtime.handle())
        }
    }

    fn good(&self, number: u128) {
        let (notification_id, user_id) = (Uuid::from_u128(number), Uuid::from_u128(9));
        let mut value = Vec::new();
        let event: notification::Event =
            NotificationRead { notification_id, user_id, read_at: 1 }.into();
        event.encode(&self.codec, &mut value).expect("bytes");
        self.raw(value);
    }

    fn unknown_schema(&self) {
        let mut value = vec![0];
        value.extend(UNKNOWN_ID.to_be_bytes());
        self.raw(value);
    }

    fn raw(&self, value: Vec<u8>) {
        self.log.append(TOPIC, "key", Some(value.into()), Headers::default());
    }

    /// Runs a projector until `done`, and returns the offsets that were applied and those of dead
    /// letters.
    fn until(&self, store: &Store, done: impl Fn(&Claimed) -> bool) -> (Vec<i64>, Vec<i64>) {
        let resources = self.resources();
        let topics: Vec<Topic> = vec![TOPIC.into()];
        let mut projector =
            Projector::new(self.log.input("projector.trial", &topics), store, &resources);
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            projector.step().expect("a step");
            let claim = store.claimed();
            if done(&claim) {
                return (
                    claim.applied.clone(),
                    claim.dead_letters.iter().map(|(offset, _)| *offset).collect(),
                );
            }
            assert!(
                Instant::now() < deadline,
                "applied {:?}, dead letters {:?}",
                claim.applied,
                claim.dead_letters
            );
        }
    }

    fn counted(&self) -> f64 {
        let families = self.registry.gather();
        let found =
            families.iter().find(|one| one.name() == "millrace_projection_dead_letters_total");
        found.expect("the metric").get_metric()[0].get_counter().get_value()
    }
}

#[test]
fn record_that_is_not_avro_becomes_a_dead_letter_and_the_partition_continues() {
    let (bench, store) = (Bench::new(), Store::default());
    bench.good(1);
    bench.raw(b"not Avro".to_vec());
    bench.good(2);

    let (applied, dead) = bench.until(&store, |claim| claim.applied.len() == 2);

    assert_eq!((applied, dead), (vec![0, 2], vec![1]));
    assert_eq!(bench.counted(), 1.0);
}

#[test]
fn record_that_the_store_refuses_for_good_becomes_a_dead_letter() {
    let refuses = Some(Uuid::from_u128(2));
    let (bench, store) = (Bench::new(), Store { refuses, ..Store::default() });
    (1..=3).for_each(|number| bench.good(number));

    let (applied, dead) = bench.until(&store, |claim| claim.applied.len() == 2);

    assert_eq!((applied, dead), (vec![0, 2], vec![1]));
    let claim = store.claimed();
    assert!(claim.dead_letters[0].1.contains("value too long"), "{:?}", claim.dead_letters);
}

#[test]
fn records_before_an_unknown_schema_are_applied_while_the_registry_is_unreachable() {
    let (bench, store) = (Bench::new(), Store::default());
    bench.reachable.store(false, Ordering::Relaxed);
    bench.good(1);
    bench.good(2);
    bench.unknown_schema();
    bench.good(3);
    // A second unknown id does not hide the first.
    bench.unknown_schema();

    let (applied, dead) = bench.until(&store, |claim| claim.applied.len() == 2);
    assert_eq!((applied, dead), (vec![0, 1], vec![]));

    // when the registry answers that it has no such schema
    bench.reachable.store(true, Ordering::Relaxed);
    let again = Bench { registry: prometheus::Registry::new(), ..bench };
    let (applied, dead) = again.until(&store, |claim| claim.dead_letters.len() == 2);
    assert_eq!((applied, dead), (vec![0, 1, 3], vec![2, 4]));
}

//! The loop that brings records from the log into a store.
//!
//! One rule: the position lives in the store beside the data and moves by compare-and-set. A
//! partition that this member gets is claimed, and read from the claim's position. Whatever goes
//! wrong with it, the answer is the same: wait, claim it again, and read again from where the store
//! says that it stands. A gap or a record that can't be understood yet stops its partition, never
//! skips it; the others go on. A record that no version could project becomes a dead letter of the
//! projection: it is noted in the store, counted and logged, and passed over.
//!
//! It owns a thread, because the log's calls block. It never commits an offset to the broker.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{FutureExt as _, future::join_all};
use redpanda::log::{Input, LogError, Membership, Record, TopicPartition};
use schemas::{Codec, CodecError};
use tokio::runtime::Handle;

use crate::{
    StoreError,
    metrics::{Metrics, now_ms},
    projection::{Batch, Claim, Projection, REMOVE_MAX, Retention, wrong},
};

/// How long a poll waits where nothing is to do: bounds how long a shutdown takes.
const IDLE: Duration = Duration::from_millis(500);
/// A batch ends with the record that takes it to this many bytes: stores bound what they take in
/// one request.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// The wait after a failure of the store or the log; doubles up to the longest.
const WAIT_MIN: Duration = Duration::from_millis(200);
const WAIT_MAX: Duration = Duration::from_secs(5);
/// The wait after what will hardly go away by itself.
const STUCK: Duration = Duration::from_secs(30);

/// Positions that have moved past what nobody is given, such as the marks of transactions, are
/// stored this often: long before any topic's retention.
const POSITIONS_EVERY: Duration = Duration::from_secs(60);

/// How often the positions of a quiet projection are compared with the store's: it may have been
/// emptied or erased.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// What has ended too long ago is removed this often, at once as much as [`REMOVE_MAX`].
const REMOVE_EVERY: Duration = Duration::from_secs(60);
/// How much longer than the processors the stores keep what has ended: so long may a projection be
/// behind.
const KEPT_LONGER: Duration = Duration::from_secs(30 * 24 * 3600);

/// Opens a member of a group that reads topics.
pub type Open = dyn Fn(&str, &[&str]) -> Result<Box<dyn Input>, LogError> + Send + Sync;

/// Asks the registry for the schema under an id; `None` where there is none. An error says that it
/// can't be reached.
pub type SchemaById = dyn Fn(u32) -> Result<Option<String>, String> + Send + Sync;

/// What all projectors of a process share.
#[derive(Clone)]
pub struct Context {
    /// Opens the log.
    pub open: Arc<Open>,
    /// Reads values.
    pub codec: Arc<Codec>,
    /// Knows the schemas of older and newer writers. Called on the projector's thread, and may
    /// block.
    pub schema_by_id: Arc<SchemaById>,
    /// What is counted.
    pub metrics: Metrics,
    /// For how long the processors remember what is finished.
    pub retention: Duration,
    /// Where the stores' clients run.
    pub runtime: Handle,
    /// Ends the projectors when it becomes true.
    pub shutdown: Arc<AtomicBool>,
}

/// The name of the group that shares a projection's work.
pub fn group(projection: &dyn Projection) -> String {
    format!("projector.{}", projection.name())
}

/// Runs a projection on this thread until the shutdown, and drops it where the stores' clients run.
/// Not to be called on a Tokio worker. Calls `turned` before each turn.
pub fn work(projection: Box<dyn Projection>, context: &Context, turned: &dyn Fn()) {
    // A client that is dropped may say good-bye in a task.
    let _entered = context.runtime.enter();
    run(&*projection, context, turned);
    drop(projection);
}

/// Runs a projection on this thread until the shutdown. Not to be called on a Tokio worker. Calls
/// `turned` before each turn.
pub fn run(projection: &dyn Projection, context: &Context, turned: &dyn Fn()) {
    let group = group(projection);
    prepare(projection, context, turned);
    let mut wait = WAIT_MIN;
    while !context.shutdown.load(Ordering::Relaxed) {
        let opened = Instant::now();
        let ended = (context.open)(&group, projection.topics()).and_then(|input| {
            let mut projector = Projector::new(input, projection, context);
            while !context.shutdown.load(Ordering::Relaxed) {
                turned();
                projector.step()?;
            }
            Ok(())
        });
        turned();
        if let Err(error) = ended {
            if opened.elapsed() > WAIT_MAX {
                wait = WAIT_MIN;
            }
            context.metrics.failed(projection.name(), "log");
            tracing::warn!(projection = projection.name(), %error, "joining the group anew");
            pause(wait, &context.shutdown);
            wait = (wait * 2).min(WAIT_MAX);
        }
    }
}

/// Waits until the store is as this program needs it. The group's other members have the partitions
/// until then.
fn prepare(projection: &dyn Projection, context: &Context, turned: &dyn Fn()) {
    let mut failures = 0;
    while !context.shutdown.load(Ordering::Relaxed) {
        turned();
        let Err(error) = context.runtime.block_on(projection.prepare()) else { return };
        failures += 1;
        context.metrics.failed(projection.name(), error.kind());
        tracing::warn!(projection = projection.name(), %error, "waiting for the store");
        pause(wait_after(failures), &context.shutdown);
    }
}

fn pause(wait: Duration, shutdown: &AtomicBool) {
    let until = Instant::now() + wait;
    while Instant::now() < until && !shutdown.load(Ordering::Relaxed) {
        std::thread::sleep(IDLE.min(wait));
    }
}

/// How a partition stands.
#[derive(Debug)]
enum Slot {
    /// It is this member's, but not read: it is claimed when the time has come.
    Waiting { until: Instant, failures: u32, one_by_one: bool },
    /// It is read.
    Claimed { epoch: i64, from: Option<i64>, next: i64, failures: u32, one_by_one: bool },
}

/// A member of the group with the partitions that it has.
pub struct Projector<'a> {
    input: Box<dyn Input>,
    projection: &'a dyn Projection,
    context: &'a Context,
    slots: BTreeMap<TopicPartition, Slot>,
    /// The input does not read what the slots say.
    astray: bool,
    records: Vec<Record>,
    /// Failures of the log in a row.
    log_failures: u32,
    looked: Instant,
    stored: Instant,
    positions_every: Duration,
    /// The time of the latest record that was applied: from there retention counts. Without records
    /// nothing grows.
    latest_ms: i64,
    removed: Instant,
    remove_every: Duration,
}

impl<'a> Projector<'a> {
    /// A member that has nothing yet.
    pub fn new(
        input: Box<dyn Input>,
        projection: &'a dyn Projection,
        context: &'a Context,
    ) -> Self {
        context.metrics.begin(projection.name());
        Self {
            input,
            projection,
            context,
            slots: BTreeMap::new(),
            astray: false,
            records: Vec::new(),
            log_failures: 0,
            looked: Instant::now(),
            stored: Instant::now(),
            positions_every: POSITIONS_EVERY,
            latest_ms: 0,
            removed: Instant::now(),
            remove_every: REMOVE_EVERY,
        }
    }

    /// Serves the group, claims what is to be claimed, and applies what has come.
    ///
    /// # Errors
    /// When the input can't be used any more: throw this away and open another one.
    pub fn step(&mut self) -> Result<(), LogError> {
        self.claim()?;
        if self.looked.elapsed() >= LOOK_EVERY {
            self.looked = Instant::now();
            self.look();
        }
        if self.astray {
            let positions = self.slots.iter().filter_map(|(place, slot)| match slot {
                Slot::Claimed { next, .. } => Some((place.clone(), *next)),
                Slot::Waiting { .. } => None,
            });
            let positions: Vec<_> = positions.collect();
            let fetched = self.input.fetch_from(&positions);
            self.survive(fetched)?;
            self.astray = self.log_failures > 0;
        }
        let mut records = std::mem::take(&mut self.records);
        records.clear();
        let polled = self.input.poll(self.idle(), self.projection.records_max(), &mut records);
        let changed = self.serve();
        self.survive(polled)?;
        // What came along with a change of membership is read again.
        if !changed {
            self.apply(&records);
            self.follow();
        }
        self.records = records;
        let waiting =
            self.slots.values().filter(|slot| matches!(slot, Slot::Waiting { .. })).count();
        self.context.metrics.waiting(self.projection.name(), waiting);
        // A partition that waits may have events to what would be removed.
        if waiting == 0 && self.latest_ms > 0 && self.removed.elapsed() >= self.remove_every {
            self.remove();
        }
        Ok(())
    }

    /// Removes some of what has ended too long ago; goes on in the next turn where there may be
    /// more.
    fn remove(&mut self) {
        let kept_ms = (self.context.retention + KEPT_LONGER).as_millis();
        let kept_ms = i64::try_from(kept_ms).unwrap_or(i64::MAX);
        // A record of a broker whose clock is ahead removes nothing early.
        let retention = Retention { now_ms: self.latest_ms.min(now_ms()), kept_ms };
        let removed = self.context.runtime.block_on(self.projection.remove(retention));
        if !removed.as_ref().is_ok_and(|count| *count >= REMOVE_MAX) {
            self.removed = Instant::now();
        }
        match removed {
            Ok(0) => {}
            Ok(count) => {
                tracing::info!(
                    projection = self.projection.name(),
                    count,
                    "removed what ended long ago"
                );
            }
            Err(error) => {
                self.context.metrics.failed(self.projection.name(), error.kind());
                tracing::warn!(projection = self.projection.name(), %error, "will be removed later");
            }
        }
    }

    /// Moves positions past what nobody is given, and stores those now and then that no record has
    /// carried.
    fn follow(&mut self) {
        // The input still has positions from before a claim.
        if self.astray {
            return;
        }
        for (place, position) in self.input.positions() {
            if let Some(Slot::Claimed { next, .. }) = self.slots.get_mut(&place) {
                *next = position.max(*next);
            }
        }
        if self.stored.elapsed() >= self.positions_every {
            self.stored = Instant::now();
            self.store();
        }
    }

    /// Stores the positions that have moved without a record.
    fn store(&mut self) {
        let (projection, codec) = (self.projection, &*self.context.codec);
        let moved = self.slots.iter().filter_map(|(place, slot)| match slot {
            Slot::Claimed { epoch, from, next, .. } if *from != Some(*next) => {
                let (place, epoch, from, to) = (place.clone(), *epoch, *from, *next);
                Some(async move {
                    let batch = Batch { place: &place, epoch, from, begin: to, to, records: &[] };
                    let done = projection.apply(&batch, codec).await;
                    (place, to, done)
                })
            }
            _ => None,
        });
        let moved = join_all(moved.collect::<Vec<_>>());
        for (place, to, done) in self.context.runtime.block_on(moved) {
            match (done, self.slots.get_mut(&place)) {
                (Ok(()), Some(Slot::Claimed { from, .. })) => *from = Some(to),
                (Ok(()), _) => {}
                (Err(error), _) => self.failed(&place, error, 0, false),
            }
        }
    }

    /// How many partitions are read, and how many wait.
    pub fn partitions(&self) -> (usize, usize) {
        let read = self.slots.values().filter(|slot| matches!(slot, Slot::Claimed { .. })).count();
        (read, self.slots.len() - read)
    }

    fn idle(&self) -> Duration {
        let due = self.slots.values().filter_map(|slot| match slot {
            Slot::Waiting { until, .. } => Some(until.saturating_duration_since(Instant::now())),
            Slot::Claimed { .. } => None,
        });
        due.min().map_or(IDLE, |due| due.min(IDLE))
    }

    /// Lets pass what can be tried again.
    fn survive(&mut self, done: Result<(), LogError>) -> Result<(), LogError> {
        match done {
            Ok(()) => self.log_failures = 0,
            Err(LogError::Retriable { doing, cause }) => {
                self.context.metrics.failed(self.projection.name(), "log");
                tracing::warn!(
                    projection = self.projection.name(),
                    doing,
                    cause,
                    "the log will be asked again"
                );
                self.log_failures += 1;
                pause(wait_after(self.log_failures), &self.context.shutdown);
            }
            Err(error @ LogError::OutOfRange { .. }) => {
                let LogError::OutOfRange { partition, .. } = &error else { return Ok(()) };
                self.context.metrics.failed(self.projection.name(), "log");
                tracing::error!(projection = self.projection.name(), %error, "stopped: rebuild the projection");
                self.wait(&partition.clone(), STUCK, 1, false);
            }
            Err(error @ (LogError::Fatal { .. } | LogError::Exhausted { .. })) => {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Follows the group; tells whether anything has changed.
    fn serve(&mut self) -> bool {
        let mut changed = false;
        while let Some(membership) = self.input.membership() {
            changed = true;
            self.astray = true;
            let (gained, numbers) = match membership {
                Membership::Assigned(numbers) => (true, numbers),
                Membership::Revoked(numbers) | Membership::Lost(numbers) => (false, numbers),
            };
            tracing::debug!(projection = self.projection.name(), gained, ?numbers, "partitions");
            for topic in self.projection.topics() {
                for number in &numbers {
                    let place = TopicPartition::new(*topic, *number);
                    if gained {
                        let slot =
                            Slot::Waiting { until: Instant::now(), failures: 0, one_by_one: false };
                        self.slots.insert(place, slot);
                    } else {
                        self.slots.remove(&place);
                        self.context.metrics.released(self.projection.name(), &place);
                    }
                }
            }
        }
        changed
    }

    /// Claims what is due. All positions of a new assignment are asked for at once.
    fn claim(&mut self) -> Result<(), LogError> {
        let now = Instant::now();
        let due: Vec<(TopicPartition, u32, bool)> = self
            .slots
            .iter()
            .filter_map(|(place, slot)| match slot {
                Slot::Waiting { until, failures, one_by_one } if *until <= now => {
                    Some((place.clone(), *failures, *one_by_one))
                }
                _ => None,
            })
            .collect();
        if due.is_empty() {
            return Ok(());
        }
        let claims = join_all(due.iter().map(|(place, ..)| self.projection.claim(place)));
        let claims = self.context.runtime.block_on(claims);
        for ((place, failures, one_by_one), claim) in due.into_iter().zip(claims) {
            let claim = match claim {
                Ok(claim) => claim,
                Err(error) => {
                    self.failed(&place, error, failures, one_by_one);
                    continue;
                }
            };
            let next = match claim.next {
                Some(next) => next,
                None => match self.input.watermarks(&place) {
                    Ok((beginning, end)) => {
                        tracing::info!(projection = self.projection.name(), partition = %place, "building anew");
                        self.projection.start(beginning, end)
                    }
                    Err(error) => {
                        self.wait(&place, wait_after(failures + 1), failures + 1, one_by_one);
                        self.survive(Err(error))?;
                        continue;
                    }
                },
            };
            self.context.metrics.claimed(self.projection.name(), &place, next);
            let slot =
                Slot::Claimed { epoch: claim.epoch, from: claim.next, next, failures, one_by_one };
            self.slots.insert(place, slot);
            self.astray = true;
        }
        Ok(())
    }

    /// Claims again what the store no longer has as it was left, without waiting for a record to
    /// show it.
    fn look(&mut self) {
        let projection = self.projection;
        let held = join_all(self.slots.iter().filter_map(|(place, slot)| {
            let Slot::Claimed { epoch, from, .. } = slot else { return None };
            let left = Claim { epoch: *epoch, next: *from };
            Some(async move { (place.clone(), left, projection.held(place).await) })
        }));
        for (place, left, held) in self.context.runtime.block_on(held) {
            match held {
                // It will be noticed when there is something to write.
                Err(_) => {}
                Ok(Some(held)) if held == left => {}
                Ok(Some(held)) if held.epoch > left.epoch => {
                    let error = StoreError::Lost {
                        position: format!("{} {place}", self.projection.name()),
                    };
                    self.failed(&place, error, 0, false);
                }
                Ok(_) => {
                    tracing::info!(projection = self.projection.name(), partition = %place, "the position is gone");
                    self.wait(&place, Duration::ZERO, 0, false);
                }
            }
        }
    }

    /// Applies what was read, the partitions beside each other.
    fn apply(&mut self, records: &[Record]) {
        let mut by_place: BTreeMap<TopicPartition, Vec<Record>> = BTreeMap::new();
        for record in records {
            let place = TopicPartition { topic: record.topic.clone(), partition: record.partition };
            by_place.entry(place).or_default().push(record.clone());
        }
        let learnt: Vec<_> = by_place
            .into_iter()
            .map(|(place, mut records)| {
                let (readable, learnt) = self.learn(&records);
                // The first record that can't be read ends this round; those before it are applied.
                records.truncate(readable);
                (learnt, place, records)
            })
            .collect();
        let work = learnt.into_iter().filter_map(|(learnt, place, mut records)| {
            let Some(Slot::Claimed { epoch, from, next, failures, one_by_one }) =
                self.slots.get(&place)
            else {
                return None;
            };
            // What was read before the position moved elsewhere is not for now.
            records.retain(|record| record.offset >= *next);
            let claimed = (*epoch, *from, *next, *failures, *one_by_one);
            (!records.is_empty() || learnt.is_err()).then_some((learnt, place, records, claimed))
        });
        let (projection, context) = (self.projection, self.context);
        let applied = work.map(
            |(learnt, place, records, (epoch, mut from, mut next, failures, one_by_one))| async move {
                let mut done = Ok(());
                for chunk in batches(&records, one_by_one) {
                    let to = chunk.last().map_or(next, |record| record.offset + 1);
                    let batch = Batch { place: &place, epoch, from, begin: next, to, records: chunk };
                    // With that bug planted the place is another: between the position and the
                    // rows.
                    if !redpanda::mutant::is_active("position-apart") {
                        redpanda::fault::point("before-store");
                    }
                    // A panic is about a record, and stops its partition alone. What it leaves
                    // behind is not used again.
                    let applied =
                        AssertUnwindSafe(projection.apply(&batch, &context.codec)).catch_unwind().await;
                    done = applied.unwrap_or_else(|_| {
                        let why = "the projection panicked; the panic is in the log".to_owned();
                        Err(wrong(&chunk[0], why))
                    });
                    redpanda::fault::point("after-store");
                    if let (Err(error), [_]) = (&done, chunk) {
                        done = match dead(error) {
                            true => bury(projection, &batch, error, &context.metrics).await,
                            false => done,
                        };
                    }
                    if done.is_err() {
                        break;
                    }
                    (from, next) = (Some(to), to);
                }
                (place, records, next, from, failures, one_by_one, done.and(learnt))
            },
        );
        let applied: Vec<_> = applied.collect();
        for (place, records, moved_to, now_from, before, singly, done) in
            self.context.runtime.block_on(join_all(applied))
        {
            let last = records.iter().rfind(|record| record.offset < moved_to);
            if let Some(last) = last {
                self.latest_ms = self.latest_ms.max(last.timestamp_ms);
                let count = records.iter().filter(|record| record.offset < moved_to).count();
                self.context.metrics.applied(
                    self.projection.name(),
                    &place,
                    count,
                    moved_to,
                    last.timestamp_ms,
                );
            }
            match done {
                Ok(()) => {
                    if let Some(Slot::Claimed { from, next, failures, one_by_one, .. }) =
                        self.slots.get_mut(&place)
                    {
                        (*from, *next, *failures, *one_by_one) = (now_from, moved_to, 0, false);
                    }
                }
                Err(error) => self.failed(&place, error, before, singly),
            }
        }
    }

    /// Makes known the schemas of records that others wrote. Returns how many records, from the
    /// first on, can be applied, and why the next one can't if there is one.
    fn learn(&self, records: &[Record]) -> (usize, Result<(), StoreError>) {
        for (readable, record) in records.iter().enumerate() {
            if let Err(error) = self.learn_one(record) {
                return (readable, Err(error));
            }
        }
        (records.len(), Ok(()))
    }

    /// A schema id that the registry does not have is left for the projection to meet: its record
    /// is unfit.
    fn learn_one(&self, record: &Record) -> Result<(), StoreError> {
        let codec = &self.context.codec;
        let Some(Err(CodecError::UnknownId(id))) =
            record.value.as_ref().map(|value| codec.open(value))
        else {
            return Ok(());
        };
        let failed = |why| StoreError::Failed { doing: "asking the registry for a schema", why };
        match (self.context.schema_by_id)(id).map_err(failed)? {
            Some(schema) => {
                codec.learn(id, &schema).map_err(|error| wrong(record, error.to_string()))
            }
            None => Ok(()),
        }
    }

    /// Decides when a partition is tried again.
    fn failed(
        &mut self,
        place: &TopicPartition,
        error: StoreError,
        failures: u32,
        one_by_one: bool,
    ) {
        let name = self.projection.name();
        self.context.metrics.failed(name, error.kind());
        let failures = failures.saturating_add(1);
        match error {
            StoreError::Failed { .. } | StoreError::Credentials { .. } => {
                tracing::warn!(projection = name, partition = %place, %error, "will be tried again");
                self.wait(place, wait_after(failures), failures, one_by_one);
            }
            StoreError::Lost { .. } => {
                // Its owner has it now, and the group will soon say so; if not, it is claimed back.
                tracing::info!(projection = name, partition = %place, %error, "let go");
                self.wait(place, WAIT_MAX, failures, one_by_one);
            }
            // What stands before it is applied first.
            StoreError::Gap { .. }
            | StoreError::Record { .. }
            | StoreError::Unfit { .. }
            | StoreError::Unstorable { .. }
                if !one_by_one =>
            {
                self.wait(place, Duration::ZERO, failures, true);
            }
            StoreError::Gap { .. }
            | StoreError::Record { .. }
            | StoreError::Unfit { .. }
            | StoreError::Unstorable { .. } => {
                tracing::error!(projection = name, partition = %place, %error, "stopped");
                self.wait(place, STUCK, failures, true);
            }
        }
    }

    fn wait(&mut self, place: &TopicPartition, wait: Duration, failures: u32, one_by_one: bool) {
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = Slot::Waiting { until: Instant::now() + wait, failures, one_by_one };
            self.astray = true;
        }
    }
}

/// Whether the record that this came of becomes a dead letter. Gaps and newer records never do.
fn dead(error: &StoreError) -> bool {
    matches!(error, StoreError::Unfit { .. } | StoreError::Unstorable { .. })
}

async fn bury(
    projection: &dyn Projection,
    batch: &Batch<'_>,
    error: &StoreError,
    metrics: &Metrics,
) -> Result<(), StoreError> {
    let name = projection.name();
    projection.bury(batch, &error.to_string()).await?;
    metrics.buried(name);
    let (partition, offset) = (batch.place, batch.to - 1);
    tracing::error!(projection = name, %partition, offset, %error, "a record became a dead letter");
    Ok(())
}

/// Cuts records into what is applied at once.
fn batches(records: &[Record], one_by_one: bool) -> impl Iterator<Item = &[Record]> {
    let bytes_max = if one_by_one { 0 } else { BATCH_BYTES_MAX };
    let mut rest = records;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let full = rest.iter().position(|record| {
            bytes += record.value.as_ref().map_or(0, |value| value.len());
            bytes >= bytes_max
        });
        let (batch, after) = rest.split_at(full.map_or(rest.len(), |last| last + 1));
        rest = after;
        (!batch.is_empty()).then_some(batch)
    })
}

fn wait_after(failures: u32) -> Duration {
    WAIT_MIN.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(WAIT_MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::future::BoxFuture;
    use redpanda::{
        log::{Connect as _, Headers, ProducerRecord, Transaction},
        memory::MemoryLog,
    };
    use tokio::runtime::Runtime;

    use super::*;

    /// A store in memory: the epoch and the position of its only partition.
    #[derive(Default)]
    struct Fake {
        held: Mutex<(i64, Option<i64>)>,
        panics: AtomicBool,
        /// How much has ended too long ago, and since when it would have had to.
        old: Mutex<(usize, i64)>,
    }

    impl Fake {
        fn claimed(&self, more: i64) -> Claim {
            let mut held = self.held.lock().expect("a lock");
            held.0 += more;
            Claim { epoch: held.0, next: held.1 }
        }
    }

    impl Projection for Fake {
        fn name(&self) -> &'static str {
            "fake"
        }

        fn topics(&self) -> &'static [&'static str] {
            &["events"]
        }

        fn claim<'a>(&'a self, _: &'a TopicPartition) -> BoxFuture<'a, Result<Claim, StoreError>> {
            Box::pin(async { Ok(self.claimed(1)) })
        }

        fn held<'a>(
            &'a self,
            _: &'a TopicPartition,
        ) -> BoxFuture<'a, Result<Option<Claim>, StoreError>> {
            Box::pin(async { Ok(Some(self.claimed(0))) })
        }

        fn apply<'a>(
            &'a self,
            batch: &'a Batch<'a>,
            _: &'a Codec,
        ) -> BoxFuture<'a, Result<(), StoreError>> {
            Box::pin(async {
                assert!(!self.panics.load(Ordering::Relaxed), "a bug of the projection");
                self.held.lock().expect("a lock").1 = Some(batch.to);
                Ok(())
            })
        }

        fn bury<'a>(
            &'a self,
            batch: &'a Batch<'a>,
            _: &'a str,
        ) -> BoxFuture<'a, Result<(), StoreError>> {
            Box::pin(async {
                self.held.lock().expect("a lock").1 = Some(batch.to);
                Ok(())
            })
        }

        fn erase(&self) -> BoxFuture<'_, Result<(), StoreError>> {
            Box::pin(async { Ok(()) })
        }

        fn remove(&self, retention: Retention) -> BoxFuture<'_, Result<usize, StoreError>> {
            Box::pin(async move {
                let mut old = self.old.lock().expect("a lock");
                let removed = old.0.min(REMOVE_MAX);
                *old = (old.0 - removed, retention.before_ms());
                Ok(removed)
            })
        }
    }

    /// A log whose events are one record and the mark of its transaction.
    fn log() -> MemoryLog {
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
        let offsets = vec![(TopicPartition::new("input", 0), 0)];
        session
            .submit(Transaction { records: [event].into_iter().collect(), offsets })
            .expect("it writes");
        assert!(matches!(session.completed(Duration::ZERO), Some(Ok(()))));
        log
    }

    fn context(runtime: &Runtime) -> Context {
        Context {
            open: Arc::new(|group, _| {
                let cause = "the test has opened it".into();
                Err(LogError::Fatal { doing: format!("joining {group}"), cause })
            }),
            codec: Arc::new(Codec::local()),
            schema_by_id: Arc::new(|_| Ok(None)),
            retention: Duration::from_secs(3600),
            metrics: Metrics::register(&prometheus::Registry::new()).expect("metrics"),
            runtime: runtime.handle().clone(),
            shutdown: Arc::default(),
        }
    }

    #[test]
    fn position_follows_the_log_past_the_mark_of_a_transaction() {
        let (runtime, fake) = (Runtime::new().expect("a runtime"), Fake::default());
        let (context, log) = (context(&runtime), log());
        let mut projector =
            Projector::new(log.input("projector.fake", &["events".into()]), &fake, &context);
        projector.positions_every = Duration::ZERO;
        for _ in 0..5 {
            projector.step().expect("it goes on");
        }
        assert_eq!(fake.claimed(0).next, Some(2));
    }

    #[test]
    fn what_ended_long_ago_is_removed_in_batches_counted_from_the_latest_record_and_from_no_later_time()
     {
        for (record_ms, counts_from) in [(5_000_000, Some(5_000_000)), (i64::MAX / 2, None)] {
            let (runtime, fake) = (Runtime::new().expect("a runtime"), Fake::default());
            let context = context(&runtime);
            let log = MemoryLog::new([("events", 1)]);
            let mut projector =
                Projector::new(log.input("projector.fake", &["events".into()]), &fake, &context);
            projector.remove_every = Duration::ZERO;
            fake.old.lock().expect("a lock").0 = 2 * REMOVE_MAX + 1;
            for _ in 0..5 {
                projector.step().expect("it goes on");
            }
            assert_eq!(*fake.old.lock().expect("a lock"), (2 * REMOVE_MAX + 1, 0), "nothing grows");

            log.set_time(record_ms);
            log.append("events", "key", None, Headers::default());
            let left = |fake: &Fake| fake.old.lock().expect("a lock").0;
            while left(&fake) > 2 * REMOVE_MAX {
                projector.step().expect("it goes on");
            }
            assert_eq!(left(&fake), REMOVE_MAX + 1, "one batch a turn");
            for _ in 0..5 {
                projector.step().expect("it goes on");
            }
            let (left, before_ms) = *fake.old.lock().expect("a lock");
            let kept_ms = 31 * 24 * 3_600_000 - 23 * 3_600_000;
            assert_eq!(left, 0);
            match counts_from {
                Some(latest_ms) => assert_eq!(before_ms, latest_ms - kept_ms),
                None => {
                    assert!(
                        before_ms <= now_ms() - kept_ms,
                        "a clock that is ahead removes nothing early"
                    )
                }
            }
        }
    }

    #[test]
    fn projection_that_panics_on_a_record_stops_its_partition_and_not_the_thread() {
        let (runtime, fake) = (Runtime::new().expect("a runtime"), Fake::default());
        let (context, log) = (context(&runtime), log());
        let mut projector =
            Projector::new(log.input("projector.fake", &["events".into()]), &fake, &context);
        fake.panics.store(true, Ordering::Relaxed);
        for _ in 0..10 {
            projector.step().expect("it goes on");
        }
        assert_eq!(projector.partitions(), (0, 1), "it waits");
        assert_eq!(fake.claimed(0).next, None);
    }
}

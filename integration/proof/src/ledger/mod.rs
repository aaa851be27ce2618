//! What the topics hold, read committed and folded from the beginning by the domain's own rules. It
//! shares nothing with what the engine remembers, writes nothing, and judges only what can never
//! become right: a version that is missing or comes twice.

mod add;
mod fold;
mod place;
mod rows;
#[cfg(test)]
pub(crate) mod testing;
mod violation;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use redpanda::log::{LogError, Record, Topic, TopicPartition};
use redpanda::scan::{Isolation, scan};
use schemas::{Codec, Outcome, user::Credential};
use uuid::Uuid;

pub use fold::{Fold, Folds};
pub use violation::{Damage, Violation};

/// How long reading one topic to its end may take.
const READ_MAX: Duration = Duration::from_secs(20);

/// A command in its topic.
#[derive(Clone, Debug)]
pub struct SentCommand {
    /// When it was first appended, by the broker's clock, in milliseconds since the epoch.
    pub at_ms: i64,
    /// The number of its records: a client that saw no acknowledgement writes it again.
    pub records: usize,
    /// The first command of its chain, which is itself if no other has caused it: what the events
    /// that it causes carry.
    pub correlation: Uuid,
    /// How much stock it receives, if it receives any.
    pub received: Option<i32>,
    /// The session that it refreshes or ends, if it does.
    pub session: Option<Uuid>,
}

/// The outcomes of one command.
#[derive(Clone, Debug, Default)]
pub struct SeenOutcomes {
    /// The distinct ones.
    pub outcomes: Vec<Outcome>,
    /// The number of their records: a repeated command gets its outcome again.
    pub records: usize,
    /// When the first was appended, in milliseconds since the epoch.
    pub at_ms: i64,
}

/// What the record of an event says beside the event itself.
#[derive(Clone, Copy, Debug)]
pub struct EventRecord {
    /// When it was appended, by the broker's clock, in milliseconds since the epoch.
    pub at_ms: i64,
    /// The command that caused it.
    pub command: Uuid,
}

/// What an event or a follow-up says about its cause.
#[derive(Clone, Debug)]
pub struct Caused {
    /// Where it is, for people.
    pub at: String,
    /// Its own id.
    pub id: Uuid,
    /// Whether it is an event.
    pub is_event: bool,
    /// The id of the record, or of the timer, that has caused it.
    pub cause: Uuid,
    /// The first command of its chain.
    pub correlation: Uuid,
    /// Whether it is written in the name of the system, as what a timer causes is.
    pub is_of_system: bool,
}

/// Everything that has been read so far.
#[derive(Default)]
pub struct Ledger {
    positions: BTreeMap<String, BTreeMap<i32, i64>>,
    /// When the last read began, in milliseconds since the epoch: all topics were read at least up
    /// to then.
    pub read_at_ms: i64,
    /// Commands by id.
    pub commands: HashMap<Uuid, SentCommand>,
    /// Outcomes by command.
    pub outcomes: HashMap<Uuid, SeenOutcomes>,
    /// The ids of all events and outcomes, by topic, partition and offset: what another reader may
    /// have seen.
    pub record_ids: HashMap<(String, i32, i64), String>,
    /// The offsets of each partition that were removed from the log before they could be read.
    pub removed: Vec<(TopicPartition, Range<i64>)>,
    /// The command that caused each record, by topic, partition and offset: what traces must show.
    pub causes: HashMap<(String, i32, i64), Uuid>,
    /// The aggregates.
    pub folds: Folds,
    /// The record of each event, by context, key and version.
    event_records: HashMap<(String, String, i64), EventRecord>,
    /// The newest credential of each user, by the key of its record.
    pub credentials: HashMap<String, Credential>,
    /// The number of dead letters of each command.
    pub dead: HashMap<Uuid, usize>,
    /// Every dead letter: the id of the failed record, and the dead letter's own position.
    pub letters: Vec<(String, String)>,
    /// Every record that was parked, or re-driven or edited afterwards: its key, and where it says
    /// so.
    pub parked: Vec<(String, String)>,
    /// The follow-ups that need a reply, with where they are.
    pub requests: HashMap<Uuid, String>,
    /// The causes of all replies: the request, or the event that the request has caused.
    pub replied: HashSet<Uuid>,
    /// What each event and follow-up says about its cause.
    pub caused: Vec<Caused>,
    /// The first command of the chain of each command, follow-up and event, by its id.
    pub correlations: HashMap<Uuid, Uuid>,
    /// The replies that grant a reservation, with their orders.
    pub reserved: HashMap<Uuid, Uuid>,
    /// The ids of all events and follow-ups, by topic: two processors may derive the same id from
    /// an event, for records of different topics.
    ids: HashSet<(Topic, Uuid)>,
    changelog: HashMap<String, (Option<i64>, Vec<u8>)>,
    /// Violations that can never become right again.
    pub broken: Vec<Violation>,
}

impl Ledger {
    /// Reads all topics from the last positions to their ends.
    pub fn read_on(&mut self, brokers: &str, codec: &Codec) -> anyhow::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        self.read_at_ms = i64::try_from(now.as_millis())?;
        // In parallel, because most of the time is spent waiting for brokers.
        let read = std::thread::scope(|scope| {
            let reading = redpanda::topics::all().iter().map(|topic| {
                let mut positions = self.positions.get(&topic.name).cloned().unwrap_or_default();
                scope.spawn(move || {
                    let mut removed = Vec::new();
                    let read = read_topic(brokers, topic, &mut positions, &mut removed);
                    (&topic.name, positions, removed, read)
                })
            });
            let reading: Vec<_> = reading.collect();
            let read = reading.into_iter().map(|thread| {
                thread.join().map_err(|_| anyhow::anyhow!("the reader of a topic has panicked"))
            });
            read.collect::<anyhow::Result<Vec<_>>>()
        })?;
        for (name, positions, removed, read) in read {
            self.removed.extend(removed);
            for record in read? {
                let at = || format!("{}[{}]@{}", record.topic, record.partition, record.offset);
                self.add(&record, codec).with_context(at)?;
            }
            self.positions.insert(name.clone(), positions);
        }
        Ok(())
    }

    /// The record of an event; `None` if it was not read.
    pub fn event_record(&self, context: &str, key: &str, version: i64) -> Option<EventRecord> {
        self.event_records.get(&(context.to_owned(), key.to_owned(), version)).copied()
    }

    /// D: each state in a changelog is the fold of its events, and each other row has its reason.
    pub fn changelogs(&self, codec: &Codec) -> Vec<Violation> {
        let mut broken = self.folds.compare(codec, &self.changelog);
        broken.extend(rows::rows(self));
        broken
    }
}

/// Reads a topic to its end. A fault removes follow-ups as retention does, perhaps some that were
/// not read yet: they are added to `removed`. All other topics must have everything.
fn read_topic(
    brokers: &str,
    topic: &redpanda::topics::Topic,
    positions: &mut BTreeMap<i32, i64>,
    removed: &mut Vec<(TopicPartition, Range<i64>)>,
) -> Result<Vec<Record>, LogError> {
    loop {
        let (name, partitions) = (&topic.name, topic.partitions);
        match scan(brokers, name, partitions, Isolation::Committed, positions, READ_MAX) {
            Err(LogError::OutOfRange { partition, offset, beginning, .. })
                if name.ends_with(".followups") && offset < beginning =>
            {
                positions.insert(partition.partition, beginning);
                removed.push((partition, offset..beginning));
            }
            read => return read,
        }
    }
}

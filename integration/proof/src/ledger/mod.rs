//! What the topics hold, read committed and folded from the beginning by the domain's own rules. It
//! shares nothing with what the engine remembers, writes nothing, and judges only what can never
//! become right: a version that is missing or comes twice.

mod fold;
mod violation;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::Context as _;
use redpanda::log::Record;
use redpanda::scan::{Isolation, scan};
use schemas::{Codec, Message as _, Outcome, headers};
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
}

/// The outcomes of one command.
#[derive(Clone, Debug, Default)]
pub struct SeenOutcomes {
    /// The distinct ones.
    pub outcomes: Vec<Outcome>,
    /// When the first was appended, in milliseconds since the epoch.
    pub at_ms: i64,
}

/// Everything that has been read so far.
#[derive(Default)]
pub struct Ledger {
    positions: BTreeMap<String, BTreeMap<i32, i64>>,
    /// Commands by id.
    pub commands: HashMap<Uuid, SentCommand>,
    /// Outcomes by command.
    pub outcomes: HashMap<Uuid, SeenOutcomes>,
    /// The ids of all events and outcomes, by topic, partition and offset: what another reader may
    /// have seen.
    pub record_ids: HashMap<(String, i32, i64), String>,
    /// The command that caused each record, by topic, partition and offset: what traces must show.
    pub causes: HashMap<(String, i32, i64), Uuid>,
    /// The aggregates.
    pub folds: Folds,
    /// The number of dead letters of each command.
    pub dead: HashMap<Uuid, usize>,
    /// Every dead letter: the id of the failed record, and the dead letter's own position.
    pub letters: Vec<(String, String)>,
    changelog: HashMap<String, (Option<i64>, Vec<u8>)>,
    /// Violations that can never become right again.
    pub broken: Vec<Violation>,
}

/// The id of a record: that of its header, or one derived from its text if it is no UUID, or from
/// the position if there is none. A dead letter has the id of the record that failed.
fn id_of(record: &Record) -> Uuid {
    let text = |name: &str| record.headers.text(name);
    if let Some(id) = text(headers::ID).filter(|id| !id.is_empty()) {
        return uuid_of(id);
    }
    let own = (record.partition.to_string(), record.offset.to_string());
    let (topic, partition, offset) =
        match (text("dead_topic"), text("dead_partition"), text("dead_offset")) {
            (Some(topic), Some(partition), Some(offset)) => (topic, partition, offset),
            _ => (&*record.topic, &*own.0, &*own.1),
        };
    Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("{topic}/{partition}/{offset}").as_bytes())
}

fn uuid_of(id: &str) -> Uuid {
    id.parse().unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes()))
}

impl Ledger {
    /// Reads all topics from the last positions to their ends.
    pub fn read_on(&mut self, brokers: &str, codec: &Codec) -> anyhow::Result<()> {
        let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
        // In parallel, because most of the time is spent waiting for brokers.
        let read: Vec<_> = std::thread::scope(|scope| {
            let reading = redpanda::topics::all().iter().map(|topic| {
                let mut positions = self.positions.get(&topic.name).cloned().unwrap_or_default();
                scope.spawn(move || {
                    let (name, partitions) = (&topic.name, topic.partitions);
                    let read = scan(
                        brokers,
                        name,
                        partitions,
                        Isolation::Committed,
                        &mut positions,
                        READ_MAX,
                    );
                    (name, positions, read)
                })
            });
            let reading: Vec<_> = reading.collect();
            reading.into_iter().filter_map(|thread| thread.join().ok()).collect()
        });
        for (name, positions, read) in read {
            for record in read? {
                let at = || format!("{}[{}]@{}", record.topic, record.partition, record.offset);
                self.add(&record, &last(name), codec).with_context(at)?;
            }
            self.positions.insert(name.clone(), positions);
        }
        Ok(())
    }

    fn add(&mut self, record: &Record, kind: &str, codec: &Codec) -> anyhow::Result<()> {
        let key =
            || String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
        let id = record.headers.text(headers::ID).unwrap_or_default();
        if kind != "state" {
            let cause = record.headers.text(headers::CORRELATION_ID).map(uuid_of);
            let at = (record.topic.to_string(), record.partition, record.offset);
            self.causes.insert(at, cause.unwrap_or_else(|| id_of(record)));
        }
        match kind {
            "commands" => {
                let sent = SentCommand { at_ms: record.timestamp_ms };
                self.commands.entry(id_of(record)).or_insert(sent);
            }
            "events" => {
                self.see(record, id);
                let version =
                    record.headers.text(headers::VERSION).and_then(|text| text.parse().ok());
                let version = version.context("an event without a version")?;
                let value = record.value.as_deref().context("an event without a value")?;
                let key = key();
                let context = record.topic.split('.').next().unwrap_or_default();
                let broken = self.folds.add(context, &key, version, value, codec)?;
                self.broken.extend(broken);
            }
            "outcomes" => {
                self.see(record, &key());
                let value = record.value.as_deref().context("an outcome without a value")?;
                let outcome = Outcome::decode(codec, value)?;
                let seen = self.outcomes.entry(outcome.command_id).or_default();
                if seen.outcomes.is_empty() {
                    seen.at_ms = record.timestamp_ms;
                }
                if !seen.outcomes.contains(&outcome) {
                    seen.outcomes.push(outcome);
                }
            }
            "dead" => {
                let at = format!("{}[{}]@{}", record.topic, record.partition, record.offset);
                self.letters.push((id.to_owned(), at));
                if let Ok(id) = id.parse() {
                    *self.dead.entry(id).or_default() += 1;
                }
            }
            "state" => {
                // The task's partition does not matter: every aggregate has one task.
                let version =
                    record.headers.text(headers::VERSION).and_then(|text| text.parse().ok());
                match &record.value {
                    Some(value) => drop(self.changelog.insert(key(), (version, value.to_vec()))),
                    None => drop(self.changelog.remove(&key())),
                }
            }
            // Of follow-ups, credentials and what operators do only the causes are checked.
            _ => {}
        }
        Ok(())
    }

    fn see(&mut self, record: &Record, id: &str) {
        self.record_ids
            .insert((record.topic.to_string(), record.partition, record.offset), id.to_owned());
    }

    /// D: each state in a changelog is the fold of its events.
    pub fn changelogs(&self, codec: &Codec) -> Vec<Violation> {
        self.folds.compare(codec, &self.changelog)
    }
}

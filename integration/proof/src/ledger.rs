//! What the topics say, read committed and folded from the beginning by the domain's own rules. It
//! shares nothing with what the engine remembers, writes nothing, and judges only what can never be
//! right: a version that is missing or comes twice.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use anyhow::Context as _;
use domain::{
    decider::Decider, email::Email, notification::Notification, order::Order, stock::Stock,
    user::User,
};
use redpanda::{
    log::Record,
    scan::{Isolation, scan},
};
use schemas::{Codec, Message, Outcome, headers};
use uuid::Uuid;

/// How long a topic may take to be read to its end.
const READ_MAX: Duration = Duration::from_secs(20);
/// Parts an aggregate's key from its member's name, in a changelog's keys.
const MEMBER_SEPARATOR: char = '\u{1f}';

/// An invariant, by its letter, and how it was broken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Violation {
    /// A to J.
    pub invariant: char,
    /// What is lost, doubled or torn.
    pub damage: Damage,
    /// What was seen.
    pub what: String,
}

/// What a violation means to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Damage {
    /// Something that was acknowledged has not happened.
    Lost,
    /// Something has happened more than once.
    Doubled,
    /// Two things that belong together do not agree.
    Torn,
    /// It took longer than it may.
    Late,
}

impl Violation {
    /// A violation of `invariant`.
    pub fn new(invariant: char, damage: Damage, what: impl Into<String>) -> Self {
        Self { invariant, damage, what: what.into() }
    }
}

/// A command as it stands in its topic.
#[derive(Clone, Debug)]
pub struct Sent {
    /// When it was appended, by the broker's clock, first; milliseconds since the epoch.
    pub at_ms: i64,
}

/// Where outcomes of one command stand.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// The distinct ones.
    pub outcomes: Vec<Outcome>,
    /// When the first was appended, milliseconds since the epoch.
    pub at_ms: i64,
}

/// An aggregate kind, folded.
pub struct Fold<D: Decider> {
    /// Version and state by key.
    pub aggregates: HashMap<String, (i64, Option<D::State>)>,
    /// Members, by key and member's name joined as in the changelog.
    pub members: HashMap<String, D::Child>,
    /// The events of each key, in order.
    pub events: HashMap<String, Vec<D::Event>>,
}

impl<D: Decider> Default for Fold<D> {
    fn default() -> Self {
        Self { aggregates: HashMap::new(), members: HashMap::new(), events: HashMap::new() }
    }
}

impl<D: Decider> Fold<D> {
    fn add(&mut self, key: &str, version: i64, event: D::Event) -> Option<Violation> {
        let (before, state) = self.aggregates.remove(key).unwrap_or((0, None));
        let after = D::evolve(state, &event);
        if let Some(member) = D::child_of_event(&event) {
            let name = format!("{key}{MEMBER_SEPARATOR}{member}");
            let held = self.members.remove(&name);
            if let Some(held) = D::evolve_child(held, &event) {
                self.members.insert(name, held);
            }
        }
        let what = || {
            format!("{} of {}/{key} has version {version} after {before}", event.name(), D::CONTEXT)
        };
        let violation = match version {
            next if next == before + 1 => None,
            repeated if repeated <= before => Some(Violation::new('C', Damage::Doubled, what())),
            _ => Some(Violation::new('C', Damage::Lost, what())),
        };
        self.aggregates.insert(key.to_owned(), (version, after));
        self.events.entry(key.to_owned()).or_default().push(event);
        violation
    }

    /// Compares with the changelog's records of this kind: state = fold of events = what a restore
    /// would load.
    fn compare(
        &self,
        codec: &Codec,
        changelog: &HashMap<String, (Option<i64>, Vec<u8>)>,
        broken: &mut Vec<Violation>,
    ) {
        let torn = |what: String| Violation::new('D', Damage::Torn, what);
        let mut seen = HashSet::new();
        for (typed, (version, value)) in changelog {
            let Some((kind, rest)) = typed.split_once('/') else { continue };
            let Some((context, key)) = rest.split_once('/') else { continue };
            if context != D::CONTEXT {
                continue;
            }
            match kind {
                "state" => {
                    seen.insert(key);
                    let folded = self.aggregates.get(key);
                    let state = D::State::decode(codec, value).ok();
                    if folded.map(|(_, state)| state.as_ref()) != Some(state.as_ref()) {
                        broken.push(torn(format!(
                            "{typed}: the changelog has {state:?}, the events {folded:?}"
                        )));
                    } else if folded.map(|(version, _)| *version) != *version {
                        broken.push(torn(format!(
                            "{typed}: version {version:?} in the changelog, not {folded:?}"
                        )));
                    }
                }
                "member" => {
                    let held = D::Child::decode(codec, value).ok();
                    if held.as_ref() != self.members.get(key) {
                        broken.push(torn(format!(
                            "{typed}: the changelog's member is not the events'"
                        )));
                    }
                }
                _ => {}
            }
        }
        let folded = self.aggregates.iter().filter(|(_, (_, state))| state.is_some());
        for (key, _) in folded.filter(|(key, _)| !seen.contains(key.as_str())) {
            broken.push(torn(format!(
                "{}/{key} has events, and no state in the changelog",
                D::CONTEXT
            )));
        }
        for key in self
            .members
            .keys()
            .filter(|key| !changelog.contains_key(&format!("member/{}/{key}", D::CONTEXT)))
        {
            broken.push(torn(format!(
                "{}/{key:?} is a member by its events, and not in the changelog",
                D::CONTEXT
            )));
        }
    }
}

/// Everything that was read so far.
#[derive(Default)]
pub struct Ledger {
    positions: BTreeMap<String, BTreeMap<i32, i64>>,
    /// Commands by id.
    pub commands: HashMap<Uuid, Sent>,
    /// Outcomes by command.
    pub outcomes: HashMap<Uuid, Told>,
    /// The ids of all events and outcomes read, by place: what another reader may have seen.
    pub places: HashMap<(String, i32, i64), String>,
    /// People.
    pub users: Fold<User>,
    /// Their addresses.
    pub emails: Fold<Email>,
    /// Orders.
    pub orders: Fold<Order>,
    /// Products.
    pub stock: Fold<Stock>,
    /// Notifications.
    pub notifications: Fold<Notification>,
    /// How many dead letters there are of a command.
    pub dead: HashMap<Uuid, usize>,
    /// Every dead letter: the id of the record that it is of, and where it stands.
    pub letters: Vec<(String, String)>,
    changelog: HashMap<String, (Option<i64>, Vec<u8>)>,
    /// What can never be right any more.
    pub broken: Vec<Violation>,
}

/// The topics that are read, by the last word of their names.
const KINDS: [&str; 5] = ["commands", "events", "outcomes", "state", "dead"];

impl Ledger {
    /// Reads on to the ends of all topics.
    pub fn read_on(&mut self, brokers: &str, codec: &Codec) -> anyhow::Result<()> {
        let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
        let topics: Vec<_> = redpanda::topics::all()
            .iter()
            .filter(|topic| KINDS.contains(&&*last(&topic.name)))
            .collect();
        // Beside each other, as most of it is waiting for answers.
        let read: Vec<_> = std::thread::scope(|scope| {
            let reading = topics.into_iter().map(|topic| {
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
                let place = || format!("{}[{}]@{}", record.topic, record.partition, record.offset);
                self.add(&record, &last(name), codec).with_context(place)?;
            }
            self.positions.insert(name.clone(), positions);
        }
        Ok(())
    }

    fn add(&mut self, record: &Record, kind: &str, codec: &Codec) -> anyhow::Result<()> {
        let key =
            || String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
        let id = record.headers.text(headers::ID).unwrap_or_default();
        match kind {
            "commands" => {
                let id = match id.parse() {
                    Ok(id) => id,
                    // Without one, or with one of another form, it is an operator's: its place or
                    // its text names it.
                    Err(_) if id.is_empty() => {
                        let place =
                            format!("{}/{}/{}", record.topic, record.partition, record.offset);
                        Uuid::new_v5(&Uuid::NAMESPACE_URL, place.as_bytes())
                    }
                    Err(_) => Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes()),
                };
                self.commands.entry(id).or_insert(Sent { at_ms: record.timestamp_ms });
            }
            "events" => {
                self.see(record, id);
                let version =
                    record.headers.text(headers::VERSION).and_then(|text| text.parse().ok());
                let version = version.context("an event without a version")?;
                let value = record.value.as_deref().context("an event without a value")?;
                let key = key();
                let broken = match record.topic.split('.').next().unwrap_or_default() {
                    "user" => self.users.add(&key, version, Message::decode(codec, value)?),
                    "email" => self.emails.add(&key, version, Message::decode(codec, value)?),
                    "order" => self.orders.add(&key, version, Message::decode(codec, value)?),
                    "stock" => self.stock.add(&key, version, Message::decode(codec, value)?),
                    "notification" => {
                        self.notifications.add(&key, version, Message::decode(codec, value)?)
                    }
                    context => anyhow::bail!("the ledger has no context {context:?}"),
                };
                self.broken.extend(broken);
            }
            "outcomes" => {
                self.see(record, &key());
                let value = record.value.as_deref().context("an outcome without a value")?;
                let outcome = Outcome::decode(codec, value)?;
                let told = self.outcomes.entry(outcome.command_id).or_default();
                if told.outcomes.is_empty() {
                    told.at_ms = record.timestamp_ms;
                }
                if !told.outcomes.contains(&outcome) {
                    told.outcomes.push(outcome);
                }
            }
            "dead" => {
                let place = format!("{}[{}]@{}", record.topic, record.partition, record.offset);
                self.letters.push((id.to_owned(), place));
                if let Ok(id) = id.parse() {
                    *self.dead.entry(id).or_default() += 1;
                }
            }
            _ => {
                // A task's partition is part of nothing: every aggregate has one.
                let version =
                    record.headers.text(headers::VERSION).and_then(|text| text.parse().ok());
                match &record.value {
                    Some(value) => drop(self.changelog.insert(key(), (version, value.to_vec()))),
                    None => drop(self.changelog.remove(&key())),
                }
            }
        }
        Ok(())
    }

    fn see(&mut self, record: &Record, id: &str) {
        self.places
            .insert((record.topic.to_string(), record.partition, record.offset), id.to_owned());
    }

    /// D: each state in the changelogs is the fold of its events.
    pub fn changelogs(&self, codec: &Codec) -> Vec<Violation> {
        let mut broken = Vec::new();
        self.users.compare(codec, &self.changelog, &mut broken);
        self.emails.compare(codec, &self.changelog, &mut broken);
        self.orders.compare(codec, &self.changelog, &mut broken);
        self.stock.compare(codec, &self.changelog, &mut broken);
        self.notifications.compare(codec, &self.changelog, &mut broken);
        broken
    }
}

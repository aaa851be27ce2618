//! The topics, as `topics.yaml` declares them: read once, checked, and looked up by name. Nothing
//! here asks a broker; the program `provision` does.

use std::{collections::BTreeMap, sync::OnceLock};

use serde::Deserialize;

const TEXT: &str = include_str!("../topics.yaml");
const DAY_MS: i64 = 24 * 3600 * 1000;
/// The size at which a segment of a compacted topic is closed. Smaller ones shorten restores; each
/// one is a file that the broker keeps open.
const COMPACTED_SEGMENT_BYTES: u32 = 32 * 1024 * 1024;

/// The largest record that a session writes, whatever its topic takes: librdkafka's
/// `message.max.bytes`.
pub const RECORD_BYTES_MAX: u32 = 2 * 1024 * 1024;
/// The largest batch of several records that a session writes: librdkafka's `batch.size`. Every
/// topic takes as much, so that a record within its topic's limit is never refused for its
/// neighbours.
pub const BATCH_BYTES_MAX: u32 = 1_000_000;

/// The largest record that a session may write to `topic`, as [`crate::batch::wire_bytes`] counts
/// it. A topic that is not declared has the default limit.
pub fn record_bytes_max(topic: &str) -> usize {
    let declared = all().get(topic).map_or(all().bytes_max, |topic| topic.bytes_max);
    declared.min(RECORD_BYTES_MAX) as usize
}

/// The declared topics.
///
/// # Panics
/// If `topics.yaml` is wrong: the program was built with it, and a test of it would show.
pub fn all() -> &'static Topics {
    static ALL: OnceLock<Topics> = OnceLock::new();
    ALL.get_or_init(|| match Topics::parse(TEXT) {
        Ok(topics) => topics,
        Err(error) => panic!("topics.yaml: {error}"),
    })
}

/// What is wrong with a declaration of topics.
#[derive(Debug, thiserror::Error)]
pub enum TopicsError {
    /// It is not what the types below say.
    #[error(transparent)]
    Unreadable(#[from] serde_yaml_ng::Error),
    /// It is readable, but can't be.
    #[error("{topic}: {why}")]
    Wrong {
        /// The topic.
        topic: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Declared topics, by name.
#[derive(Clone, Debug)]
pub struct Topics {
    topics: BTreeMap<String, Topic>,
    /// The default limit of a record or batch.
    bytes_max: u32,
}

/// A declared topic.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// How many partitions it has, for ever.
    pub partitions: i32,
    /// For how long it keeps what.
    pub keep: Keep,
    /// The size of the largest record or batch.
    pub bytes_max: u32,
    /// Who writes it.
    pub owner: String,
    /// The full names of the records that it may carry, from the folders of their schemas. Empty
    /// for dead letters, which have the records of their source.
    pub records: Vec<String>,
    /// What its records are keyed by, for people; empty where nobody has said.
    pub key: String,
    /// One line for people.
    pub doc: String,
}

/// For how long a topic keeps what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// All records, for ever.
    Forever,
    /// All records, for so many days.
    Days(u32),
    /// The last record of each key, for ever.
    Compacted,
}

/// A record that topics can carry. The folder of its schema decides which topics do.
#[derive(Clone, Copy, Debug)]
pub struct RecordType<'a> {
    /// Its full name.
    pub name: &'a str,
    /// The folder of its schema below `schemas/avro`, such as `order/events`.
    pub folder: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    defaults: Defaults,
    topics: BTreeMap<String, Declared>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Defaults {
    partitions: i32,
    bytes_max: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Declared {
    owner: String,
    keep: String,
    /// In place of those that the folders of the schemas give.
    records: Option<Vec<String>>,
    #[serde(default)]
    key: String,
    doc: String,
    partitions: Option<i32>,
    bytes_max: Option<u32>,
}

impl Topics {
    /// Reads a declaration in the form of `topics.yaml`.
    ///
    /// # Errors
    /// When it can't be read, or can't be meant.
    pub fn parse(text: &str) -> Result<Self, TopicsError> {
        let own = schemas::all().iter();
        let own: Vec<_> =
            own.map(|schema| RecordType { name: schema.name, folder: schema.folder }).collect();
        Self::parse_for(text, &own)
    }

    /// The same for other records than those that this program was built with.
    ///
    /// # Errors
    /// If it can't be read, or contradicts itself.
    pub fn parse_for(text: &str, records: &[RecordType<'_>]) -> Result<Self, TopicsError> {
        let File { defaults, topics: declared } = serde_yaml_ng::from_str(text)?;
        let topics = declared.iter().map(|(name, topic)| {
            let wrong = |why: &str| TopicsError::Wrong { topic: name.clone(), why: why.to_owned() };
            let topic = Topic {
                name: name.clone(),
                partitions: topic.partitions.unwrap_or(defaults.partitions),
                keep: Keep::parse(&topic.keep)
                    .ok_or_else(|| wrong("`keep` is `forever`, `compacted`, or days as in `7d`"))?,
                bytes_max: topic.bytes_max.unwrap_or(defaults.bytes_max),
                owner: topic.owner.clone(),
                records: match &topic.records {
                    Some(listed) => listed.clone(),
                    None => carried(name, &declared, records),
                },
                key: topic.key.clone(),
                doc: topic.doc.clone(),
            };
            let is_record = |name: &str| records.iter().any(|record| record.name == name);
            topic.check(is_record).map_err(|why| wrong(&why))?;
            Ok((name.clone(), topic))
        });
        let topics = Self {
            topics: topics.collect::<Result<_, TopicsError>>()?,
            bytes_max: defaults.bytes_max,
        };
        topics.check()?;
        Ok(topics)
    }

    /// The topic called `name`.
    pub fn get(&self, name: &str) -> Option<&Topic> {
        self.topics.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Topic> {
        self.topics.values()
    }

    /// The changelog of a processor.
    pub fn changelog(&self, processor: &str) -> Option<&Topic> {
        self.get(&format!("{processor}.state"))
    }

    /// The topic of dead letters from `source`, where there is one: topics that no processor reads
    /// have none.
    pub fn dead(&self, source: &str) -> Option<&Topic> {
        self.get(&format!("{source}.dead"))
    }

    fn check(&self) -> Result<(), TopicsError> {
        for topic in self.iter() {
            let wrong = |why: String| Err(TopicsError::Wrong { topic: topic.name.clone(), why });
            let Some(name) = topic.name.strip_suffix(".dead") else { continue };
            let Some(source) = self.get(name) else {
                return wrong(format!("there is no topic {name}"));
            };
            if topic.partitions != source.partitions {
                return wrong(format!("it must have as many partitions as {name}"));
            }
            if topic.bytes_max <= source.bytes_max {
                return wrong(format!("it must take larger records than {name}"));
            }
        }
        Ok(())
    }
}

/// The folder of the engine's records, which every changelog carries.
const ENGINE: &str = "engine";
/// The folder of the engine's commands, which every topic of commands or follow-ups carries.
const ENGINE_COMMANDS: &str = "engine/commands";

/// The records that a topic carries, by the folders of their schemas:
///
/// - `<context>.commands` and `<context>.followups`: the folder of this name, then the engine's
///   commands;
/// - `<processor>.state`, its changelog: the folders `state` and `member` of every context whose
///   events the processor owns, then the engine's records;
/// - any other topic `<context>.<kind>`: the folder `<context>/<kind>`;
/// - dead letters: none of their own.
fn carried(
    topic: &str,
    declared: &BTreeMap<String, Declared>,
    records: &[RecordType<'_>],
) -> Vec<String> {
    let (prefix, kind) = topic.rsplit_once('.').unwrap_or(("", topic));
    let is_owned = |context: &str| {
        let events = declared.get(&format!("{context}.events"));
        events.is_some_and(|events| events.owner == prefix)
    };
    let is_own = |folder: &str| match (kind, folder.split_once('/')) {
        ("dead", _) => false,
        ("state", Some((context, "state" | "member"))) => is_owned(context),
        ("state", _) => false,
        (_, place) => place == Some((prefix, kind)),
    };
    let engine = match kind {
        "state" => Some(ENGINE),
        "commands" | "followups" => Some(ENGINE_COMMANDS),
        _ => None,
    };
    let names = |is_in: &dyn Fn(&str) -> bool| {
        let found = records.iter().filter(|record| is_in(record.folder));
        let mut names: Vec<_> = found.map(|record| record.name.to_owned()).collect();
        names.sort();
        names
    };
    let mut carried = names(&is_own);
    carried.extend(names(&|folder| engine == Some(folder)));
    carried
}

impl Topic {
    /// Whether records on it are dead letters.
    pub fn is_dead(&self) -> bool {
        self.name.ends_with(".dead")
    }

    /// The broker's settings of this topic: names that Redpanda and Apache Kafka share, each with
    /// its value.
    pub fn settings(&self) -> BTreeMap<&'static str, String> {
        let mut settings = BTreeMap::from([
            ("message.timestamp.type", "LogAppendTime".to_owned()),
            ("max.message.bytes", self.bytes_max.to_string()),
            ("compression.type", "producer".to_owned()),
        ]);
        match self.keep {
            Keep::Forever => {
                settings.insert("cleanup.policy", "delete".to_owned());
                settings.insert("retention.ms", "-1".to_owned());
                settings.insert("retention.bytes", "-1".to_owned());
            }
            Keep::Days(days) => {
                settings.insert("cleanup.policy", "delete".to_owned());
                settings.insert("retention.ms", (i64::from(days) * DAY_MS).to_string());
                settings.insert("retention.bytes", "-1".to_owned());
                // Only closed segments go: what may be kept for two days must not wait for a week.
                settings.insert("segment.ms", DAY_MS.to_string());
            }
            Keep::Compacted => {
                settings.insert("cleanup.policy", "compact".to_owned());
                // Defaults differ between brokers and their versions: Kafka 0.5, Redpanda 0.2 up to
                // 26.1 and 0.5 since.
                settings.insert("min.cleanable.dirty.ratio", "0.2".to_owned());
                // Only closed segments are compacted, and a restore reads all that is not: at most
                // two segments a partition besides the newest record of each key. By default
                // Redpanda closes a segment at 256 MiB (`compacted_log_segment_size`), Kafka at 1
                // GiB.
                settings.insert("segment.bytes", COMPACTED_SEGMENT_BYTES.to_string());
                settings.insert("segment.ms", DAY_MS.to_string());
                // Tombstones, and the markers of transactions, stay long enough for a reader that
                // was away.
                settings.insert("delete.retention.ms", (7 * DAY_MS).to_string());
            }
        }
        settings
    }

    /// The settings of this topic where it has so many replicas: with three or more, a record that
    /// is acknowledged is on most of them. With fewer, one that is away would end all writing.
    /// Apache Kafka needs to be told; Redpanda always waits for most, does not have the setting,
    /// and ignores it.
    pub fn settings_for(&self, replicas: i32) -> BTreeMap<&'static str, String> {
        let mut settings = self.settings();
        let in_sync = if replicas >= 3 { replicas / 2 + 1 } else { 1 };
        settings.insert("min.insync.replicas", in_sync.to_string());
        settings
    }

    fn check(&self, is_record: impl Fn(&str) -> bool) -> Result<(), String> {
        let legal = |c: char| c.is_ascii_lowercase() || c == '.';
        if self.name.is_empty() || self.name.len() > 200 || !self.name.chars().all(legal) {
            return Err("a name is of small letters and dots".to_owned());
        }
        if self.partitions < 1 {
            return Err("it needs a partition".to_owned());
        }
        if self.owner.is_empty() || self.doc.is_empty() {
            return Err("it needs an owner and a doc".to_owned());
        }
        if self.records.is_empty() != self.is_dead() {
            return Err(
                "records are named for all topics but dead letters: by the folder of their \
                        schemas, or in a list"
                    .to_owned(),
            );
        }
        match self.records.iter().find(|record| !is_record(record)) {
            Some(record) => Err(format!("there is no schema {record}")),
            None => Ok(()),
        }
    }
}

impl Keep {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "forever" => Some(Self::Forever),
            "compacted" => Some(Self::Compacted),
            days => days.strip_suffix('d')?.parse().ok().filter(|days| *days > 0).map(Self::Days),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn most_replicas_have_what_is_acknowledged_where_one_may_be_away() {
        let topic = all().get("order.events").expect("a topic");
        let in_sync = |replicas| topic.settings_for(replicas)["min.insync.replicas"].clone();
        assert_eq!([1, 2, 3, 4, 5].map(in_sync), ["1", "1", "2", "3", "3"]);
    }

    #[test]
    fn every_record_has_a_topic() {
        let named: BTreeSet<_> =
            all().iter().flat_map(|topic| &topic.records).map(String::as_str).collect();
        // It describes headers and is never a value.
        let without = |name: &&str| *name != "millrace.Metadata" && !named.contains(name);
        let homeless: Vec<_> =
            schemas::all().iter().map(|schema| schema.name).filter(without).collect();
        assert!(homeless.is_empty(), "topics.yaml names no topic for {homeless:?}");
    }

    #[test]
    fn records_of_a_topic_follow_from_the_folders_of_their_schemas() {
        let record = |name, folder| RecordType { name, folder };
        let records = [
            record("a.Made", "a/events"),
            record("a.Make", "a/commands"),
            record("a.state.Alive", "a/state"),
            record("b.Done", "b/events"),
            record("b.state.Child", "b/member"),
            record("c.Seen", "c/events"),
            record("c.state.Life", "c/state"),
            record("engine.Redrive", "engine/commands"),
            record("engine.Timer", "engine"),
        ];
        let text = "defaults: {partitions: 1, bytes_max: 1000000}\ntopics:\n".to_owned()
            + "  a.commands: {owner: gateway, keep: 1d, doc: d}\n"
            + "  a.events: {owner: a, keep: 1d, doc: d}\n"
            + "  b.events: {owner: a, keep: 1d, doc: d}\n"
            + "  c.events: {owner: c, keep: 1d, doc: d}\n"
            + "  a.state: {owner: a, keep: compacted, doc: d}\n"
            + "  a.commands.dead: {owner: a, keep: 1d, doc: d, bytes_max: 2000000}\n";
        let topics = Topics::parse_for(&text, &records).expect("topics");
        let carried = |topic| topics.get(topic).expect("a topic").records.clone();
        assert_eq!(carried("a.commands"), ["a.Make", "engine.Redrive"]);
        assert_eq!(carried("a.events"), ["a.Made"]);
        assert_eq!(carried("a.state"), ["a.state.Alive", "b.state.Child", "engine.Timer"]);
        assert_eq!(carried("a.commands.dead"), Vec::<String>::new());
        let nothing = "  d.events: {owner: d, keep: 1d, doc: d}\n";
        let error = Topics::parse_for(&(text + nothing), &records).expect_err("no records");
        assert!(error.to_string().contains("d.events: records are named"), "{error}");
    }

    #[test]
    fn topics_of_one_processor_have_one_partition_count_and_dead_letters() {
        for (processor, inputs) in [
            ("user", vec!["user.commands", "user.followups", "email.followups"]),
            (
                "order",
                vec!["order.commands", "order.followups", "stock.commands", "stock.followups"],
            ),
            (
                "notification",
                vec![
                    "notification.commands",
                    "notification.followups",
                    "user.events",
                    "order.events",
                ],
            ),
        ] {
            let changelog = all().changelog(processor).expect("a changelog");
            assert_eq!(changelog.keep, Keep::Compacted);
            for input in inputs {
                let topic = all().get(input).expect(input);
                assert_eq!(topic.partitions, changelog.partitions, "{input}");
                assert!(all().dead(input).is_some(), "{input}");
            }
        }
    }

    #[test]
    fn every_topic_takes_a_full_batch_and_no_topic_promises_more_than_a_session_writes() {
        for topic in all().iter() {
            let (name, bytes_max) = (&topic.name, topic.bytes_max);
            assert!(
                (BATCH_BYTES_MAX..=RECORD_BYTES_MAX).contains(&bytes_max),
                "{name}: {bytes_max}"
            );
        }
        assert_eq!(record_bytes_max("order.state"), 2 * record_bytes_max("order.events"));
        assert_eq!(record_bytes_max("not.declared"), 1024 * 1024);
    }

    #[test]
    fn a_declaration_that_can_not_be_meant_is_refused() {
        let declared = |name: &str, rest: &str| {
            let text = format!(
                "defaults: {{partitions: 4, bytes_max: 100}}\ntopics:\n  {name}: {{owner: o, doc: d, {rest}}}\n"
            );
            Topics::parse(&text).map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(declared("a.b", "keep: 7d, records: [millrace.Outcome]"), Ok(()));
        for (name, rest, expected) in [
            ("a.b", "keep: 7h, records: [millrace.Outcome]", "`keep`"),
            ("a.b", "keep: 0d, records: [millrace.Outcome]", "`keep`"),
            ("a.b", "keep: 7d, records: [millrace.Nothing]", "there is no schema millrace.Nothing"),
            ("a.b", "keep: 7d, records: []", "records are named"),
            ("a.b", "keep: 7d, records: [millrace.Outcome], partitions: 0", "partition"),
            ("a.b", "keep: 7d, records: [millrace.Outcome], surprise: 1", "surprise"),
            ("A_b", "keep: 7d, records: [millrace.Outcome]", "a name"),
            ("a.b.dead", "keep: 7d, records: []", "there is no topic a.b"),
        ] {
            let error = declared(name, rest).expect_err(rest);
            assert!(error.contains(expected), "{error}");
        }
    }
}

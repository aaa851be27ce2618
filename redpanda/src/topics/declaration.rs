//! The form of `topics.yaml`, and the checks of a declaration. It reads no file.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::topic::{Keep, Topic, Topics};

/// What is wrong with a declaration of topics.
#[derive(Debug, thiserror::Error)]
pub enum TopicsError {
    /// It does not have the form of `topics.yaml`.
    #[error(transparent)]
    Unreadable(#[from] serde_yaml_ng::Error),
    /// It can be parsed, but a topic can't be as declared.
    #[error("{topic}: {why}")]
    Wrong {
        /// The topic.
        topic: String,
        /// What is wrong with it.
        why: String,
    },
}

/// A record type that topics can carry. The folder of its schema decides which topics do.
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
    /// In place of those that follow from the folders of the schemas.
    records: Option<Vec<String>>,
    #[serde(default)]
    secret: bool,
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
    /// If it can't be parsed, or a topic can't be as declared.
    pub fn parse(text: &str) -> Result<Self, TopicsError> {
        let own = schemas::all().iter();
        let own: Vec<_> =
            own.map(|schema| RecordType { name: schema.name, folder: schema.folder }).collect();
        Self::parse_for(text, &own)
    }

    /// The same for other record types than those that this program was built with.
    ///
    /// # Errors
    /// If it can't be parsed, or a topic can't be as declared.
    pub fn parse_for(text: &str, records: &[RecordType<'_>]) -> Result<Self, TopicsError> {
        let File { defaults, topics: declared } = serde_yaml_ng::from_str(text)?;
        let topics = declared.iter().map(|(name, topic)| {
            let carried = match &topic.records {
                Some(listed) => listed.clone(),
                None => carried(name, &declared, records),
            };
            let topic = Topic::of(name, topic, &defaults, carried)?;
            topic.check(|name| records.iter().any(|record| record.name == name))?;
            Ok((topic.name.clone(), topic))
        });
        let topics = Self {
            topics: topics.collect::<Result<_, TopicsError>>()?,
            bytes_max: defaults.bytes_max,
        };
        topics.check_dead_letters()?;
        Ok(topics)
    }

    fn check_dead_letters(&self) -> Result<(), TopicsError> {
        for topic in self.iter() {
            let Some(name) = topic.name.strip_suffix(".dead") else { continue };
            let Some(source) = self.get(name) else {
                return topic.wrong(format!("there is no topic {name}"));
            };
            if topic.partitions != source.partitions {
                return topic.wrong(format!("it must have as many partitions as {name}"));
            }
            if topic.bytes_max <= source.bytes_max {
                return topic.wrong(format!("it must take larger records than {name}"));
            }
        }
        Ok(())
    }
}

/// The folder of the engine's records, which every changelog carries.
const ENGINE: &str = "engine";
/// The folder of the engine's commands, which every topic of commands or follow-ups carries.
const ENGINE_COMMANDS: &str = "engine/commands";
/// The folder of the engine's events, which every topic of operations carries.
const ENGINE_EVENTS: &str = "engine/events";

/// The records that a topic carries, by the folders of their schemas:
///
/// - `<context>.commands` and `<context>.followups`: the folder of this name, then the engine's
///   commands;
/// - `<processor>.operations`: the engine's events;
/// - `<processor>.state`, its changelog: the folders `state` and `child` of every context whose
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
        ("state", Some((context, "state" | "child"))) => is_owned(context),
        ("state", _) => false,
        (_, place) => place == Some((prefix, kind)),
    };
    let engine = match kind {
        "state" => Some(ENGINE),
        "commands" | "followups" => Some(ENGINE_COMMANDS),
        "operations" => Some(ENGINE_EVENTS),
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
    fn of(
        name: &str,
        declared: &Declared,
        defaults: &Defaults,
        records: Vec<String>,
    ) -> Result<Self, TopicsError> {
        let Some(keep) = Keep::parse(&declared.keep) else {
            let why = "`keep` is `forever`, `compacted`, or days as in `7d`".to_owned();
            return Err(TopicsError::Wrong { topic: name.to_owned(), why });
        };
        Ok(Self {
            name: name.to_owned(),
            partitions: declared.partitions.unwrap_or(defaults.partitions),
            keep,
            bytes_max: declared.bytes_max.unwrap_or(defaults.bytes_max),
            owner: declared.owner.clone(),
            records,
            secret: declared.secret,
            key: declared.key.clone(),
            doc: declared.doc.clone(),
        })
    }

    fn wrong(&self, why: impl Into<String>) -> Result<(), TopicsError> {
        Err(TopicsError::Wrong { topic: self.name.clone(), why: why.into() })
    }

    fn check(&self, is_record: impl Fn(&str) -> bool) -> Result<(), TopicsError> {
        let is_legal = |c: char| c.is_ascii_lowercase() || c == '.';
        if self.name.is_empty() || self.name.len() > 200 || !self.name.chars().all(is_legal) {
            return self.wrong("a name consists of small letters and dots");
        }
        if self.partitions < 1 {
            return self.wrong("it needs a partition");
        }
        if self.owner.is_empty() || self.doc.is_empty() {
            return self.wrong("it needs an owner and a doc");
        }
        if self.records.is_empty() != self.is_dead() {
            return self.wrong(
                "records are named for all topics but dead letters: by the folder of their \
                 schemas, or in a list",
            );
        }
        match self.records.iter().find(|record| !is_record(record)) {
            Some(record) => self.wrong(format!("there is no schema {record}")),
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

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
    records: Vec<String>,
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
        Self::parse_for(text, |name| schemas::named(name).is_some())
    }

    /// The same with a check of record names other than that this program was built with them.
    ///
    /// # Errors
    /// If it can't be parsed, or a topic can't be as declared.
    pub fn parse_for(text: &str, is_record: impl Fn(&str) -> bool) -> Result<Self, TopicsError> {
        let File { defaults, topics } = serde_yaml_ng::from_str(text)?;
        let topics = topics.into_iter().map(|(name, declared)| {
            let topic = Topic::of(name, declared, &defaults)?;
            topic.check(&is_record)?;
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

impl Topic {
    fn of(name: String, declared: Declared, defaults: &Defaults) -> Result<Self, TopicsError> {
        let Some(keep) = Keep::parse(&declared.keep) else {
            let why = "`keep` is `forever`, `compacted`, or days as in `7d`".to_owned();
            return Err(TopicsError::Wrong { topic: name, why });
        };
        Ok(Self {
            name,
            partitions: declared.partitions.unwrap_or(defaults.partitions),
            keep,
            bytes_max: declared.bytes_max.unwrap_or(defaults.bytes_max),
            owner: declared.owner,
            records: declared.records,
            key: declared.key,
            doc: declared.doc,
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
            return self.wrong("records are named for all topics but dead letters");
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

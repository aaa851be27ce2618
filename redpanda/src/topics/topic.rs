//! A declared topic, and the lookup of topics. It knows no form of a file and no broker.

use std::collections::BTreeMap;

/// The retention of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// All records, forever.
    Forever,
    /// All records, for this many days.
    Days(u32),
    /// The last record of each key, forever.
    Compacted,
}

/// Declared topics, by name.
#[derive(Clone, Debug)]
pub struct Topics {
    pub(super) topics: BTreeMap<String, Topic>,
    /// The default limit of a record or record batch.
    pub(super) bytes_max: u32,
}

/// A declared topic.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// The number of its partitions, which never changes.
    pub partitions: i32,
    /// Its retention.
    pub keep: Keep,
    /// The size of the largest record or record batch.
    pub bytes_max: u32,
    /// The program that writes it.
    pub owner: String,
    /// The full names of the records that it may carry; empty on topics of dead letters, which
    /// carry the records of their source.
    pub records: Vec<String>,
    /// Whether its values must not be copied: its dead letters have none.
    pub secret: bool,
    /// What its records are keyed by, for people; may be empty.
    pub key: String,
    /// One line for people.
    pub doc: String,
}

impl Topics {
    /// The topic called `name`.
    pub fn get(&self, name: &str) -> Option<&Topic> {
        self.topics.get(name)
    }

    /// All topics, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Topic> {
        self.topics.values()
    }

    /// The topics `<context>.<kind>` of all contexts, such as those of kind `events`.
    pub fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Topic> {
        self.iter()
            .filter(move |topic| topic.name.rsplit_once('.').is_some_and(|(_, last)| last == kind))
    }

    /// The changelog of a processor.
    pub fn changelog(&self, processor: &str) -> Option<&Topic> {
        self.get(&format!("{processor}.state"))
    }

    /// The topic whose dead letters `dead` carries; `None` if it carries none.
    pub fn source(&self, dead: &Topic) -> Option<&Topic> {
        self.get(dead.name.strip_suffix(".dead")?)
    }

    /// The topic of dead letters of `source`; `None` for topics that no processor reads.
    pub fn dead(&self, source: &str) -> Option<&Topic> {
        self.get(&format!("{source}.dead"))
    }
}

impl Topic {
    /// Whether its records are dead letters.
    pub fn is_dead(&self) -> bool {
        self.name.ends_with(".dead")
    }
}

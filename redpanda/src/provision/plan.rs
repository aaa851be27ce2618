//! The plan: what has to be done, in which order, and what would break. It asks nobody and does
//! nothing.

use std::{collections::BTreeMap, fmt};

use schemas::{Schema, avro::Invalid, compatibility};
use serde_json::{Value, json};

use crate::{registry::FULL_TRANSITIVE, topics::Topic};

/// What can't be brought to what the files say, and would break something if it were tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Break {
    /// A topic has another number of partitions than the file says.
    #[error(
        "{topic} has {found} partitions, topics.yaml says {declared}: a keyed topic never changes its count, because \
         its keys would move; make a new topic and copy it over"
    )]
    Partitions {
        /// The topic.
        topic: String,
        /// How many it has.
        found: usize,
        /// How many it should have.
        declared: i32,
    },
    /// A schema can't stand beside a version that the registry has.
    #[error("{subject}, {}: {cause}", cause.release)]
    Incompatible {
        /// The subject.
        subject: &'static str,
        /// What breaks, and which version.
        cause: compatibility::Break,
    },
    /// A schema, or a version that the registry has of it, can't be read.
    #[error("{subject}: {cause}")]
    Unreadable {
        /// The subject.
        subject: &'static str,
        /// What is wrong with it.
        cause: Invalid,
    },
}

/// One thing to do.
#[derive(Clone, Debug)]
pub enum Step {
    /// Make a topic.
    Create {
        /// The topic.
        topic: Topic,
        /// How many replicas it gets.
        replication: i32,
    },
    /// Change settings of a topic. Its other settings stay, whoever made them.
    Alter {
        /// The topic.
        topic: Topic,
        /// Settings to change: name, from, to.
        changes: Vec<(&'static str, String, String)>,
    },
    /// Hold a subject that is there to `FULL_TRANSITIVE`.
    Level {
        /// Its schema.
        schema: &'static Schema,
        /// The level that it has; `None`: the registry's.
        from: Option<String>,
    },
    /// Register a schema, and hold its subject to `FULL_TRANSITIVE`.
    Register {
        /// The schema.
        schema: &'static Schema,
        /// The versions that its subject has.
        after: Vec<u32>,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { topic, .. } => {
                write!(f, "create   {} ({} partitions)", topic.name, topic.partitions)
            }
            Self::Alter { topic, changes, .. } => {
                write!(f, "alter    {}:", topic.name)?;
                changes.iter().try_for_each(|(name, from, to)| write!(f, " {name} {from} -> {to}"))
            }
            Self::Level { schema, from } => {
                let from = from.as_deref().unwrap_or("the registry's");
                write!(f, "level    {}: {from} -> {FULL_TRANSITIVE}", schema.name)
            }
            Self::Register { schema, after } => match after.last() {
                None => write!(f, "register {}", schema.name),
                Some(last) => write!(f, "register {} after version {last}", schema.name),
            },
        }
    }
}

impl Step {
    /// Everything that the step depends on and does, to be kept and compared.
    fn to_json(&self) -> Value {
        match self {
            Self::Create { topic, replication } => json!({
                "do": "create", "topic": topic.name, "partitions": topic.partitions, "replication": replication,
                "settings": topic.settings_for(*replication),
            }),
            Self::Alter { topic, changes } => {
                let changes: BTreeMap<_, _> = changes
                    .iter()
                    .map(|(name, from, to)| (*name, json!({ "from": from, "to": to })))
                    .collect();
                json!({ "do": "alter", "topic": topic.name, "settings": changes })
            }
            Self::Level { schema, from } => {
                json!({ "do": "level", "subject": schema.name, "from": from, "to": FULL_TRANSITIVE })
            }
            Self::Register { schema, after } => {
                json!({ "do": "register", "subject": schema.name, "after": after, "schema": schema.json })
            }
        }
    }
}

/// What has to be done, and what keeps it from being done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What has to be done, in this order.
    pub steps: Vec<Step>,
    /// What would break. While there is one, nothing is done at all.
    pub breaks: Vec<Break>,
    /// The cluster's own id, where it has one.
    pub cluster: Option<String>,
}

impl Plan {
    /// Whether all is as the files say.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.breaks.is_empty()
    }

    /// The plan, to be kept and compared: equal ones were made of the same state and do the same.
    pub fn to_json(&self) -> Value {
        let steps: Vec<_> = self.steps.iter().map(Step::to_json).collect();
        json!({ "millrace": "plan 1", "cluster": self.cluster, "steps": steps })
    }
}

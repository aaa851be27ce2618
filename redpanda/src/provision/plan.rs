//! The plan: the steps, their order, and what forbids them. It makes no request and applies
//! nothing.

use std::{collections::BTreeMap, fmt};

use schemas::{Schema, avro::Invalid, compatibility};
use serde_json::{Value, json};

use super::error::ProvisionError;
use crate::{registry::FULL_TRANSITIVE, topics::Topic};

/// A difference that no step may remove, because that would break keys, readers or writers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// A topic has another number of partitions than the file says.
    #[error(
        "{topic} has {found} partitions, topics.yaml says {declared}: a keyed topic never changes \
         its count, because its keys would move; make a new topic and copy it over"
    )]
    Partitions {
        /// The topic.
        topic: String,
        /// The number of partitions that it has.
        found: usize,
        /// The declared number.
        declared: i32,
    },
    /// A schema is incompatible with a version that the registry has, or changes the meaning of a
    /// field, which no reader would notice.
    #[error("{subject}, {}: {cause}", cause.release)]
    Incompatible {
        /// The subject.
        subject: &'static str,
        /// What breaks, and which version.
        cause: compatibility::Break,
    },
    /// A schema, or a version of it in the registry, can't be parsed.
    #[error("{subject}: {cause}")]
    Unreadable {
        /// The subject.
        subject: &'static str,
        /// What is wrong with it.
        cause: Invalid,
    },
}

/// A setting of a topic that differs from the declaration.
#[derive(Clone, Debug)]
pub struct SettingChange {
    /// The setting's name.
    pub name: &'static str,
    /// The value that the broker has.
    pub from: String,
    /// The declared value.
    pub to: String,
}

/// One step.
#[derive(Clone, Debug)]
pub enum Step {
    /// Create a topic.
    Create {
        /// The topic.
        topic: Topic,
        /// The number of its replicas.
        replication: i32,
    },
    /// Change settings of a topic. Its other settings stay, also those that an operator has set.
    Alter {
        /// The topic.
        topic: Topic,
        /// The settings to change.
        changes: Vec<SettingChange>,
    },
    /// Set the compatibility level of an existing subject to `FULL_TRANSITIVE`.
    Level {
        /// Its schema.
        schema: &'static Schema,
        /// The subject's level; `None` if it has only the registry's default.
        from: Option<String>,
    },
    /// Register a schema, with the level `FULL_TRANSITIVE` for its subject.
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
                changes.iter().try_for_each(|SettingChange { name, from, to }| {
                    write!(f, " {name} {from} -> {to}")
                })
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
    /// Everything that the step depends on and changes, for storage and comparison.
    fn to_json(&self) -> Value {
        match self {
            Self::Create { topic, replication } => json!({
                "do": "create",
                "topic": topic.name,
                "partitions": topic.partitions,
                "replication": replication,
                "settings": topic.settings_for(*replication),
            }),
            Self::Alter { topic, changes } => {
                let changes: BTreeMap<_, _> = changes
                    .iter()
                    .map(|change| (change.name, json!({ "from": change.from, "to": change.to })))
                    .collect();
                json!({ "do": "alter", "topic": topic.name, "settings": changes })
            }
            Self::Level { schema, from } => {
                let subject = schema.name;
                json!({ "do": "level", "subject": subject, "from": from, "to": FULL_TRANSITIVE })
            }
            Self::Register { schema, after } => json!({
                "do": "register",
                "subject": schema.name,
                "after": after,
                "schema": schema.json,
            }),
        }
    }
}

/// What is to be done, and what forbids it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The steps, in the order in which they are applied.
    pub steps: Vec<Step>,
    /// What would break. If there is any, no step is applied.
    pub conflicts: Vec<Conflict>,
    /// The cluster's own id, if it has one.
    pub cluster: Option<String>,
}

impl Plan {
    /// Whether broker and registry are as the files declare.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.conflicts.is_empty()
    }

    /// Whether the plan may be applied.
    ///
    /// # Errors
    /// If something would break. The error names all of it.
    pub fn check(&self) -> Result<(), ProvisionError> {
        let conflicts: Vec<_> = self.conflicts.iter().map(ToString::to_string).collect();
        match conflicts.is_empty() {
            true => Ok(()),
            false => Err(ProvisionError::Conflicts(conflicts.join("; "))),
        }
    }

    /// The plan for storage and comparison: equal plans were made of the same state and make the
    /// same changes.
    pub fn to_json(&self) -> Value {
        let steps: Vec<_> = self.steps.iter().map(Step::to_json).collect();
        json!({ "millrace": "plan 1", "cluster": self.cluster, "steps": steps })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plan_with_conflicts_may_not_be_applied_and_the_error_names_all_of_them() {
        let conflict =
            |topic: &str| Conflict::Partitions { topic: topic.to_owned(), found: 3, declared: 6 };
        let mut plan = Plan { steps: Vec::new(), conflicts: Vec::new(), cluster: None };
        assert!(plan.check().is_ok());
        plan.conflicts = vec![conflict("a.events"), conflict("b.events")];
        let error = plan.check().expect_err("two conflicts");
        let text = error.to_string();
        assert!(text.starts_with("nothing is done: a.events has 3 partitions"), "{text}");
        assert!(text.contains("; b.events has 3 partitions") && !error.is_retriable(), "{text}");
    }
}

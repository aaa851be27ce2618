//! The access rules of each program, as they follow from the topics and from `acls.yaml`: read
//! once, checked, and printed as commands of `rpk`. Nothing here removes a rule.
//!
//! - [`rule`]: one rule; `create`: creates rules on a broker

mod create;
pub mod rule;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Deserialize;

pub use rule::{Operation, Resource, Rule};

use crate::topics::Topics;

const TEXT: &str = include_str!("../../acls.yaml");

/// What is wrong with a declaration of access rules.
#[derive(Debug, thiserror::Error)]
pub enum AclsError {
    /// It does not have the form of `acls.yaml`.
    #[error(transparent)]
    Unreadable(#[from] serde_yaml_ng::Error),
    /// It names a topic that is not declared.
    #[error("{program}: there is no topic {topic}")]
    Topic {
        /// The program.
        program: String,
        /// The topic.
        topic: String,
    },
}

/// The access rules, by program.
#[derive(Clone, Debug)]
pub struct Acls(BTreeMap<String, Access>);

/// What one program may do.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Access {
    /// Topics that it reads.
    pub read: Vec<String>,
    /// Topics that it writes.
    pub write: Vec<String>,
    /// Consumer groups that it joins. Each entry also covers groups whose names begin with it and a
    /// dot.
    pub groups: Vec<String>,
    /// Prefixes of its transactional ids.
    pub transactions: Vec<String>,
    /// Topics that it creates and configures; `*` means all.
    pub manage: Vec<String>,
}

const MANAGE: &[Operation] = &[
    Operation::Create,
    Operation::Alter,
    Operation::Describe,
    Operation::DescribeConfigs,
    Operation::AlterConfigs,
];

impl Acls {
    /// The rules that follow from `topics.yaml`, and those of `acls.yaml`.
    ///
    /// # Panics
    /// If `acls.yaml` is wrong. It is part of the program, and a test reads it.
    pub fn all() -> Self {
        match Self::parse(TEXT, crate::topics::all()) {
            Ok(acls) => acls,
            Err(error) => panic!("acls.yaml: {error}"),
        }
    }

    /// The rules that follow from `topics`, and those of a declaration in the form of `acls.yaml`.
    ///
    /// # Errors
    /// If it can't be parsed, or names a topic that `topics` does not declare.
    pub fn parse(text: &str, topics: &Topics) -> Result<Self, AclsError> {
        let mut programs: BTreeMap<String, Access> = serde_yaml_ng::from_str(text)?;
        for (program, access) in &programs {
            let named = access.read.iter().chain(&access.write).chain(&access.manage);
            if let Some(topic) =
                named.into_iter().find(|name| *name != "*" && topics.get(name).is_none())
            {
                return Err(AclsError::Topic { program: program.clone(), topic: topic.clone() });
            }
        }
        for owner in topics.iter().map(|topic| &topic.owner) {
            programs.entry(owner.clone()).or_default();
        }
        for (program, access) in &mut programs {
            access.complete(program, topics);
        }
        Ok(Self(programs))
    }

    /// What `program` may do.
    pub fn of(&self, program: &str) -> Option<&Access> {
        self.0.get(program)
    }

    /// The programs.
    pub fn programs(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// All rules.
    pub fn rules(&self) -> Vec<Rule<'_>> {
        self.0.iter().flat_map(|(program, access)| access.rules(program)).collect()
    }
}

impl Access {
    /// Adds what follows from the topics that the program owns: that it writes them, and, if one is
    /// a changelog, what a processor needs.
    fn complete(&mut self, program: &str, topics: &Topics) {
        let owned = || topics.iter().filter(|topic| topic.owner == program);
        self.write.extend(owned().map(|topic| topic.name.clone()));
        if topics.changelog(program).is_none() {
            return;
        }
        self.read.extend(owned().map(|topic| topic.name.clone()));
        let contexts = owned().filter_map(|topic| topic.name.strip_suffix(".events"));
        let commands = contexts.filter_map(|context| topics.get(&format!("{context}.commands")));
        self.read.extend(commands.map(|topic| topic.name.clone()));
        self.groups.push(program.to_owned());
        self.transactions.push(format!("{program}-"));
    }

    fn rules<'a>(&'a self, program: &'a str) -> impl Iterator<Item = Rule<'a>> {
        let rules =
            move |names: &'a [String], resource, prefixed, operations: &'static [Operation]| {
                let rule = move |name: &String| Rule {
                    program,
                    resource,
                    name: name.clone(),
                    prefixed,
                    operations,
                };
                names.iter().map(rule)
            };
        let subgroups = self.groups.iter().map(move |group| Rule {
            program,
            resource: Resource::Group,
            name: format!("{group}."),
            prefixed: true,
            operations: &[Operation::Read],
        });
        rules(&self.read, Resource::Topic, false, &[Operation::Read])
            .chain(rules(&self.write, Resource::Topic, false, &[Operation::Write]))
            .chain(rules(&self.groups, Resource::Group, false, &[Operation::Read]))
            .chain(subgroups)
            .chain(rules(&self.transactions, Resource::TransactionalId, true, &[Operation::Write]))
            .chain(rules(&self.manage, Resource::Topic, false, MANAGE))
    }
}

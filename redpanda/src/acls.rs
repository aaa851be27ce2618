//! What each program may do, as `acls.yaml` declares it: read once, checked, printed as commands of
//! `rpk`, and created over the broker's admin API. It removes no access rule.

use std::{collections::BTreeMap, fmt, time::Duration};

use rdkafka::{admin::AdminClient, client::DefaultClientContext};
use serde::Deserialize;

use crate::{
    brokers::Brokers,
    provision::{ProvisionError, retry},
    raw,
    topics::Topics,
};

const TEXT: &str = include_str!("../acls.yaml");
/// The time that the broker has for its answer.
const ASK: Duration = Duration::from_secs(10);

/// What is wrong with a declaration of access rules.
#[derive(Debug, thiserror::Error)]
pub enum AclsError {
    /// It is not what the types below say.
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
    /// Consumer groups that it joins, each with those whose names begin with it and a dot.
    pub groups: Vec<String>,
    /// What its transactional ids begin with.
    pub transactions: Vec<String>,
    /// Topics whose existence and settings it manages; `*` stands for all.
    pub manage: Vec<String>,
}

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A topic.
    Topic,
    /// A consumer group.
    Group,
    /// A transactional id.
    TransactionalId,
}

/// What a rule allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// To read a topic, or to join a group.
    Read,
    /// To write to a topic, or to use a transactional id.
    Write,
    /// To create a topic.
    Create,
    /// To change a topic.
    Alter,
    /// To ask about it.
    Describe,
    /// To ask for its settings.
    DescribeConfigs,
    /// To change its settings.
    AlterConfigs,
}

/// One rule: `program` is allowed these operations on the resources that this pattern matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule<'a> {
    /// Who: the SASL user.
    pub program: &'a str,
    /// On what kind of thing.
    pub resource: Resource,
    /// Its name, or what names begin with.
    pub name: String,
    /// Whether names only have to begin with it.
    pub prefixed: bool,
    /// What is allowed; a describe is part of each read and write.
    pub operations: &'static [Operation],
}

const MANAGE: &[Operation] = &[
    Operation::Create,
    Operation::Alter,
    Operation::Describe,
    Operation::DescribeConfigs,
    Operation::AlterConfigs,
];

impl Acls {
    /// The rules of `acls.yaml` for the topics of `topics.yaml`.
    ///
    /// # Panics
    /// If `acls.yaml` is wrong: the program was built with it, and a test of it would show.
    pub fn all() -> Self {
        match Self::parse(TEXT, crate::topics::all()) {
            Ok(acls) => acls,
            Err(error) => panic!("acls.yaml: {error}"),
        }
    }

    /// Reads a declaration in the form of `acls.yaml`.
    ///
    /// # Errors
    /// When it can't be read, or names a topic that there is not.
    pub fn parse(text: &str, topics: &Topics) -> Result<Self, AclsError> {
        let programs: BTreeMap<String, Access> = serde_yaml_ng::from_str(text)?;
        for (program, access) in &programs {
            let named = access.read.iter().chain(&access.write).chain(&access.manage);
            if let Some(topic) =
                named.into_iter().find(|name| *name != "*" && topics.get(name).is_none())
            {
                return Err(AclsError::Topic { program: program.clone(), topic: topic.clone() });
            }
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

    /// Creates all rules. Those that are there already stay as they are.
    ///
    /// # Errors
    /// When the client can't be made, or the broker refuses or does not answer.
    pub fn create(&self, brokers: impl Into<Brokers>) -> Result<(), ProvisionError> {
        let doing = "creating access rules".to_owned();
        let mut config = brokers.into().librdkafka();
        let admin: AdminClient<DefaultClientContext> = config
            .set("client.id", "millrace-provision")
            .create()
            .map_err(|error| ProvisionError::Broker {
                doing: doing.clone(),
                cause: error.to_string(),
                passing: false,
            })?;
        raw::create_acls(admin.inner(), &self.rules(), ASK).map_err(|(code, cause)| {
            ProvisionError::Broker { doing, cause, passing: retry::is_passing(code) }
        })
    }
}

impl Access {
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
        let below = self.groups.iter().map(move |group| Rule {
            program,
            resource: Resource::Group,
            name: format!("{group}."),
            prefixed: true,
            operations: &[Operation::Read],
        });
        rules(&self.read, Resource::Topic, false, &[Operation::Read])
            .chain(rules(&self.write, Resource::Topic, false, &[Operation::Write]))
            .chain(rules(&self.groups, Resource::Group, false, &[Operation::Read]))
            .chain(below)
            .chain(rules(&self.transactions, Resource::TransactionalId, true, &[Operation::Write]))
            .chain(rules(&self.manage, Resource::Topic, false, MANAGE))
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Create => "create",
            Self::Alter => "alter",
            Self::Describe => "describe",
            Self::DescribeConfigs => "describeConfigs",
            Self::AlterConfigs => "alterConfigs",
        })
    }
}

/// The command of `rpk` that creates it.
impl fmt::Display for Rule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resource = match self.resource {
            Resource::Topic => "topic",
            Resource::Group => "group",
            Resource::TransactionalId => "transactional-id",
        };
        let operations: Vec<_> = self.operations.iter().map(ToString::to_string).collect();
        write!(f, "rpk security acl create --allow-principal User:{}", self.program)?;
        write!(f, " --operation {} --{resource} '{}'", operations.join(","), self.name)?;
        match self.prefixed {
            true => f.write_str(" --resource-pattern-type prefixed"),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::topics;

    #[test]
    fn whoever_owns_a_topic_and_nobody_else_may_write_it() {
        let acls = Acls::all();
        let services = ["user", "order", "notification"];
        for topic in topics::all().iter() {
            let mut owners = match topic.owner.as_str() {
                "processors" => BTreeSet::from(services),
                owner => BTreeSet::from([owner]),
            };
            if topic.name == "notification.commands" {
                // The mail worker reports deliveries.
                owners.insert("notification");
            }
            let may = |program: &&str| {
                acls.of(program).is_some_and(|may| may.write.contains(&topic.name))
            };
            let writers: BTreeSet<_> = acls.programs().filter(may).collect();
            assert_eq!(writers, owners, "{}", topic.name);
        }
    }

    #[test]
    fn topics_with_password_hashes_are_read_by_the_user_service_alone() {
        let acls = Acls::all();
        for topic in ["user.commands", "user.credentials"] {
            let may = |program: &&str| {
                acls.of(program).is_some_and(|may| may.read.iter().any(|t| t == topic))
            };
            assert_eq!(acls.programs().filter(may).collect::<Vec<_>>(), ["user"], "{topic}");
        }
        assert!(acls.of("gateway").expect("a gateway").read.is_empty());
    }

    #[test]
    fn rules_are_printed_as_commands_of_rpk() {
        let text = "shop: {read: [outcomes], groups: [shop], transactions: [shop-], manage: ['*']}";
        let acls = Acls::parse(text, topics::all()).expect("rules");
        let lines: Vec<_> = acls.rules().iter().map(ToString::to_string).collect();
        let command = "rpk security acl create --allow-principal User:shop --operation";
        let manage = "create,alter,describe,describeConfigs,alterConfigs";
        let expected = [
            format!("{command} read --topic 'outcomes'"),
            format!("{command} read --group 'shop'"),
            format!("{command} read --group 'shop.' --resource-pattern-type prefixed"),
            format!("{command} write --transactional-id 'shop-' --resource-pattern-type prefixed"),
            format!("{command} {manage} --topic '*'"),
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn unknown_topic_is_named() {
        let error =
            Acls::parse("shop: {read: [outcome]}", topics::all()).expect_err("no such topic");
        assert_eq!(error.to_string(), "shop: there is no topic outcome");
        assert!(Acls::parse("shop: {reads: [outcomes]}", topics::all()).is_err());
    }
}

//! One access rule, and the `rpk` command that creates it. It calls no broker.

use std::fmt;

/// The kind of resource that a rule applies to.
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
    /// To describe a topic.
    Describe,
    /// To read a topic's settings.
    DescribeConfigs,
    /// To change a topic's settings.
    AlterConfigs,
}

/// One rule: `program` may perform these operations on the resources that match the pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule<'a> {
    /// The program, which is the name of its SASL user.
    pub program: &'a str,
    /// The kind of resource.
    pub resource: Resource,
    /// The resource's name, or the prefix of names.
    pub name: String,
    /// Whether `name` is a prefix.
    pub prefixed: bool,
    /// The allowed operations; read and write imply describe.
    pub operations: &'static [Operation],
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

/// The `rpk` command that creates the rule.
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

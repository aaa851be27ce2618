//! Commands on their way to the log: the one thing that the gateway writes there.

use futures_util::future::BoxFuture;
use schemas::{CodecError, Message};
use uuid::Uuid;

use crate::reads::Health;

/// A command of any context.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// For a user.
    User(schemas::user::Command),
    /// For an order.
    Order(schemas::order::Command),
    /// For a product.
    Stock(schemas::stock::Command),
    /// For a notification.
    Notification(schemas::notification::Command),
}

macro_rules! each {
    ($command:expr, $inner:ident => $result:expr) => {
        match $command {
            Command::User($inner) => $result,
            Command::Order($inner) => $result,
            Command::Stock($inner) => $result,
            Command::Notification($inner) => $result,
        }
    };
}

impl Command {
    /// The topic that takes it.
    pub fn topic(&self) -> &'static str {
        match self {
            Self::User(_) => "user.commands",
            Self::Order(_) => "order.commands",
            Self::Stock(_) => "stock.commands",
            Self::Notification(_) => "notification.commands",
        }
    }

    /// The full name of its record.
    pub fn name(&self) -> &'static str {
        each!(self, command => command.name())
    }

    /// Its bytes.
    ///
    /// # Errors
    /// When it does not fit its own schema, or that is not registered.
    pub fn encode(&self, codec: &schemas::Codec) -> Result<Vec<u8>, CodecError> {
        let mut bytes = Vec::new();
        each!(self, command => command.encode(codec, &mut bytes))?;
        Ok(bytes)
    }

    /// Every record that a gateway may write.
    pub fn schemas() -> Vec<&'static schemas::Schema> {
        [
            schemas::user::Command::schemas(),
            schemas::order::Command::schemas(),
            schemas::stock::Command::schemas(),
            schemas::notification::Command::schemas(),
        ]
        .concat()
    }
}

impl From<schemas::user::Command> for Command {
    fn from(command: schemas::user::Command) -> Self {
        Self::User(command)
    }
}

impl From<schemas::order::Command> for Command {
    fn from(command: schemas::order::Command) -> Self {
        Self::Order(command)
    }
}

impl From<schemas::stock::Command> for Command {
    fn from(command: schemas::stock::Command) -> Self {
        Self::Stock(command)
    }
}

impl From<schemas::notification::Command> for Command {
    fn from(command: schemas::notification::Command) -> Self {
        Self::Notification(command)
    }
}

/// A command with what stands in its headers.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// The command's id.
    pub id: Uuid,
    /// Who sends it.
    pub principal: String,
    /// The request's fingerprint.
    pub fingerprint: String,
    /// The id of the aggregate.
    pub key: String,
    /// The W3C trace context that it belongs to.
    pub trace_parent: Option<String>,
    /// What is wished for.
    pub command: Command,
}

/// The log did not take a command within the deadline, or said no. It may still turn up there.
#[derive(Clone, Debug, thiserror::Error)]
#[error("writing to {topic}: {why}")]
pub struct Unwritten {
    /// Where to.
    pub topic: &'static str,
    /// What happened.
    pub why: String,
}

/// Takes commands.
pub trait Commands: Send + Sync {
    /// Writes one and returns when it is safe.
    fn write(&self, outgoing: Outgoing) -> BoxFuture<'_, Result<(), Unwritten>>;
    /// Whether commands can be written, and why not.
    fn health(&self) -> BoxFuture<'_, Health>;
}

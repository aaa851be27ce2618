//! Commands on their way to the log: the only records that the gateway writes there.

use futures_util::future::BoxFuture;
use redpanda::topics;
use schemas::{Message as _, engine};
use uuid::Uuid;

use crate::health::{Cause, Health};

schemas::nested_messages! {
    /// A command that the gateway may write, of any context.
    pub enum Command {
        User(schemas::user::Command),
        Order(schemas::order::Command),
        Stock(schemas::stock::Command),
        Notification(schemas::notification::Command),
        Engine(schemas::engine::Command),
    }
}

impl Command {
    /// The context of the command, such as `user`: the type of its aggregate, and the first part of
    /// its topic's name.
    pub fn context(&self) -> &'static str {
        schemas::context(self.name()).unwrap_or("unknown")
    }

    /// The topic of the command. One about parked records or a dead letter goes to the processor
    /// that reads their topic: the owner of its dead letters.
    pub fn topic(&self) -> String {
        let about = match self {
            Self::Engine(engine::Command::Redrive(it)) => topics::all().dead(&it.topic),
            Self::Engine(engine::Command::EditParkedRecord(it)) => topics::all().dead(&it.topic),
            Self::Engine(engine::Command::ResendDeadLetter(it)) => topics::all().dead(&it.topic),
            Self::Engine(engine::Command::RevealDeadLetter(it)) => topics::all().dead(&it.topic),
            _ => None,
        };
        format!("{}.commands", about.map_or(self.context(), |dead| dead.owner.as_str()))
    }
}

/// A command with its key and the values of its headers.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandRecord {
    /// The command's id.
    pub id: Uuid,
    /// Who sends it: a user's id or a fingerprint.
    pub principal: String,
    /// The request's fingerprint.
    pub fingerprint: String,
    /// The record's key: the aggregate's id.
    pub key: String,
    /// The W3C trace context of the request.
    pub trace_parent: Option<String>,
    /// The command itself.
    pub command: Command,
}

/// The log did not confirm a command before the deadline, or refused it. It may still be written,
/// by this attempt or by an earlier one of the same request.
#[derive(Clone, Debug, thiserror::Error)]
#[error("writing to {topic}")]
pub struct Unwritten {
    /// The topic.
    pub topic: String,
    /// Why.
    pub source: Cause,
}

/// What is done once the log has confirmed a command. It must not block.
pub type Confirmed = Box<dyn FnOnce() + Send>;

/// The log, as far as the gateway writes to it.
pub trait Commands: Send + Sync {
    /// Writes a command; returns when the log has confirmed it. Calls `confirmed` then, even if
    /// this future has returned an error or was dropped before.
    fn write(
        &self,
        record: CommandRecord,
        confirmed: Confirmed,
    ) -> BoxFuture<'_, Result<(), Unwritten>>;
    /// Whether commands can be written, and why not.
    fn health(&self) -> BoxFuture<'_, Health>;
}

#[cfg(test)]
mod tests {
    use schemas::{Message as _, engine::Redrive};

    use super::*;

    #[test]
    fn every_command_has_a_context() {
        for schema in Command::schemas() {
            assert!(schemas::context(schema.name).is_some(), "{}", schema.name);
        }
    }

    #[test]
    fn re_drive_goes_to_the_processor_that_has_parked_the_key() {
        let topic = |topic: &str| {
            let (topic, drop_first) = (topic.to_owned(), false);
            let redrive = Redrive { topic, drop_first, reason: None, first_offset: None };
            Command::from(schemas::engine::Command::from(redrive)).topic()
        };
        assert_eq!(topic("stock.followups"), "order.commands");
        assert_eq!(topic("email.followups"), "user.commands");
        assert_eq!(topic("user.events"), "notification.commands");
        for dead in topics::all().iter().filter(|topic| topic.is_dead()) {
            let source = dead.name.trim_end_matches(".dead");
            assert!(topics::all().get(&topic(source)).is_some(), "{source}");
        }
    }
}

//! Commands on their way to the log: the only records that the gateway writes there.

use futures_util::future::BoxFuture;
use redpanda::topics;
use schemas::engine;
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
    /// its topic's name, unless it is one of the engine.
    pub fn context(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Order(_) => "order",
            Self::Stock(_) => "stock",
            Self::Notification(_) => "notification",
            Self::Engine(_) => "engine",
        }
    }

    /// The topic of the command. One about parked records or a dead letter goes to the processor
    /// that reads their topic: the owner of its dead letters.
    ///
    /// # Errors
    /// Returns [`NoProcessor`] when the command is about a topic that no processor reads.
    pub fn topic(&self) -> Result<String, NoProcessor> {
        let owner = match self {
            Self::Engine(command) => {
                let about = match command {
                    engine::Command::Redrive(it) => &it.topic,
                    engine::Command::EditParkedRecord(it) => &it.topic,
                    engine::Command::ResendDeadLetter(it) => &it.topic,
                    engine::Command::RevealDeadLetter(it) => &it.topic,
                };
                let dead = topics::all().dead(about);
                dead.ok_or_else(|| NoProcessor { topic: about.clone() })?.owner.as_str()
            }
            Self::User(_) | Self::Order(_) | Self::Stock(_) | Self::Notification(_) => {
                self.context()
            }
        };
        Ok(format!("{owner}.commands"))
    }
}

/// A command is about a topic that no processor reads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no processor reads {topic}")]
pub struct NoProcessor {
    /// The topic.
    pub topic: String,
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
    fn context_of_a_command_is_that_of_its_record() {
        let contexts = [
            ("user", schemas::user::Command::schemas()),
            ("order", schemas::order::Command::schemas()),
            ("stock", schemas::stock::Command::schemas()),
            ("notification", schemas::notification::Command::schemas()),
            ("engine", schemas::engine::Command::schemas()),
        ];
        for (context, commands) in contexts {
            for schema in commands {
                assert_eq!(schemas::context(schema.name), Some(context), "{}", schema.name);
            }
            let topic = format!("{context}.commands");
            assert_eq!(topics::all().get(&topic).is_some(), context != "engine", "{topic}");
        }
        let command = Command::from(schemas::engine::Command::from(redrive("stock.followups")));
        assert_eq!(command.context(), schemas::context(command.name()).expect("a context"));
    }

    fn redrive(topic: &str) -> Redrive {
        let (topic, drop_first) = (topic.to_owned(), false);
        Redrive { topic, drop_first, reason: None, first_offset: None }
    }

    #[test]
    fn re_drive_goes_to_the_processor_that_has_parked_the_key() {
        let redriven =
            |topic: &str| Command::from(schemas::engine::Command::from(redrive(topic))).topic();
        let topic = |topic: &str| redriven(topic).expect("a topic");
        assert_eq!(topic("stock.followups"), "order.commands");
        assert_eq!(topic("email.followups"), "user.commands");
        assert_eq!(topic("user.events"), "notification.commands");
        for dead in topics::all().iter().filter(|topic| topic.is_dead()) {
            let source = dead.name.trim_end_matches(".dead");
            assert!(topics::all().get(&topic(source)).is_some(), "{source}");
        }
        for unread in ["order.state", "none"] {
            assert_eq!(redriven(unread), Err(NoProcessor { topic: unread.to_owned() }));
        }
    }
}

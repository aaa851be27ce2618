//! The result of a decision: events, reactions, and the status of the command. These are plain
//! values; nothing here decides anything or carries anything out.

use schemas::Message;

/// Why a command is refused. A refusal is a value of the domain, not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// A stable snake_case code that programs can branch on, such as `address_taken`.
    pub code: &'static str,
    /// A sentence for people.
    pub detail: String,
}

impl Refusal {
    /// Creates a refusal from its code and a sentence.
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

/// The status of a command after the decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandStatus {
    /// The command is accepted, and has ended.
    Accepted,
    /// The command is refused, and has ended.
    Refused(Refusal),
    /// A saga must finish first; [`Reaction::Conclude`] ends the command. A key has at most one
    /// pending command.
    Pending,
}

/// A message type whose messages all belong to one topic. Policies name the message; the topic
/// follows from its type.
pub trait Addressed: Message {
    /// The topic, such as `stock.followups`.
    const TOPIC: &'static str;
}

/// An effect beside the events, carried out in the same transaction.
#[derive(Clone, Debug, PartialEq)]
pub enum Reaction<M> {
    /// Writes `message` to `topic` under `key`.
    Send {
        /// The topic, such as `stock.followups`.
        topic: &'static str,
        /// The key; the partition follows from it.
        key: String,
        /// The record; `None` is a tombstone (on a compacted topic).
        message: Option<M>,
    },
    /// Sets this aggregate's timer `name`, and replaces a timer of the same name.
    SetTimer {
        /// The timer's name, unique in the aggregate.
        name: String,
        /// When the timer comes due, in milliseconds since the epoch. If the input waited for its
        /// decision, the engine adds that time.
        due_ms: i64,
    },
    /// Removes this aggregate's timer `name`, if it is set.
    CancelTimer {
        /// The timer's name.
        name: String,
    },
    /// Ends this aggregate's pending command, if there is one: accepted, or refused.
    Conclude(Result<(), Refusal>),
}

impl<M> Reaction<M> {
    /// Sends `message` to the topic of its type.
    pub fn send<T: Addressed + Into<M>>(key: impl ToString, message: T) -> Self {
        Self::Send { topic: T::TOPIC, key: key.to_string(), message: Some(message.into()) }
    }

    /// Writes a tombstone for `key` to the topic of `T`.
    pub fn tombstone<T: Addressed>(key: impl ToString) -> Self {
        Self::Send { topic: T::TOPIC, key: key.to_string(), message: None }
    }

    /// Sets the aggregate's timer `name` to fire at `due_ms`, in place of an earlier time.
    pub fn set_timer(name: impl Into<String>, due_ms: i64) -> Self {
        Self::SetTimer { name: name.into(), due_ms }
    }

    /// Removes the aggregate's timer `name`, if it is set.
    pub fn cancel_timer(name: impl Into<String>) -> Self {
        Self::CancelTimer { name: name.into() }
    }
}

/// A decision that is not a plain refusal.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<E, M> {
    /// The events, in order.
    pub events: Vec<E>,
    /// Effects that do not follow from an event alone (a password hash must not be in an event).
    pub reactions: Vec<Reaction<M>>,
    /// The status of the command. The engine ignores it for timers, and allows no refusal of a
    /// follow-up.
    pub status: CommandStatus,
}

impl<E, M> Decision<E, M> {
    /// Accepts the input without an event.
    pub fn nothing() -> Self {
        Self::events(Vec::new())
    }

    /// Accepts the input with one event.
    pub fn event(event: impl Into<E>) -> Self {
        Self::events(vec![event.into()])
    }

    /// Accepts the input with these events.
    pub fn events(events: Vec<E>) -> Self {
        Self { events, reactions: Vec::new(), status: CommandStatus::Accepted }
    }

    /// Begins a saga with one event; a later input concludes the command.
    pub fn pending(event: impl Into<E>) -> Self {
        Self { status: CommandStatus::Pending, ..Self::event(event) }
    }

    /// Adds a reaction.
    #[must_use]
    pub fn with(mut self, reaction: Reaction<M>) -> Self {
        self.reactions.push(reaction);
        self
    }

    /// Refuses the command but keeps the events: the reuse of a refresh token is refused, and ends
    /// the session. A refusal without events is the `Err` of `decide`.
    #[must_use]
    pub fn refused(mut self, refusal: Refusal) -> Self {
        self.status = CommandStatus::Refused(refusal);
        self
    }
}

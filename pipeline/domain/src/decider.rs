//! What an aggregate is: pure rules over a state, with time and ids as values that come in.
//!
//! Nothing here reads a clock, draws a random number or can block, so a replay gives the same
//! answer.

use schemas::Message;
use uuid::Uuid;

/// What a decider sees beside state and input.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The aggregate's key.
    pub key: &'a str,
    /// When the input was appended to the log (LogAppendTime), or when the timer was due;
    /// milliseconds since the epoch.
    pub at_ms: i64,
    /// The id of the command or follow-up, or one derived from the timer: stable over replays, good
    /// to derive others from.
    pub input_id: Uuid,
    /// The aggregate's version before this input; 0 before its first event.
    pub version: i64,
    /// Who sent it: a user id, `system`, `operator` (a record without headers), or a fingerprint of
    /// an address.
    pub principal: &'a str,
}

/// The timer that asks a finished aggregate for its last events when its retention has passed. The
/// engine fires it just before it forgets the state, and no decider sets it.
pub const RETENTION: &str = "retention";

/// What an aggregate is asked to decide on.
#[derive(Clone, Debug, PartialEq)]
pub enum Input<C, F> {
    /// A wish from outside: it is answered with an outcome.
    Command(C),
    /// A command that another aggregate's policy sent. It can't be refused: a decider that finds it
    /// contradicts its state answers with another follow-up, or with nothing.
    FollowUp(F),
    /// A timer of this aggregate has come due.
    Timer(String),
}

/// Why a command is not granted. Part of the domain, not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// A stable snake_case word that programs can branch on, such as `address_taken`.
    pub code: &'static str,
    /// A sentence for people.
    pub detail: String,
}

impl Refusal {
    /// A refusal with its code and a sentence.
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

/// What becomes of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Granted, and done with.
    Accepted,
    /// Not granted.
    Refused(Refusal),
    /// A saga has to finish first; [`Reaction::Conclude`] will end it. At most one a key at a time.
    Pending,
}

/// An effect beside the events.
#[derive(Clone, Debug, PartialEq)]
pub enum Reaction<M> {
    /// Writes `message` to `topic` under `key`, in the same transaction.
    Send {
        /// The topic, such as `stock.followups`.
        topic: &'static str,
        /// The key there; its partition follows from it.
        key: String,
        /// The record; `None` is a tombstone (on a compacted topic).
        message: Option<M>,
    },
    /// Sets this aggregate's timer `name`, replacing one of the same name.
    SetTimer {
        /// Its name, unique in the aggregate.
        name: String,
        /// When it comes due, in milliseconds since the epoch.
        due_ms: i64,
    },
    /// Forgets this aggregate's timer `name`, if there is one.
    CancelTimer {
        /// Its name.
        name: String,
    },
    /// Ends the command of this aggregate whose verdict was [`Verdict::Pending`], if there is one.
    Conclude(Verdict),
}

/// What a decider makes of an input.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<E, M> {
    /// The facts, in order. A refusal may have some too (the reuse of a refresh token ends the
    /// session).
    pub events: Vec<E>,
    /// Effects that do not follow from an event alone (a password hash must not stand in an event).
    pub reactions: Vec<Reaction<M>>,
    /// The answer to a command; for follow-ups and timers it is not looked at.
    pub verdict: Verdict,
}

impl<E, M> Decision<E, M> {
    /// Granted with these events.
    pub fn accept(events: impl Into<Vec<E>>) -> Self {
        Self { events: events.into(), reactions: Vec::new(), verdict: Verdict::Accepted }
    }

    /// Begun with these events; a later input concludes it.
    pub fn pending(events: impl Into<Vec<E>>) -> Self {
        Self { events: events.into(), reactions: Vec::new(), verdict: Verdict::Pending }
    }

    /// Not granted, nothing happens.
    pub fn refuse(code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            events: Vec::new(),
            reactions: Vec::new(),
            verdict: Verdict::Refused(Refusal::new(code, detail)),
        }
    }

    /// Nothing happens, and that is fine.
    pub fn nothing() -> Self {
        Self::accept(Vec::new())
    }

    /// The same with one more reaction.
    #[must_use]
    pub fn with(mut self, reaction: Reaction<M>) -> Self {
        self.reactions.push(reaction);
        self
    }
}

/// The pure rules of one kind of aggregate.
///
/// An aggregate has one state and may have **members**: records of their own under the aggregate's
/// key, such as the reservations of a stock, of which one decision touches at most one. So a hot
/// aggregate with many members does not rewrite them all at every step.
pub trait Decider: Send + Sync + 'static {
    /// The context: topics are `<context>.commands`, `<context>.followups`, `<context>.events`.
    const CONTEXT: &'static str;
    /// Whether people send commands to it (else `<context>.commands` does not exist).
    const COMMANDS: bool = true;
    /// Whether processors send follow-ups to it (else `<context>.followups` does not exist).
    const FOLLOWUPS: bool = true;

    /// The commands of the context.
    type Command: Message;
    /// The follow-ups of the context.
    type FollowUp: Message;
    /// The events of the context.
    type Event: Message;
    /// The stages of an aggregate's life; before the first one there is no state.
    type State: Message;
    /// A member's state; [`schemas::Never`] where there are none.
    type Member: Message;
    /// What [`Reaction::Send`] carries.
    type Out: Message;

    /// The member that this input is about.
    fn member(_input: &Input<Self::Command, Self::FollowUp>) -> Option<String> {
        None
    }

    /// The member that this event is about. Events of one decision name the input's member or none.
    fn member_of(_event: &Self::Event) -> Option<String> {
        None
    }

    /// Decides. Never panics on purpose; a panic becomes a failed outcome and a dead letter.
    fn decide(
        state: Option<&Self::State>,
        member: Option<&Self::Member>,
        input: &Input<Self::Command, Self::FollowUp>,
        context: &Context<'_>,
    ) -> Decision<Self::Event, Self::Out>;

    /// The state after an event. `None` forgets the aggregate.
    fn evolve(state: Option<Self::State>, event: &Self::Event) -> Option<Self::State>;

    /// The member's state after an event that names it. `None` forgets the member.
    fn evolve_member(_member: Option<Self::Member>, _event: &Self::Event) -> Option<Self::Member> {
        None
    }

    /// Whether nothing that may still come needs the state. The engine forgets a finished aggregate
    /// when its retention has passed since its last change, after it has asked it for last events
    /// ([`RETENTION`]); then its key is as if it had never been used.
    fn is_finished(_state: &Self::State) -> bool {
        false
    }

    /// Whether a member may be forgotten when twice the retention has passed since its last change:
    /// later than every aggregate that was finished in the meantime and could still have asked for
    /// it.
    fn is_settled(_member: &Self::Member) -> bool {
        false
    }

    /// The policy: what follows from an event, given the state after it.
    fn react(
        _state: Option<&Self::State>,
        _event: &Self::Event,
        _context: &Context<'_>,
    ) -> Vec<Reaction<Self::Out>> {
        Vec::new()
    }
}

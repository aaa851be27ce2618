//! What an aggregate is: pure rules over a state, with time and ids as values of the input.
//!
//! Nothing here reads a clock, draws a random number or can block, so a replay gives the same
//! result.

use schemas::Message;
use uuid::Uuid;

pub use crate::decision::{Addressed, CommandStatus, Decision, Reaction, Refusal};
use crate::refusals::VERSION_MISMATCH;

/// What a decider sees of an input beside its payload.
#[derive(Clone, Copy, Debug)]
pub struct InputInfo<'a> {
    /// The aggregate's key.
    pub key: &'a str,
    /// The time of the input, in milliseconds since the epoch: of a record, when it was appended to
    /// the log (LogAppendTime); of a follow-up that is decided in the transaction that writes it,
    /// the time of the input that caused it; of a timer, when it was due.
    pub at_ms: i64,
    /// The id of the command or follow-up, or an id derived from the timer. A replay has the same
    /// id, so other ids can be derived from it.
    pub input_id: Uuid,
    /// The aggregate's version before this input; 0 before its first event.
    pub version: i64,
    /// The sender: a user id, `system`, `operator` (a record without headers), or the fingerprint
    /// of an e-mail address.
    pub principal: &'a str,
}

impl InputInfo<'_> {
    /// Checks that the aggregate has the version that the sender has seen. `what` names the
    /// aggregate in the refusal.
    ///
    /// # Errors
    /// Returns a refusal when `expected` is another version.
    pub fn require_version(&self, expected: Option<i64>, what: &str) -> Result<(), Refusal> {
        match expected {
            Some(expected) if expected != self.version => Err(Refusal::new(
                VERSION_MISMATCH,
                format!("the {what} has version {}", self.version),
            )),
            _ => Ok(()),
        }
    }
}

/// The timer that asks a finished aggregate for its last events when its retention has passed. The
/// engine fires it just before it forgets the state; no decider sets it.
pub const RETENTION: &str = "retention";

/// An input of a decider.
#[derive(Clone, Debug, PartialEq)]
pub enum Input<C, F> {
    /// A request from outside. It ends in an outcome, and can be refused.
    Command(C),
    /// A command from another aggregate's policy. It can't be refused: a decider that finds it
    /// contradicts its state replies with another follow-up, or does nothing.
    FollowUp(F),
    /// The name of a timer of this aggregate that has come due.
    Timer(String),
}

/// The result of [`Decider::decide`]: a decision, or a refusal without any effect.
pub type DecisionResult<D> = Result<Decision<<D as Decider>::Event, <D as Decider>::Out>, Refusal>;

/// The pure rules of one type of aggregate.
///
/// An aggregate has one state and may have **children**: records of their own under the aggregate's
/// key, such as the reservations of a product. One decision reads and changes at most one child, so
/// an aggregate with many children does not rewrite all of them with each event.
pub trait Decider: Send + Sync + 'static {
    /// The context: topics are `<context>.commands`, `<context>.followups`, `<context>.events`.
    const CONTEXT: &'static str;
    /// Whether the context takes commands (otherwise `<context>.commands` does not exist).
    const COMMANDS: bool = true;
    /// Whether the context takes follow-ups (otherwise `<context>.followups` does not exist).
    const FOLLOWUPS: bool = true;

    /// The commands of the context.
    type Command: Message;
    /// The follow-ups of the context.
    type FollowUp: Message;
    /// The events of the context.
    type Event: Message;
    /// The stages of an aggregate's life; before the first event there is no state.
    type State: Message;
    /// A child's state; [`schemas::Never`] for aggregates without children.
    type Child: Message;
    /// The messages of [`Reaction::Send`].
    type Out: Message;

    /// The key of the child that this input concerns.
    fn child_of_input(_input: &Input<Self::Command, Self::FollowUp>) -> Option<String> {
        None
    }

    /// The key of the child that this event concerns. Events of one decision name the input's child
    /// or none.
    fn child_of_event(_event: &Self::Event) -> Option<String> {
        None
    }

    /// Decides on an input. A decider never panics on purpose. The engine catches a panic: a
    /// command fails with a dead letter, a follow-up parks its key, and a timer is dropped with an
    /// alert.
    ///
    /// # Errors
    /// Returns a refusal for a command that the rules do not allow.
    fn decide(
        state: Option<&Self::State>,
        child: Option<&Self::Child>,
        input: &Input<Self::Command, Self::FollowUp>,
        info: &InputInfo<'_>,
    ) -> DecisionResult<Self>
    where
        Self: Sized;

    /// The state after an event. `None` forgets the aggregate.
    fn evolve(state: Option<Self::State>, event: &Self::Event) -> Option<Self::State>;

    /// The child's state after an event that names it. `None` forgets the child.
    fn evolve_child(_child: Option<Self::Child>, _event: &Self::Event) -> Option<Self::Child> {
        None
    }

    /// Whether the engine may forget the aggregate when its retention has passed since its last
    /// change. Inputs before that are still decided on the state. Before the engine forgets it, it
    /// asks the decider for last events ([`RETENTION`]). From then on the key is as if it had never
    /// been used.
    fn is_finished(_state: &Self::State) -> bool {
        false
    }

    /// Whether the engine may forget a child when twice the retention has passed since its last
    /// change. By then the engine has forgotten every finished aggregate that could still have
    /// sent a follow-up about the child.
    fn is_child_finished(_child: &Self::Child) -> bool {
        false
    }
}

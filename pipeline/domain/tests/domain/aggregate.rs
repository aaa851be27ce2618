//! The test harness: one aggregate that decides, evolves and reacts as under the engine, and keeps
//! what the engine would keep (children, timers, the pending command). It never writes a record.

use std::collections::BTreeMap;

use domain::{
    Out,
    decider::{CommandStatus, Decision, Input, InputInfo, Reaction, Refusal},
    policy::Policy,
};
use uuid::Uuid;

/// The time of the first input, in milliseconds since the epoch.
pub(crate) const START_MS: i64 = 1_700_000_000_000;

/// The effects of one input.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Then<E> {
    pub(crate) events: Vec<E>,
    /// Topic, key and message, in order.
    pub(crate) sent: Vec<(&'static str, String, Option<Out>)>,
    /// The status of this input, if it is a command.
    pub(crate) status: CommandStatus,
    /// The end of the pending command, if this input has ended it.
    pub(crate) concluded: Option<Result<(), Refusal>>,
}

impl<E: std::fmt::Debug> Then<E> {
    /// The code with which the input was refused.
    #[track_caller]
    pub(crate) fn refused(&self) -> &'static str {
        match &self.status {
            CommandStatus::Refused(refusal) => code(refusal),
            status => panic!("expected a refusal, got {status:?}"),
        }
    }

    /// The code with which the pending command was refused.
    #[track_caller]
    pub(crate) fn concluded_refused(&self) -> &'static str {
        match &self.concluded {
            Some(Err(refusal)) => code(refusal),
            _ => panic!("expected the refusal of a pending command: {self:?}"),
        }
    }

    /// Asserts that the input was accepted and had no effect.
    #[track_caller]
    pub(crate) fn nothing(&self) {
        assert!(
            self.events.is_empty() && self.sent.is_empty() && self.concluded.is_none(),
            "{self:?}"
        );
        assert_eq!(self.status, CommandStatus::Accepted);
    }

    /// The messages that were sent.
    pub(crate) fn messages(&self) -> Vec<Out> {
        self.sent.iter().filter_map(|(_, _, message)| message.clone()).collect()
    }
}

#[track_caller]
fn code(refusal: &Refusal) -> &'static str {
    assert!(!refusal.detail.is_empty(), "a refusal has a detail: {refusal:?}");
    refusal.code
}

/// One aggregate, from before its first event.
pub(crate) struct Aggregate<D: Policy<Out = Out>> {
    pub(crate) key: String,
    pub(crate) at_ms: i64,
    pub(crate) version: i64,
    pub(crate) state: Option<D::State>,
    pub(crate) children: BTreeMap<String, D::Child>,
    pub(crate) timers: BTreeMap<String, i64>,
    pub(crate) pending: bool,
    inputs: u128,
}

impl<D: Policy<Out = Out>> Aggregate<D> {
    pub(crate) fn new(key: impl ToString) -> Self {
        Self {
            key: key.to_string(),
            at_ms: START_MS,
            version: 0,
            state: None,
            children: BTreeMap::new(),
            timers: BTreeMap::new(),
            pending: false,
            inputs: 0,
        }
    }

    /// Sends a command.
    pub(crate) fn command(&mut self, command: impl Into<D::Command>) -> Then<D::Event> {
        self.input(&Input::Command(command.into()))
    }

    /// Sends a follow-up. The engine parks a key that refuses one, so none may be refused.
    #[track_caller]
    pub(crate) fn follow_up(&mut self, follow_up: impl Into<D::FollowUp>) -> Then<D::Event> {
        let then = self.input(&Input::FollowUp(follow_up.into()));
        assert!(
            !matches!(then.status, CommandStatus::Refused(_)),
            "a follow-up can't be refused: {then:?}"
        );
        then
    }

    /// Lets time pass up to the next timer and fires it.
    #[track_caller]
    pub(crate) fn fire(&mut self) -> Then<D::Event> {
        let next = self.timers.iter().min_by_key(|(_, due_ms)| **due_ms);
        let (name, due_ms) =
            next.map(|(name, due_ms)| (name.clone(), *due_ms)).expect("a timer is set");
        self.timers.remove(&name);
        self.at_ms = self.at_ms.max(due_ms);
        self.input(&Input::Timer(name))
    }

    /// Fires a timer that need not be set, as if the input before had not removed it in time.
    pub(crate) fn timer(&mut self, name: &str) -> Then<D::Event> {
        self.timers.remove(name);
        self.input(&Input::Timer(name.to_owned()))
    }

    /// Lets time pass without firing anything.
    pub(crate) fn wait_ms(&mut self, by_ms: i64) {
        self.at_ms += by_ms;
    }

    fn input(&mut self, input: &Input<D::Command, D::FollowUp>) -> Then<D::Event> {
        self.inputs += 1;
        let key = self.key.clone();
        let info = InputInfo {
            key: &key,
            at_ms: self.at_ms,
            input_id: Uuid::from_u128(self.inputs),
            version: self.version,
            principal: "somebody",
        };
        let child = D::child_of_input(input);
        let held = child.as_ref().and_then(|child| self.children.get(child));
        let decided = D::decide(self.state.as_ref(), held, input, &info);
        let again = D::decide(self.state.as_ref(), held, input, &info);
        assert_eq!(decided, again, "the same input gives the same decision");
        let decision = decided.unwrap_or_else(|refusal| Decision::nothing().refused(refusal));

        if decision.status == CommandStatus::Pending {
            assert!(matches!(input, Input::Command(_)), "only a command can be pending: {input:?}");
            assert!(!self.pending, "the decider must refuse a second pending command: {input:?}");
            self.pending = true;
        }
        let (mut sent, mut concluded) = (Vec::new(), None);
        for event in &decision.events {
            self.version += 1;
            self.state = D::evolve(self.state.take(), event);
            if let Some(name) = D::child_of_event(event) {
                assert_eq!(Some(&name), child.as_ref(), "an event names its input's child");
                let before = self.children.remove(&name);
                self.children.extend(D::evolve_child(before, event).map(|after| (name, after)));
            }
            let reactions = D::react(self.state.as_ref(), event, &info);
            let again = D::react(self.state.as_ref(), event, &info);
            assert_eq!(reactions, again, "the same event gives the same reactions");
            self.carry_out(reactions, &mut sent, &mut concluded);
        }
        self.carry_out(decision.reactions, &mut sent, &mut concluded);
        Then { events: decision.events, sent, status: decision.status, concluded }
    }

    fn carry_out(
        &mut self,
        reactions: Vec<Reaction<Out>>,
        sent: &mut Vec<(&'static str, String, Option<Out>)>,
        concluded: &mut Option<Result<(), Refusal>>,
    ) {
        for reaction in reactions {
            match reaction {
                Reaction::Send { topic, key, message } => sent.push((topic, key, message)),
                Reaction::SetTimer { name, due_ms } => drop(self.timers.insert(name, due_ms)),
                Reaction::CancelTimer { name } => drop(self.timers.remove(&name)),
                Reaction::Conclude(end) if self.pending => {
                    assert!(concluded.replace(end).is_none(), "a command ends once");
                    self.pending = false;
                }
                Reaction::Conclude(_) => {}
            }
        }
    }
}

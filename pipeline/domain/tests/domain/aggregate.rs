//! One aggregate under test: it decides, evolves and reacts as the engine lets it, and keeps what
//! the engine would keep (members, timers, the command that is pending). It never writes anything
//! anywhere.

use std::collections::BTreeMap;

use domain::{
    Out,
    decider::{Context, Decider, Input, Reaction, Refusal, Verdict},
};
use uuid::Uuid;

/// When the tests' time begins, in milliseconds since the epoch.
pub(crate) const START_MS: i64 = 1_700_000_000_000;

/// What became of one input.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Then<E> {
    pub(crate) events: Vec<E>,
    /// Topic, key and message, in order.
    pub(crate) sent: Vec<(&'static str, String, Option<Out>)>,
    /// The answer to this input, if it was a command.
    pub(crate) verdict: Verdict,
    /// The answer to the command that was pending, if it ended now.
    pub(crate) concluded: Option<Verdict>,
}

impl<E: std::fmt::Debug> Then<E> {
    /// The word with which the input was refused.
    pub(crate) fn refused(&self) -> &'static str {
        refused(&self.verdict)
    }

    /// The word with which the pending command was refused.
    pub(crate) fn concluded_refused(&self) -> &'static str {
        refused(
            self.concluded.as_ref().unwrap_or_else(|| panic!("nothing was concluded: {self:?}")),
        )
    }

    /// Nothing happened at all.
    #[track_caller]
    pub(crate) fn nothing(&self) {
        assert!(
            self.events.is_empty() && self.sent.is_empty() && self.concluded.is_none(),
            "{self:?}"
        );
        assert_eq!(self.verdict, Verdict::Accepted);
    }

    /// The messages that were sent.
    pub(crate) fn messages(&self) -> Vec<Out> {
        self.sent.iter().filter_map(|(_, _, message)| message.clone()).collect()
    }
}

#[track_caller]
fn refused(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Refused(Refusal { code, detail }) => {
            assert!(!detail.is_empty(), "a refusal says why");
            code
        }
        verdict => panic!("expected a refusal, got {verdict:?}"),
    }
}

/// One aggregate, from before its first event.
pub(crate) struct Aggregate<D: Decider<Out = Out>> {
    pub(crate) key: String,
    pub(crate) at_ms: i64,
    pub(crate) version: i64,
    pub(crate) state: Option<D::State>,
    pub(crate) members: BTreeMap<String, D::Member>,
    pub(crate) timers: BTreeMap<String, i64>,
    pub(crate) pending: bool,
    inputs: u128,
}

impl<D: Decider<Out = Out>> Aggregate<D> {
    pub(crate) fn new(key: impl ToString) -> Self {
        Self {
            key: key.to_string(),
            at_ms: START_MS,
            version: 0,
            state: None,
            members: BTreeMap::new(),
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
            !matches!(then.verdict, Verdict::Refused(_)),
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

    /// Fires a timer that need not be set: as if it had come due just before.
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
        let context = Context {
            key: &key,
            at_ms: self.at_ms,
            input_id: Uuid::from_u128(self.inputs),
            version: self.version,
            principal: "somebody",
        };
        let member = D::member(input);
        let held = member.as_ref().and_then(|member| self.members.get(member));
        let decision = D::decide(self.state.as_ref(), held, input, &context);
        assert_eq!(
            decision,
            D::decide(self.state.as_ref(), held, input, &context),
            "decides alike twice"
        );

        if decision.verdict == Verdict::Pending {
            assert!(matches!(input, Input::Command(_)), "only commands can be pending");
            assert!(
                !self.pending,
                "the engine allows one pending command; the decider has to refuse: {input:?}"
            );
            self.pending = true;
        }
        let (mut sent, mut concluded) = (Vec::new(), None);
        for event in &decision.events {
            self.version += 1;
            self.state = D::evolve(self.state.take(), event);
            if let Some(name) = D::member_of(event) {
                assert_eq!(Some(&name), member.as_ref(), "events name the input's member");
                let before = self.members.remove(&name);
                self.members.extend(D::evolve_member(before, event).map(|after| (name, after)));
            }
            let reactions = D::react(self.state.as_ref(), event, &context);
            assert_eq!(
                reactions,
                D::react(self.state.as_ref(), event, &context),
                "reacts alike twice"
            );
            self.carry_out(reactions, &mut sent, &mut concluded);
        }
        self.carry_out(decision.reactions, &mut sent, &mut concluded);
        Then { events: decision.events, sent, verdict: decision.verdict, concluded }
    }

    fn carry_out(
        &mut self,
        reactions: Vec<Reaction<Out>>,
        sent: &mut Vec<(&'static str, String, Option<Out>)>,
        concluded: &mut Option<Verdict>,
    ) {
        for reaction in reactions {
            match reaction {
                Reaction::Send { topic, key, message } => sent.push((topic, key, message)),
                Reaction::SetTimer { name, due_ms } => drop(self.timers.insert(name, due_ms)),
                Reaction::CancelTimer { name } => drop(self.timers.remove(&name)),
                Reaction::Conclude(verdict) if self.pending => {
                    assert_ne!(verdict, Verdict::Pending, "the end of a saga is an answer");
                    assert!(concluded.replace(verdict).is_none(), "a command is answered once");
                    self.pending = false;
                }
                Reaction::Conclude(_) => {}
            }
        }
    }
}

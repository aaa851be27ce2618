//! One kind of aggregate in one task: a decider, its states and members, with the types rubbed off.
//!
//! Everything that the rules of a domain do runs in here, behind a savepoint: a decider that panics
//! leaves no trace. Messages go in and come out as bytes, so that a task can hold aggregates of any
//! kind.

use std::{
    any::Any,
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::Bytes;
use domain::decider::{Context, Decider, Decision, Input, Reaction, Verdict};
use redpanda::arena::Arena;
use schemas::{Codec, CodecError, Message};

use crate::{
    changelog::MEMBER_SEPARATOR,
    table::{Savepoint, Table},
};

/// What an aggregate is asked, still encoded.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Payload<'a> {
    Command(&'a [u8]),
    FollowUp(&'a [u8]),
    Timer(&'a str),
}

/// An effect of an input or an event, encoded.
#[derive(Debug)]
pub(crate) enum Effect {
    Send { topic: &'static str, key: String, name: &'static str, value: Option<Bytes> },
    SetTimer { name: String, due_ms: i64 },
    CancelTimer { name: String },
    Conclude(Verdict),
}

/// An event, encoded, with what follows from it.
#[derive(Debug)]
pub(crate) struct Emitted {
    pub(crate) name: &'static str,
    pub(crate) value: Bytes,
    pub(crate) version: i64,
    pub(crate) effects: Vec<Effect>,
}

/// What a decider made of an input.
#[derive(Debug)]
pub(crate) struct Decided {
    /// The full name of the input's record; empty for timers.
    pub(crate) name: &'static str,
    pub(crate) events: Vec<Emitted>,
    /// What follows from the input itself.
    pub(crate) effects: Vec<Effect>,
    pub(crate) verdict: Verdict,
    /// The aggregate's version afterwards.
    pub(crate) version: i64,
}

/// Why there is no decision.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The writer's schema has to be learnt first; then the same record can be tried again.
    UnknownSchema(u32),
    /// This record will never work.
    Permanent(String),
}

impl From<CodecError> for Failure {
    fn from(error: CodecError) -> Self {
        match error {
            CodecError::UnknownId(id) => Self::UnknownSchema(id),
            error => Self::Permanent(error.to_string()),
        }
    }
}

/// A state and the version that its events have brought it to.
#[derive(Clone, Debug)]
struct Versioned<S> {
    version: i64,
    changed_ms: i64,
    state: S,
}

/// A member.
#[derive(Clone, Debug)]
struct Dated<M> {
    changed_ms: i64,
    member: M,
}

/// How often within the retention all states and members are looked at.
const SEARCHES: i64 = 1_000;

/// A change that the changelog has to carry: key, version (of states) and value.
pub(crate) type Change<'a> = (&'a str, Option<i64>, Option<Bytes>);

/// The aggregates of one kind, whatever their types.
pub(crate) trait Aggregates: Send {
    /// Decides on an input and evolves the state. On a failure nothing has changed.
    fn decide(
        &mut self,
        payload: Payload<'_>,
        context: &Context<'_>,
        codec: &Codec,
    ) -> Result<Decided, Failure>;
    /// The version of the aggregate at `key`; 0 before its first event.
    fn version(&self, key: &str) -> i64;
    /// The places behind the latest writes.
    fn savepoint(&self) -> [Savepoint; 2];
    fn roll_back(&mut self, savepoint: [Savepoint; 2]);
    fn settle(&mut self, savepoint: [Savepoint; 2]);
    /// Calls `write(is_member, change)` for every key changed since `savepoint`.
    fn changes(
        &self,
        savepoint: [Savepoint; 2],
        codec: &Codec,
        write: &mut dyn FnMut(bool, Change<'_>),
    ) -> Result<(), CodecError>;
    /// Takes a state or a member back in from the changelog.
    fn load(
        &mut self,
        member: bool,
        key: &str,
        version: Option<i64>,
        value: Option<&[u8]>,
        changed_ms: i64,
        codec: &Codec,
    ) -> Result<(), CodecError>;
    /// Looks at the next `max` places, and returns what is to be forgotten at `at_ms`: finished
    /// states that have not changed for the retention, and settled members (true) that have not for
    /// twice as long.
    fn ended(&mut self, at_ms: i64, retention_ms: i64, max: usize) -> Vec<(bool, String)>;
    /// Forgets a state or a member.
    fn forget(&mut self, member: bool, key: &str);
    /// How many states and members there are.
    fn len(&self) -> usize;
}

/// The aggregates of one decider in one task.
pub(crate) struct Kind<D: Decider> {
    states: Table<Versioned<D::State>>,
    members: Table<Dated<D::Member>>,
    /// Where the search for what has ended goes on, in states and members.
    looked: usize,
    /// When the next search begins.
    rests_until_ms: i64,
    /// Whether events are counted; otherwise everything is of version 0.
    versioned: bool,
}

impl<D: Decider> Kind<D> {
    pub(crate) fn new(versioned: bool) -> Self {
        Self {
            states: Table::default(),
            members: Table::default(),
            looked: 0,
            rests_until_ms: i64::MIN,
            versioned,
        }
    }

    fn effects(reactions: Vec<Reaction<D::Out>>, codec: &Codec) -> Result<Vec<Effect>, Failure> {
        let effect = |reaction| {
            Ok(match reaction {
                Reaction::Send { topic, key, message } => Effect::Send {
                    topic,
                    key,
                    name: message.as_ref().map_or("", Message::name),
                    value: message.map(|message| encoded(&message, codec)).transpose()?,
                },
                Reaction::SetTimer { name, due_ms } => Effect::SetTimer { name, due_ms },
                Reaction::CancelTimer { name } => Effect::CancelTimer { name },
                Reaction::Conclude(verdict) => Effect::Conclude(verdict),
            })
        };
        reactions.into_iter().map(effect).collect()
    }

    fn try_decide(
        &mut self,
        input: &Input<D::Command, D::FollowUp>,
        context: &Context<'_>,
        codec: &Codec,
    ) -> Result<Decided, Failure> {
        let key = context.key;
        let name = match input {
            Input::Command(command) => command.name(),
            Input::FollowUp(follow_up) => follow_up.name(),
            Input::Timer(_) => "",
        };
        let member_key = D::member(input).map(|member| member_key(key, &member));
        let member =
            member_key.as_ref().and_then(|key| self.members.get(key)).map(|row| &row.member);
        let state = self.states.get(key);
        let mut version = state.map_or(0, |row| row.version);
        let context = &Context { version, ..*context };
        let Decision { events, reactions, verdict } =
            D::decide(state.map(|row| &row.state), member, input, context);

        let mut emitted = Vec::with_capacity(events.len());
        if !events.is_empty() {
            let mut state = state.map(|row| row.state.clone());
            for event in &events {
                version += i64::from(self.versioned);
                state = D::evolve(state, event);
                if let Some(member) = D::member_of(event) {
                    let member_key = member_key_of(member_key.as_deref(), key, &member)?;
                    let before = self.members.get(member_key).map(|row| row.member.clone());
                    let member = D::evolve_member(before, event);
                    let dated = |member| Dated { changed_ms: context.at_ms, member };
                    self.members.put(member_key, member.map(dated));
                }
                let reactions = D::react(state.as_ref(), event, context);
                let effects = Self::effects(reactions, codec)?;
                emitted.push(Emitted {
                    name: event.name(),
                    value: encoded(event, codec)?,
                    version,
                    effects,
                });
            }
            let changed_ms = context.at_ms;
            self.states.put(key, state.map(|state| Versioned { version, changed_ms, state }));
        }
        Ok(Decided {
            name,
            events: emitted,
            effects: Self::effects(reactions, codec)?,
            verdict,
            version,
        })
    }
}

fn member_key(key: &str, member: &str) -> String {
    format!("{key}{MEMBER_SEPARATOR}{member}")
}

/// The key of the member that an event names: it must be the one that the input named.
fn member_key_of<'a>(input: Option<&'a str>, key: &str, member: &str) -> Result<&'a str, Failure> {
    input
        .filter(|input| {
            input.strip_prefix(key).and_then(|rest| rest.strip_prefix(MEMBER_SEPARATOR))
                == Some(member)
        })
        .ok_or_else(|| {
            Failure::Permanent(format!("an event names member {member:?}, its input does not"))
        })
}

impl<D: Decider> Aggregates for Kind<D> {
    fn decide(
        &mut self,
        payload: Payload<'_>,
        context: &Context<'_>,
        codec: &Codec,
    ) -> Result<Decided, Failure> {
        let savepoint = self.savepoint();
        // The tables are put back to the savepoint before anyone looks at them again.
        let decided = catch_unwind(AssertUnwindSafe(|| {
            let input = match payload {
                Payload::Command(bytes) => Input::Command(D::Command::decode(codec, bytes)?),
                Payload::FollowUp(bytes) => Input::FollowUp(D::FollowUp::decode(codec, bytes)?),
                Payload::Timer(name) => Input::Timer(name.to_owned()),
            };
            assert!(
                !redpanda::fault::is_about("panic", context.key),
                "MILLRACE_FAULT: a panic was ordered"
            );
            self.try_decide(&input, context, codec)
        }))
        .unwrap_or_else(|panic| {
            Err(Failure::Permanent(format!("the decider panicked: {}", said(&*panic))))
        });
        if decided.is_err() {
            self.roll_back(savepoint);
        }
        decided
    }

    fn version(&self, key: &str) -> i64 {
        self.states.get(key).map_or(0, |row| row.version)
    }

    fn savepoint(&self) -> [Savepoint; 2] {
        [self.states.savepoint(), self.members.savepoint()]
    }

    fn roll_back(&mut self, [states, members]: [Savepoint; 2]) {
        self.states.roll_back(states);
        self.members.roll_back(members);
    }

    fn settle(&mut self, [states, members]: [Savepoint; 2]) {
        self.states.settle(states);
        self.members.settle(members);
    }

    fn changes(
        &self,
        [states, members]: [Savepoint; 2],
        codec: &Codec,
        write: &mut dyn FnMut(bool, Change<'_>),
    ) -> Result<(), CodecError> {
        for (key, row) in self.states.changes(states) {
            let value = row.map(|row| encoded(&row.state, codec)).transpose()?;
            write(false, (key, row.map(|row| row.version).filter(|_| self.versioned), value));
        }
        for (key, member) in self.members.changes(members) {
            let value = member.map(|row| encoded(&row.member, codec)).transpose()?;
            write(true, (key, None, value));
        }
        Ok(())
    }

    fn load(
        &mut self,
        member: bool,
        key: &str,
        version: Option<i64>,
        value: Option<&[u8]>,
        changed_ms: i64,
        codec: &Codec,
    ) -> Result<(), CodecError> {
        if member {
            let value = value.map(|bytes| D::Member::decode(codec, bytes)).transpose()?;
            self.members.load(key, value.map(|member| Dated { changed_ms, member }));
        } else {
            let state = value.map(|bytes| D::State::decode(codec, bytes)).transpose()?;
            let version = version.unwrap_or_default();
            self.states.load(key, state.map(|state| Versioned { version, changed_ms, state }));
        }
        Ok(())
    }

    fn ended(&mut self, at_ms: i64, retention_ms: i64, max: usize) -> Vec<(bool, String)> {
        if at_ms < self.rests_until_ms {
            return Vec::new();
        }
        let before_ms = at_ms - retention_ms;
        let has_ended =
            |row: &Versioned<D::State>| row.changed_ms < before_ms && D::is_finished(&row.state);
        let is_settled = |row: &Dated<D::Member>| {
            row.changed_ms < before_ms - retention_ms && D::is_settled(&row.member)
        };
        let places = self.looked..self.looked + max;
        let ended = self.states.at(places.clone()).filter(|(_, row)| has_ended(row));
        let settled = self.members.at(places).filter(|(_, row)| is_settled(row));
        let keys = ended.map(|(key, _)| (false, key.to_owned()));
        let keys = keys.chain(settled.map(|(key, _)| (true, key.to_owned()))).collect();
        self.looked += max;
        if self.looked >= self.states.places().max(self.members.places()) {
            // What has ended since this search began is found by the next one.
            (self.looked, self.rests_until_ms) = (0, at_ms + retention_ms / SEARCHES);
        }
        keys
    }

    fn forget(&mut self, member: bool, key: &str) {
        match member {
            true => self.members.put(key, None),
            false => self.states.put(key, None),
        }
    }

    fn len(&self) -> usize {
        self.states.len() + self.members.len()
    }
}

/// `message` in the wire format.
pub(crate) fn encoded(message: &impl Message, codec: &Codec) -> Result<Bytes, CodecError> {
    thread_local!(static BUFFER: RefCell<(Vec<u8>, Arena)> = RefCell::default());
    BUFFER.with_borrow_mut(|(buffer, arena)| {
        buffer.clear();
        message.encode(codec, buffer)?;
        Ok(arena.copy(buffer))
    })
}

/// What a panic said.
pub(crate) fn said(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)")
}

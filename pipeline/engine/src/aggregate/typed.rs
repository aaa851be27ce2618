//! The tables of one decider: decides, evolves and reacts on typed states, behind a savepoint.

use std::panic::{AssertUnwindSafe, catch_unwind};

use domain::{
    decider::{Decision, Input, InputInfo, Reaction},
    policy::Policy,
};
use schemas::{Codec, CodecError, Message};

use super::{
    AggregateSavepoint, Aggregates, Change, Decided, Effect, Emitted, Payload, RowKind, StoredRow,
    effect_of, encoded, panic_message,
};
use crate::{
    changelog::NAME_SEPARATOR,
    error::{Failure, InputError},
    table::Table,
};

/// How often within the retention all states and children are searched for expired ones.
const SEARCHES: i64 = 1_000;

/// A state, and the version that its events have brought it to.
#[derive(Clone, Debug)]
struct Versioned<S> {
    version: i64,
    changed_ms: i64,
    state: S,
}

/// A child's state, and the time of its last change.
#[derive(Clone, Debug)]
struct Dated<C> {
    changed_ms: i64,
    child: C,
}

/// The aggregates of decider `D` in one task.
pub(crate) struct TypedAggregates<D: Policy> {
    states: Table<Versioned<D::State>>,
    children: Table<Dated<D::Child>>,
    /// The slot at which the search for expired rows continues.
    next_slot: usize,
    /// When the next search begins.
    next_search_ms: i64,
    /// Whether events are counted; otherwise every aggregate stays at version 0.
    versioned: bool,
}

impl<D: Policy> TypedAggregates<D> {
    /// No aggregates yet.
    pub(crate) fn new(versioned: bool) -> Self {
        Self {
            states: Table::default(),
            children: Table::default(),
            next_slot: 0,
            next_search_ms: i64::MIN,
            versioned,
        }
    }

    fn try_decide(
        &mut self,
        input: &Input<D::Command, D::FollowUp>,
        info: &InputInfo<'_>,
        codec: &Codec,
    ) -> Result<Decided, Failure> {
        let key = info.key;
        let name = match input {
            Input::Command(command) => command.name(),
            Input::FollowUp(follow_up) => follow_up.name(),
            Input::Timer(_) => "",
        };
        let child_key = D::child_of_input(input).map(|child| child_key(key, &child));
        let child = child_key.as_ref().and_then(|key| self.children.get(key)).map(|row| &row.child);
        let state = self.states.get(key);
        let mut version = state.map_or(0, |row| row.version);
        let info = &InputInfo { version, ..*info };
        let decided = D::decide(state.map(|row| &row.state), child, input, info);
        let Decision { events, reactions, status } =
            decided.unwrap_or_else(|refusal| Decision::nothing().refused(refusal));

        let mut emitted = Vec::with_capacity(events.len());
        if !events.is_empty() {
            let mut state = state.map(|row| row.state.clone());
            for event in &events {
                version += i64::from(self.versioned);
                state = D::evolve(state, event);
                if let Some(child) = D::child_of_event(event) {
                    let child_key = require_child(child_key.as_deref(), key, &child)?;
                    let before = self.children.get(child_key).map(|row| row.child.clone());
                    let child = D::evolve_child(before, event);
                    let dated = |child| Dated { changed_ms: info.at_ms, child };
                    self.children.put(child_key, child.map(dated));
                }
                let reactions = D::react(state.as_ref(), event, info);
                emitted.push(Emitted {
                    name: event.name(),
                    value: encoded(event, codec)?,
                    version,
                    effects: effects(reactions, codec)?,
                });
            }
            let changed_ms = info.at_ms;
            self.states.put(key, state.map(|state| Versioned { version, changed_ms, state }));
        }
        let effects = effects(reactions, codec)?;
        Ok(Decided { name, events: emitted, effects, status, version })
    }
}

fn effects<M: Message>(
    reactions: Vec<Reaction<M>>,
    codec: &Codec,
) -> Result<Vec<Effect>, CodecError> {
    reactions.into_iter().map(|reaction| effect_of(reaction, codec)).collect()
}

fn child_key(key: &str, child: &str) -> String {
    format!("{key}{NAME_SEPARATOR}{child}")
}

/// The table's key of the child that an event names. It must be the child that the input names,
/// because the decider has seen only that one.
fn require_child<'a>(
    input: Option<&'a str>,
    key: &str,
    child: &str,
) -> Result<&'a str, InputError> {
    let is_same = |input: &&str| {
        let name = input.strip_prefix(key).and_then(|rest| rest.strip_prefix(NAME_SEPARATOR));
        name == Some(child)
    };
    input.filter(is_same).ok_or_else(|| InputError::OtherChild(child.to_owned()))
}

impl<D: Policy> Aggregates for TypedAggregates<D> {
    fn decide(
        &mut self,
        payload: Payload<'_>,
        info: &InputInfo<'_>,
        codec: &Codec,
    ) -> Result<Decided, Failure> {
        let savepoint = self.savepoint();
        // Unwind safety: the tables return to the savepoint before anything reads them again.
        let decided = catch_unwind(AssertUnwindSafe(|| {
            let input = match payload {
                Payload::Command(bytes) => Input::Command(D::Command::decode(codec, bytes)?),
                Payload::FollowUp(bytes) => Input::FollowUp(D::FollowUp::decode(codec, bytes)?),
                Payload::Timer(name) => Input::Timer(name.to_owned()),
            };
            redpanda::fault::panic_about(info.key);
            self.try_decide(&input, info, codec)
        }))
        .unwrap_or_else(|panic| {
            Err(InputError::DeciderPanicked(panic_message(&*panic).to_owned()).into())
        });
        if decided.is_err() {
            self.roll_back(savepoint);
        }
        decided
    }

    fn version(&self, key: &str) -> i64 {
        self.states.get(key).map_or(0, |row| row.version)
    }

    fn savepoint(&self) -> AggregateSavepoint {
        AggregateSavepoint { states: self.states.savepoint(), children: self.children.savepoint() }
    }

    fn roll_back(&mut self, savepoint: AggregateSavepoint) {
        self.states.roll_back(savepoint.states);
        self.children.roll_back(savepoint.children);
    }

    fn commit(&mut self, savepoint: AggregateSavepoint) {
        self.states.commit(savepoint.states);
        self.children.commit(savepoint.children);
    }

    fn changes(
        &self,
        savepoint: AggregateSavepoint,
        codec: &Codec,
        write: &mut dyn FnMut(Change<'_>),
    ) -> Result<(), CodecError> {
        for (key, row) in self.states.changes(savepoint.states) {
            let value = row.map(|row| encoded(&row.state, codec)).transpose()?;
            let version = row.map(|row| row.version).filter(|_| self.versioned);
            write(Change { kind: RowKind::State, key, version, value });
        }
        for (key, row) in self.children.changes(savepoint.children) {
            let value = row.map(|row| encoded(&row.child, codec)).transpose()?;
            write(Change { kind: RowKind::Child, key, version: None, value });
        }
        Ok(())
    }

    fn load(&mut self, row: StoredRow<'_>, codec: &Codec) -> Result<(), CodecError> {
        let StoredRow { kind, key, version, value, changed_ms } = row;
        match kind {
            RowKind::State => {
                let state = value.map(|bytes| D::State::decode(codec, bytes)).transpose()?;
                let version = version.unwrap_or_default();
                self.states.load(key, state.map(|state| Versioned { version, changed_ms, state }));
            }
            RowKind::Child => {
                let child = value.map(|bytes| D::Child::decode(codec, bytes)).transpose()?;
                self.children.load(key, child.map(|child| Dated { changed_ms, child }));
            }
        }
        Ok(())
    }

    fn expired(&mut self, at_ms: i64, retention_ms: i64, max: usize) -> Vec<(RowKind, String)> {
        if at_ms < self.next_search_ms {
            return Vec::new();
        }
        let before_ms = at_ms - retention_ms;
        let is_expired =
            |row: &Versioned<D::State>| row.changed_ms < before_ms && D::is_finished(&row.state);
        let is_child_expired = |row: &Dated<D::Child>| {
            row.changed_ms < before_ms - retention_ms && D::is_child_finished(&row.child)
        };
        let slots = self.next_slot..self.next_slot + max;
        let states = self.states.in_slots(slots.clone()).filter(|(_, row)| is_expired(row));
        let children = self.children.in_slots(slots).filter(|(_, row)| is_child_expired(row));
        let states = states.map(|(key, _)| (RowKind::State, key.to_owned()));
        let children = children.map(|(key, _)| (RowKind::Child, key.to_owned()));
        let expired = states.chain(children).collect();
        self.next_slot += max;
        if self.next_slot >= self.states.slots().max(self.children.slots()) {
            // Rows that have expired since this search began are found by the next one.
            (self.next_slot, self.next_search_ms) = (0, at_ms + retention_ms / SEARCHES);
        }
        expired
    }

    fn forget(&mut self, kind: RowKind, key: &str) {
        match kind {
            RowKind::State => self.states.put(key, None),
            RowKind::Child => self.children.put(key, None),
        }
    }

    fn len(&self) -> usize {
        self.states.len() + self.children.len()
    }
}

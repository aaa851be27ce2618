//! The aggregates of one decider in one task, type-erased, so that a task can hold aggregates of
//! any decider: messages come in and go out as bytes.
//!
//! All rules of the domain run in here, behind a savepoint: a decider that panics leaves no trace.
//! Nothing in here writes a record.

mod encode;
mod typed;

use bytes::Bytes;
use domain::decider::{CommandStatus, InputInfo, Refusal};
use schemas::{Codec, CodecError};

use crate::{error::Failure, table::Savepoint};

pub(crate) use encode::{effect_of, encoded, panic_message};
pub(crate) use typed::TypedAggregates;

/// An input, still encoded.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Payload<'a> {
    Command(&'a [u8]),
    FollowUp(&'a [u8]),
    Timer(&'a str),
}

/// A reaction, encoded.
#[derive(Debug)]
pub(crate) enum Effect {
    Send { topic: &'static str, key: String, name: &'static str, value: Option<Bytes> },
    SetTimer { name: String, due_ms: i64 },
    CancelTimer { name: String },
    Conclude(Result<(), Refusal>),
}

/// An event, encoded, with the effects that the policy derives from it.
#[derive(Debug)]
pub(crate) struct Emitted {
    pub(crate) name: &'static str,
    pub(crate) value: Bytes,
    pub(crate) version: i64,
    pub(crate) effects: Vec<Effect>,
}

/// A decision, encoded.
#[derive(Debug)]
pub(crate) struct Decided {
    /// The full name of the input's record; empty for timers.
    pub(crate) name: &'static str,
    pub(crate) events: Vec<Emitted>,
    /// The effects that do not follow from an event.
    pub(crate) effects: Vec<Effect>,
    pub(crate) status: CommandStatus,
    /// The aggregate's version afterwards.
    pub(crate) version: i64,
}

/// Whether a row is an aggregate's state or the state of one of its children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowKind {
    State,
    Child,
}

/// A changed row, as the changelog stores it.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    pub(crate) kind: RowKind,
    pub(crate) key: &'a str,
    /// The aggregate's version; only states have one.
    pub(crate) version: Option<i64>,
    pub(crate) value: Option<Bytes>,
}

/// A row as it was read from the changelog.
#[derive(Debug)]
pub(crate) struct StoredRow<'a> {
    pub(crate) kind: RowKind,
    pub(crate) key: &'a str,
    pub(crate) version: Option<i64>,
    pub(crate) value: Option<&'a [u8]>,
    /// The time of the changelog's record.
    pub(crate) changed_ms: i64,
}

/// Savepoints of the tables of states and children.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AggregateSavepoint {
    states: Savepoint,
    children: Savepoint,
}

/// The aggregates of one decider.
pub(crate) trait Aggregates: Send {
    /// Decides on an input and evolves the state. On a failure nothing has changed.
    fn decide(
        &mut self,
        payload: Payload<'_>,
        info: &InputInfo<'_>,
        codec: &Codec,
    ) -> Result<Decided, Failure>;

    /// The version of the aggregate at `key`; 0 before its first event.
    fn version(&self, key: &str) -> i64;

    /// A savepoint behind the latest writes.
    fn savepoint(&self) -> AggregateSavepoint;

    /// Takes back all writes behind `savepoint`.
    fn roll_back(&mut self, savepoint: AggregateSavepoint);

    /// Makes all writes before `savepoint` final.
    fn commit(&mut self, savepoint: AggregateSavepoint);

    /// Calls `write` for every row changed since `savepoint`.
    fn changes(
        &self,
        savepoint: AggregateSavepoint,
        codec: &Codec,
        write: &mut dyn FnMut(Change<'_>),
    ) -> Result<(), CodecError>;

    /// Loads a row of the changelog.
    fn load(&mut self, row: StoredRow<'_>, codec: &Codec) -> Result<(), CodecError>;

    /// Searches the next `max` slots of both tables, and returns the rows to forget at `at_ms`:
    /// finished states that have not changed for the retention, and finished children that have not
    /// changed for twice the retention.
    fn expired(&mut self, at_ms: i64, retention_ms: i64, max: usize) -> Vec<(RowKind, String)>;

    /// Forgets a row.
    fn forget(&mut self, kind: RowKind, key: &str);

    /// The number of states and children.
    fn len(&self) -> usize;
}

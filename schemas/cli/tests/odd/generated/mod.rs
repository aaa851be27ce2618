//! What `schemas generate` made of the files in `avro/`: a module for each context.
//!
//! Never edited by hand.

mod common;
pub mod messages;
pub mod order;
pub mod strings;
pub mod uuid;

pub use common::*;

use crate::{Record, Schema};

/// Every schema that a record on a topic can have, in the order of their names.
pub(crate) static ALL: [&Schema; 15] = [
    crate::Order::SCHEMA,
    crate::messages::Tell::SCHEMA,
    crate::order::Codec::SCHEMA,
    crate::order::Everything::SCHEMA,
    crate::order::Message::SCHEMA,
    crate::order::Nothing::SCHEMA,
    crate::order::Record::SCHEMA,
    crate::order::S::SCHEMA,
    crate::order::Schema::SCHEMA,
    crate::order::Try::SCHEMA,
    crate::order::state::Member::SCHEMA,
    crate::order::state::Record::SCHEMA,
    crate::order::state::State::SCHEMA,
    crate::strings::Loose::SCHEMA,
    crate::uuid::Made::SCHEMA,
];

/// The names of [`ALL`].
pub(crate) const NAMES: [&str; 15] = [
    "millrace.Order",
    "millrace.messages.Tell",
    "millrace.order.Codec",
    "millrace.order.Everything",
    "millrace.order.Message",
    "millrace.order.Nothing",
    "millrace.order.Record",
    "millrace.order.S",
    "millrace.order.Schema",
    "millrace.order.Try",
    "millrace.order.state.Member",
    "millrace.order.state.Record",
    "millrace.order.state.State",
    "millrace.strings.Loose",
    "millrace.uuid.Made",
];

/// For each of [`ALL`]: reads a value as its type and writes it again.
#[cfg(test)]
pub(crate) static AGAIN: [crate::tests::Again; 15] = [
    crate::tests::again::<crate::Order>,
    crate::tests::again::<crate::messages::Tell>,
    crate::tests::again::<crate::order::Codec>,
    crate::tests::again::<crate::order::Everything>,
    crate::tests::again::<crate::order::Message>,
    crate::tests::again::<crate::order::Nothing>,
    crate::tests::again::<crate::order::Record>,
    crate::tests::again::<crate::order::S>,
    crate::tests::again::<crate::order::Schema>,
    crate::tests::again::<crate::order::Try>,
    crate::tests::again::<crate::order::state::Member>,
    crate::tests::again::<crate::order::state::Record>,
    crate::tests::again::<crate::order::state::State>,
    crate::tests::again::<crate::strings::Loose>,
    crate::tests::again::<crate::uuid::Made>,
];

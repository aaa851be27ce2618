//! The settings of a session: its identity, inputs and guarantee. It connects to nothing.

use crate::{brokers::Brokers, log::Topic};

/// The guarantee for records that a session writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// Each input takes effect once, whatever fails: outputs, state and offsets are one
    /// transaction.
    #[default]
    ExactlyOnce,
    /// Each input takes effect once, or several times after a failure, also in the state: the
    /// session writes records and then commits offsets, without a transaction. Benchmarks compare
    /// with it, and only their builds contain it.
    #[cfg(feature = "benchmarks")]
    AtLeastOnce,
}

impl Delivery {
    /// Whether outputs, state and offsets are one transaction.
    pub(super) const fn is_transactional(self) -> bool {
        match self {
            Self::ExactlyOnce => true,
            #[cfg(feature = "benchmarks")]
            Self::AtLeastOnce => false,
        }
    }
}

/// The identity of a session, and what it reads.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The bootstrap brokers.
    pub brokers: Brokers,
    /// The consumer group: the processor's name.
    pub group: String,
    /// The input topics. All have the same partition count.
    pub inputs: Vec<Topic>,
    /// `<processor>-<instance>-<worker>`: the transactional id, and also the `group.instance.id`.
    /// Ids are few and stable.
    pub transactional_id: String,
    /// The guarantee for records that the session writes.
    pub delivery: Delivery,
}

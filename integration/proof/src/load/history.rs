//! The commands that were sent, and which of them were acknowledged.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use redpanda::log::Headers;
use schemas::{Codec, Message, headers};
use uuid::Uuid;

/// What was sent, and what of it was acknowledged.
#[derive(Default)]
pub struct History {
    pub(super) acknowledged: HashSet<Uuid>,
    pub(super) sent: HashMap<Uuid, Arc<Command>>,
    /// What nobody can work on: it must fail.
    pub(super) doomed: HashSet<Uuid>,
}

impl History {
    /// The ids of the commands that are in the log for sure.
    pub fn acknowledged(&self) -> impl Iterator<Item = &Uuid> {
        self.acknowledged.iter()
    }

    /// Whether a command must fail.
    pub fn is_doomed(&self, id: &Uuid) -> bool {
        self.doomed.contains(id)
    }

    /// How many those are.
    pub fn count(&self) -> usize {
        self.acknowledged.len()
    }
}

/// One command, ready to be written as often as need be.
pub struct Command {
    pub(super) id: Uuid,
    pub(super) topic: &'static str,
    pub(super) key: String,
    pub(super) value: Bytes,
    pub(super) headers: Headers,
}

impl Command {
    pub(super) fn new(
        codec: &Codec,
        topic: &'static str,
        key: String,
        message: &impl Message,
    ) -> anyhow::Result<Self> {
        let mut value = Vec::new();
        message.encode(codec, &mut value)?;
        Ok(Self::raw(topic, key, message.name(), value.into()))
    }

    /// A command that says of itself that it is a `name`.
    pub(super) fn raw(topic: &'static str, key: String, name: &str, value: Bytes) -> Self {
        Self::of("faults", topic, key, name, value)
    }

    /// The same from somebody else.
    pub(super) fn of(
        principal: &str,
        topic: &'static str,
        key: String,
        name: &str,
        value: Bytes,
    ) -> Self {
        let id = Uuid::new_v4();
        let mut headers = Headers::default();
        headers.push(headers::SPEC_VERSION, &b"1.0"[..]);
        headers.push(headers::ID, id.to_string());
        headers.push(headers::TYPE, name);
        headers.push(headers::SOURCE, &b"/millrace/faults"[..]);
        headers.push(headers::PRINCIPAL, principal);
        headers.push(headers::FINGERPRINT, id.simple().to_string());
        Self { id, topic, key, value, headers }
    }
}

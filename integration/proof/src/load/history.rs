//! The commands that were sent, and which of them were acknowledged.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use redpanda::log::Headers;
use schemas::{Codec, Message, headers};
use uuid::Uuid;

use super::notices::Notices;

/// The commands that were sent, and those that were acknowledged.
#[derive(Default)]
pub struct History {
    pub(super) acknowledged: HashSet<Uuid>,
    pub(super) sent: HashMap<Uuid, Arc<Command>>,
    /// Commands that can't be processed and must fail.
    pub(super) doomed: HashSet<Uuid>,
    /// What the load has read of notifications.
    pub(super) notices: Notices,
}

impl History {
    /// The ids of the acknowledged commands, which are in the log.
    pub fn acknowledged(&self) -> impl Iterator<Item = &Uuid> {
        self.acknowledged.iter()
    }

    /// Whether a command was acknowledged.
    pub fn is_acknowledged(&self, id: &Uuid) -> bool {
        self.acknowledged.contains(id)
    }

    /// Whether a command must fail.
    pub fn is_doomed(&self, id: &Uuid) -> bool {
        self.doomed.contains(id)
    }

    /// The number of acknowledged commands.
    pub fn count(&self) -> usize {
        self.acknowledged.len()
    }
}

/// A command, ready to be written any number of times.
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

    /// Makes a command with the type `name`, whatever its value is.
    pub(super) fn raw(topic: &'static str, key: String, name: &str, value: Bytes) -> Self {
        Self::of("faults", topic, key, name, value)
    }

    /// Makes a command of the principal `principal`.
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

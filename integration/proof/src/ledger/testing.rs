//! Ledgers of records that are built in memory, for tests.

use bytes::Bytes;
use redpanda::log::{Headers, Record};
use schemas::{Codec, Message, Outcome, Verdict, headers, user::Credential};
use uuid::Uuid;

use super::Ledger;

/// A ledger to which a test adds records. Ids are numbers.
pub(crate) struct Log {
    pub(crate) ledger: Ledger,
    /// The time of the records that are added next.
    pub(crate) now_ms: i64,
    codec: Codec,
    offset: i64,
}

impl Default for Log {
    fn default() -> Self {
        Self { ledger: Ledger::default(), now_ms: 0, codec: Codec::local(), offset: 0 }
    }
}

impl Log {
    /// Adds a command.
    pub(crate) fn command(&mut self, topic: &str, key: &str, id: u128, message: &impl Message) {
        self.add(topic, key, message, &[(headers::ID, text(id))]);
    }

    /// Adds a follow-up that the record `cause` has caused.
    pub(crate) fn follow_up(
        &mut self,
        topic: &str,
        key: &str,
        id: u128,
        cause: u128,
        message: &impl Message,
    ) {
        let with = [(headers::ID, text(id)), (headers::CAUSATION_ID, text(cause))];
        self.add(topic, key, message, &with);
    }

    /// Adds an event that the command or follow-up `cause` has caused.
    pub(crate) fn event(
        &mut self,
        topic: &str,
        key: &str,
        version: i64,
        id: u128,
        cause: u128,
        message: &impl Message,
    ) {
        let with = [
            (headers::ID, text(id)),
            (headers::CAUSATION_ID, text(cause)),
            (headers::CORRELATION_ID, text(cause)),
            (headers::VERSION, version.to_string()),
        ];
        self.add(topic, key, message, &with);
    }

    /// Adds an outcome.
    pub(crate) fn outcome(&mut self, topic: &str, outcome: &Outcome) {
        self.add(topic, &outcome.command_id.to_string(), outcome, &[]);
    }

    /// Adds the credential of a user.
    pub(crate) fn credential(&mut self, credential: &Credential) {
        self.add("user.credentials", &credential.user_id.to_string(), credential, &[]);
    }

    /// Adds a record without a value.
    pub(crate) fn tombstone(&mut self, topic: &str, key: &str) {
        let record = self.next(topic, key);
        self.ledger.add(&record, &self.codec).expect("a good record");
    }

    fn add(&mut self, topic: &str, key: &str, message: &impl Message, with: &[(&str, String)]) {
        let mut value = Vec::new();
        message.encode(&self.codec, &mut value).expect("a value");
        let mut record = self.next(topic, key);
        record.value = Some(value.into());
        record.headers.push(headers::TYPE, message.name());
        for (name, value) in with {
            record.headers.push(name, value);
        }
        self.ledger.add(&record, &self.codec).expect("a good record");
    }

    /// The next record, in the partition of its key, without a value.
    fn next(&mut self, topic: &str, key: &str) -> Record {
        let declared = redpanda::topics::all().get(topic).expect("a declared topic");
        let partition = redpanda::partition_of(key.as_bytes(), declared.partitions);
        let mut record = record(topic, partition, key);
        (record.offset, record.timestamp_ms) = (self.offset, self.now_ms);
        self.offset += 1;
        record
    }
}

/// A record without a value.
pub(crate) fn record(topic: &str, partition: i32, key: &str) -> Record {
    Record {
        topic: topic.into(),
        partition,
        offset: 0,
        timestamp_ms: 0,
        key: Some(Bytes::copy_from_slice(key.as_bytes())),
        value: None,
        headers: Headers::default(),
    }
}

/// An accepted outcome of the command `id` about a product.
pub(crate) fn accepted(id: u128, command_type: &str, sku: &str, version: i64) -> Outcome {
    Outcome {
        command_id: Uuid::from_u128(id),
        command_type: command_type.to_owned(),
        verdict: Verdict::Accepted,
        code: None,
        detail: None,
        aggregate: "stock".to_owned(),
        aggregate_id: sku.to_owned(),
        version,
        principal: "faults".to_owned(),
        fingerprint: None,
        decided_at: 0,
    }
}

fn text(id: u128) -> String {
    Uuid::from_u128(id).to_string()
}

//! A record in a trace: where it is in the log and what its headers say. It holds no payload and
//! nothing personal, and it is packed into about a hundred bytes.

use redpanda::log::{Record, wire_bytes};
use schemas::{Codec, headers as name};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The longest text of an entry. What the services write is shorter; a record that somebody writes
/// by hand may have a key or a type of any length.
const TEXT_MAX: usize = 200;
/// The hexadecimal digits of a fingerprint, which is an HMAC-SHA-256.
const FINGERPRINT_DIGITS: usize = 64;
/// The form of packed entries, their first byte. Another form is another number, and readers know
/// both for as long as rows are kept.
pub(super) const FORM: u8 = 1;
/// The engine's header of a follow-up that was decided in the transaction that wrote it.
const DECIDED: &str = "decided";

/// A record that a command caused, or the command itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceEntry {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The time at which the broker wrote the record, in milliseconds since 1970.
    pub at_ms: i64,
    /// The key; `None` also for the fingerprint of an e-mail address.
    pub key: Option<String>,
    /// The full name of the record's type, as far as it is known.
    pub kind: Option<String>,
    /// The registry's id of the schema that the value was written with; `None` if there is no
    /// value, or if it is not Avro in the wire format.
    pub schema_id: Option<u32>,
    /// The size of key, value and headers in bytes.
    pub bytes: u32,
    /// The record's id. A dead letter has that of its source.
    pub id: Uuid,
    /// The id of the record that directly caused this one.
    pub caused_by: Option<Uuid>,
    /// The version of the aggregate after the event.
    pub version: Option<i64>,
    /// The program that wrote it, such as `/millrace/order`.
    pub source: Option<String>,
    /// Whether it is a follow-up that was decided in the transaction that wrote it.
    pub is_decided: bool,
}

/// The headers that an entry needs.
#[derive(Default)]
struct Found<'a> {
    id: Option<&'a str>,
    kind: Option<&'a str>,
    source: Option<&'a str>,
    correlation: Option<&'a str>,
    causation: Option<&'a str>,
    version: Option<&'a str>,
    is_decided: bool,
    /// Where the source of a dead letter is.
    dead_topic: Option<&'a str>,
    dead_partition: Option<&'a str>,
    dead_offset: Option<&'a str>,
}

impl<'a> Found<'a> {
    /// Reads all headers once.
    fn of(record: &'a Record) -> Self {
        let mut found = Self::default();
        for (header, value) in record.headers.iter() {
            let text = std::str::from_utf8(value).ok();
            match std::str::from_utf8(header).unwrap_or_default() {
                name::ID => found.id = text,
                name::TYPE => found.kind = text,
                name::SOURCE => found.source = text,
                name::CORRELATION_ID => found.correlation = text,
                name::CAUSATION_ID => found.causation = text,
                name::VERSION => found.version = text,
                DECIDED => found.is_decided = true,
                "dead_topic" => found.dead_topic = text,
                "dead_partition" => found.dead_partition = text,
                "dead_offset" => found.dead_offset = text,
                _ => {}
            }
        }
        found
    }

    /// The record's id, as `engine/src/envelope.rs` computes it, so that what it caused names it; a
    /// dead letter has its source's.
    fn record_id(&self, record: &Record) -> Uuid {
        let source = || -> Option<(&str, i32, i64)> {
            let partition = self.dead_partition?.parse().ok()?;
            Some((self.dead_topic?, partition, self.dead_offset?.parse().ok()?))
        };
        let (topic, partition, offset) =
            source().unwrap_or((&*record.topic, record.partition, record.offset));
        match self.id {
            Some(id) => uuid_of(id),
            None => {
                let place = format!("{topic}/{partition}/{offset}");
                Uuid::new_v5(&Uuid::NAMESPACE_URL, place.as_bytes())
            }
        }
    }
}

impl TraceEntry {
    /// The entry of a record, and the correlation id: the id of the command that began the chain.
    pub(super) fn of(record: &Record, codec: &Codec) -> (Uuid, Self) {
        let found = Found::of(record);
        let id = found.record_id(record);
        let value = record.value.as_deref();
        let schema_id = value.and_then(|value| Some(schemas::split(value).ok()?.0));
        let known = || Some(codec.open(value?).ok()?.name().to_owned());
        let key = record.key.as_deref();
        let bytes = wire_bytes(key, value, &record.headers);
        let entry = Self {
            topic: record.topic.to_string(),
            partition: record.partition,
            offset: record.offset,
            at_ms: record.timestamp_ms,
            key: key.map(short_lossy).filter(|key| !names_address(&record.topic, key)),
            kind: found.kind.map(short).or_else(known),
            schema_id,
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            id,
            caused_by: found.causation.map(uuid_of),
            version: found.version.and_then(|version| version.parse().ok()),
            source: found.source.map(short),
            is_decided: found.is_decided,
        };
        (found.correlation.map_or(id, uuid_of), entry)
    }

    /// Whether it is a dead letter.
    pub fn is_dead(&self) -> bool {
        self.topic.ends_with(".dead")
    }
}

/// Whether a record's key is the fingerprint of an e-mail address, which nobody reads. Commands and
/// events about a parked record have its key in topics of their own.
pub fn names_address(topic: &str, key: &str) -> bool {
    let is_hex_digit = |it: u8| it.is_ascii_digit() || (b'a'..=b'f').contains(&it);
    let is_fingerprint = || key.len() == FINGERPRINT_DIGITS && key.bytes().all(is_hex_digit);
    topic.starts_with("email.") || is_fingerprint()
}

/// The UUID that a text is, or one that is derived from it, as the engine does with ids.
fn uuid_of(text: &str) -> Uuid {
    text.parse().unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes()))
}

fn short_lossy(key: &[u8]) -> String {
    short(&String::from_utf8_lossy(key))
}

/// The beginning of a text.
fn short(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_MAX)].to_owned()
}

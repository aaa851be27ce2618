//! The names of the headers that stand beside a value, and those of their values that never change.
//!
//! The Avro record `millrace.Metadata` is their contract. They follow the CloudEvents binding for
//! Kafka in binary mode and are UTF-8 text. This module neither reads nor writes them.

/// The version of CloudEvents: [`CLOUD_EVENTS`].
pub const SPEC_VERSION: &str = "ce_specversion";
/// The record's id, a UUID; on a command the command id.
pub const ID: &str = "ce_id";
/// The full name of the value's record.
pub const TYPE: &str = "ce_type";
/// Who wrote it, such as `/millrace/order`.
pub const SOURCE: &str = "ce_source";
/// When it came about, RFC 3339.
pub const TIME: &str = "ce_time";
/// The aggregate id: the record's key.
pub const SUBJECT: &str = "ce_subject";
/// What the value is: [`AVRO`].
pub const CONTENT_TYPE: &str = "content-type";
/// The id of the command that began it all.
pub const CORRELATION_ID: &str = "ce_correlationid";
/// The id of the record that directly caused this one.
pub const CAUSATION_ID: &str = "ce_causationid";
/// The W3C trace context.
pub const TRACE_PARENT: &str = "traceparent";
/// The aggregate's version after an event, in decimal digits; on events and states.
pub const VERSION: &str = "ce_version";
/// Who is behind it. A command without it is an operator's.
pub const PRINCIPAL: &str = "ce_principal";
/// On commands: the keyed hash of the canonical request, in hexadecimal digits.
pub const FINGERPRINT: &str = "ce_fingerprint";

/// The value of [`SPEC_VERSION`].
pub const CLOUD_EVENTS: &str = "1.0";
/// The value of [`CONTENT_TYPE`].
pub const AVRO: &str = "avro/binary";

/// All names, in the order of the contract's fields.
pub const ALL: [&str; 13] = [
    SPEC_VERSION,
    ID,
    TYPE,
    SOURCE,
    TIME,
    SUBJECT,
    CONTENT_TYPE,
    CORRELATION_ID,
    CAUSATION_ID,
    TRACE_PARENT,
    VERSION,
    PRINCIPAL,
    FINGERPRINT,
];

#[cfg(test)]
mod tests {
    use crate::{Metadata, Record};

    #[test]
    fn names_are_those_of_the_contract() {
        let contract: serde_json::Value =
            serde_json::from_str(Metadata::SCHEMA.json).expect("JSON");
        let fields: Vec<_> = contract["fields"]
            .as_array()
            .expect("fields")
            .iter()
            .map(|field| field["name"].as_str().expect("a name"))
            .collect();

        // Avro names have no hyphen.
        assert_eq!(super::ALL.map(|name| name.replace('-', "_")).to_vec(), fields);
    }
}

//! The names of the headers beside a value, and the constant values of some of them.
//!
//! The Avro record `millrace.Metadata` defines them. They follow the CloudEvents binding for
//! Kafka in binary mode and are UTF-8 text. This module neither reads nor writes them.

/// The version of CloudEvents: [`CLOUD_EVENTS`].
pub const SPEC_VERSION: &str = "ce_specversion";
/// The record's id, a UUID; for a command, the command id.
pub const ID: &str = "ce_id";
/// The full name of the record.
pub const TYPE: &str = "ce_type";
/// The writer, such as `/millrace/order`.
pub const SOURCE: &str = "ce_source";
/// The time of its creation, RFC 3339.
pub const TIME: &str = "ce_time";
/// The aggregate id: the record's key.
pub const SUBJECT: &str = "ce_subject";
/// The encoding of the value: [`AVRO`].
pub const CONTENT_TYPE: &str = "content-type";
/// The id of the command that started the chain of records.
pub const CORRELATION_ID: &str = "ce_correlationid";
/// The id of the record that directly caused this one.
pub const CAUSATION_ID: &str = "ce_causationid";
/// The W3C trace context.
pub const TRACE_PARENT: &str = "traceparent";
/// The aggregate's version after the event, in decimal digits; on events and states.
pub const VERSION: &str = "ce_version";
/// The principal who caused it. A command without this header is an operator's.
pub const PRINCIPAL: &str = "ce_principal";
/// On commands: the keyed hash of the canonical request, in hexadecimal digits.
pub const FINGERPRINT: &str = "ce_fingerprint";

/// The value of [`SPEC_VERSION`].
pub const CLOUD_EVENTS: &str = "1.0";
/// The value of [`CONTENT_TYPE`].
pub const AVRO: &str = "avro/binary";

/// All names, in the order of the fields of `millrace.Metadata`.
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
    fn header_names_are_the_fields_of_metadata() {
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

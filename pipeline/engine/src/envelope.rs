//! The headers of records: ids, causes and principals, read from an input and written to the
//! records that it causes.
//!
//! Headers follow the CloudEvents Kafka binding in binary mode. The ids of the records that an
//! input causes are derived from the input's id, so a second decision gives the same ids. No id
//! here is random.

use bytes::Bytes;
use redpanda::{
    log::{Headers, Record},
    spans,
};
use schemas::headers as name;
use uuid::Uuid;

use crate::{bounds::HEADER_BYTES_MAX, error::InputError};

/// The principal of a record without one: it was written with `rpk`.
const OPERATOR: &str = "operator";
/// The principal of a record whose principal is too long.
const UNKNOWN_PRINCIPAL: &str = "nobody";
/// The headers that are copied to the records that an input causes.
const COPIED: [&str; 4] =
    [name::CORRELATION_ID, name::PRINCIPAL, name::FINGERPRINT, name::TRACE_PARENT];

/// What an input's headers say. A timer has an envelope too, without headers.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    /// The record's own id, or an id derived from its topic, partition and offset.
    pub(crate) id: Uuid,
    /// The correlation id; `None` if this input is the first of its chain.
    correlation: Option<Bytes>,
    /// The sender.
    pub(crate) principal: Bytes,
    /// The fingerprint of the request, on commands.
    pub(crate) fingerprint: Option<String>,
    /// The W3C trace context of the records that this input causes.
    pub(crate) traceparent: Option<Bytes>,
    /// The name and length of a header that is too long to be copied. The header is left out, and
    /// [`Self::check`] fails.
    excess: Option<(&'static str, usize)>,
}

impl Envelope {
    /// Reads the headers of `record`.
    pub(crate) fn of(record: &Record) -> Self {
        let (mut id, mut excess) = (None, None);
        let (mut correlation, mut principal) = (None, None);
        let (mut fingerprint, mut traceparent) = (None, None);
        for (name, value) in record.headers.iter() {
            let text = || std::str::from_utf8(value).ok();
            // All names that are read here are text.
            let name = std::str::from_utf8(name).unwrap_or_default();
            let long =
                COPIED.into_iter().find(|copied| *copied == name && value.len() > HEADER_BYTES_MAX);
            if let Some(name) = long {
                excess = Some((name, value.len()));
                continue;
            }
            match name {
                name::ID => id = text(),
                name::CORRELATION_ID => correlation = Some(Bytes::copy_from_slice(value)),
                name::PRINCIPAL => principal = text().map(|_| Bytes::copy_from_slice(value)),
                name::FINGERPRINT => fingerprint = text().map(str::to_owned),
                name::TRACE_PARENT => traceparent = Some(Bytes::copy_from_slice(value)),
                _ => {}
            }
        }
        let id = match id {
            Some(id) => id.parse().unwrap_or_else(|_| derive(&Uuid::NAMESPACE_OID, id)),
            None => derive(
                &Uuid::NAMESPACE_URL,
                &format!("{}/{}/{}", record.topic, record.partition, record.offset),
            ),
        };
        let principal = principal.unwrap_or(Bytes::from_static(match excess {
            Some((name::PRINCIPAL, _)) => UNKNOWN_PRINCIPAL.as_bytes(),
            _ => OPERATOR.as_bytes(),
        }));
        let traceparent = traceparent.map(|found| spans::passed_on(found, id.into_bytes()));
        Self { id, correlation, principal, fingerprint, traceparent, excess }
    }

    /// Checks that the records that this input causes can carry its headers.
    pub(crate) fn check(&self) -> Result<(), InputError> {
        let too_long = |(name, bytes)| Err(InputError::HeaderTooLong { name, bytes });
        self.excess.map_or(Ok(()), too_long)
    }

    /// The envelope of a timer.
    pub(crate) fn of_timer(context: &str, key: &str, timer: &str, due_ms: i64) -> Self {
        Self {
            id: derive(&Uuid::NAMESPACE_OID, &format!("{context}/{key}/{timer}/{due_ms}")),
            correlation: None,
            principal: Bytes::from_static(b"system"),
            fingerprint: None,
            traceparent: None,
            excess: None,
        }
    }

    /// The same with another correlation id: of what it causes for a command that is pending.
    pub(crate) fn correlated(self, correlation: &str) -> Self {
        Self { correlation: Some(Bytes::copy_from_slice(correlation.as_bytes())), ..self }
    }

    /// The same with the principal of `other`: of a command that is decided in its sender's name.
    pub(crate) fn in_the_name_of(&self, other: &Self) -> Self {
        Self { principal: other.principal.clone(), ..self.clone() }
    }

    /// The correlation id as text.
    pub(crate) fn correlation(&self) -> String {
        let own = || self.id.hyphenated().to_string();
        self.correlation
            .as_ref()
            .map_or_else(own, |found| String::from_utf8_lossy(found).into_owned())
    }

    /// The principal as text.
    pub(crate) fn principal(&self) -> &str {
        std::str::from_utf8(&self.principal).unwrap_or(OPERATOR)
    }
}

/// An id derived from another id and a word.
pub(crate) fn derive(from: &Uuid, word: &str) -> Uuid {
    Uuid::new_v5(from, word.as_bytes())
}

/// Writes the headers of the records that inputs of one time cause.
#[derive(Clone, Debug)]
pub(crate) struct Stamp {
    at_ms: i64,
    source: Bytes,
    time: Bytes,
}

/// The headers that differ between the records that one input causes.
pub(crate) struct RecordHeaders<'a> {
    pub(crate) id: Uuid,
    /// The full name of the record's type.
    pub(crate) name: &'a str,
    pub(crate) key: &'a str,
    pub(crate) causation: Uuid,
    pub(crate) version: Option<i64>,
}

impl Stamp {
    /// A stamp for records of `source` with the time `at_ms`.
    pub(crate) fn new(source: Bytes, at_ms: i64) -> Self {
        let time = jiff::Timestamp::from_millisecond(at_ms).unwrap_or_default();
        Self { at_ms, source, time: format!("{time:.3}").into() }
    }

    /// The stamp for another time. The broker gives all records of a batch the same time, so the
    /// text of the time is formatted again only when it changes.
    pub(crate) fn at(&mut self, at_ms: i64) -> &Self {
        if self.at_ms != at_ms {
            *self = Self::new(self.source.clone(), at_ms);
        }
        self
    }

    /// The headers of a record that the input of `envelope` causes.
    pub(crate) fn headers(&self, envelope: &Envelope, record: RecordHeaders<'_>) -> Headers {
        let mut headers = Headers::with_capacity(512);
        let push_id = |headers: &mut Headers, name, id: &Uuid| {
            headers.push(name, id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
        };
        headers.push(name::SPEC_VERSION, name::CLOUD_EVENTS);
        push_id(&mut headers, name::ID, &record.id);
        headers.push(name::TYPE, record.name);
        headers.push(name::SOURCE, &self.source);
        headers.push(name::TIME, &self.time);
        headers.push(name::SUBJECT, record.key);
        headers.push(name::CONTENT_TYPE, name::AVRO);
        match &envelope.correlation {
            Some(correlation) => headers.push(name::CORRELATION_ID, correlation),
            None => push_id(&mut headers, name::CORRELATION_ID, &envelope.id),
        }
        push_id(&mut headers, name::CAUSATION_ID, &record.causation);
        headers.push(name::PRINCIPAL, &envelope.principal);
        if let Some(version) = record.version {
            headers.push(name::VERSION, version.to_string());
        }
        if let Some(trace) = &envelope.traceparent {
            headers.push(name::TRACE_PARENT, trace);
        }
        headers
    }
}

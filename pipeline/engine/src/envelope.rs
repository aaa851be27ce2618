//! What stands around a payload: ids, causes and principals, read from a record's headers and
//! written to them.
//!
//! Headers follow the CloudEvents Kafka binding in binary mode. Ids of what an input causes are
//! derived from the input's id, so that deciding again gives the same ids.

use bytes::Bytes;
use redpanda::log::{Headers, Record};
use schemas::headers as name;
use uuid::Uuid;

/// The longest key that a record may have.
pub(crate) const KEY_BYTES_MAX: usize = 1_024;
/// The longest value of a header that goes on to what follows from a record.
const HEADER_BYTES_MAX: usize = 1_024;
/// The longest reason that a dead letter, a parked record or an outcome carries.
const REASON_BYTES_MAX: usize = 2_000;

/// `reason`, cut to what a dead letter, a parked record or an outcome may carry of it.
pub(crate) fn shortened(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)]
}

/// The principal of a record that carries none: whoever may write to the topic with `rpk`.
const OPERATOR: &str = "operator";
/// The principal of a record whose own is too long to be one.
const NOBODY: &str = "nobody";
/// The headers that go on to what follows from a record.
const COPIED: [&str; 4] =
    [name::CORRELATION_ID, name::PRINCIPAL, name::FINGERPRINT, name::TRACE_PARENT];

/// What is known of an input beside its payload.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    /// The record's own id, or one derived from where it stands.
    pub(crate) id: Uuid,
    /// The id of the request that began it all; `None` where that is this one.
    correlation: Option<Bytes>,
    /// Who sent it.
    pub(crate) principal: Bytes,
    /// The fingerprint of the request, on commands.
    pub(crate) fingerprint: Option<String>,
    /// The W3C trace that it belongs to.
    pub(crate) traceparent: Option<Bytes>,
    /// A header that is too long to go on to what follows. It was left out, and its record is not
    /// worked on.
    excess: Option<(&'static str, usize)>,
}

impl Envelope {
    /// Reads the headers of `record`.
    pub(crate) fn of(record: &Record) -> Self {
        let (mut id, mut correlation, mut principal, mut fingerprint, mut traceparent) =
            (None, None, None, None, None);
        let mut excess = None;
        for (name, value) in record.headers.iter() {
            let text = || std::str::from_utf8(value).ok();
            // No name of ours is anything but text.
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
            Some((name::PRINCIPAL, _)) => NOBODY.as_bytes(),
            _ => OPERATOR.as_bytes(),
        }));
        Self { id, correlation, principal, fingerprint, traceparent, excess }
    }

    /// Whether what follows from the record can carry what the record says of itself.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.excess.map_or(Ok(()), |(name, length)| {
            Err(format!("its header {name} has {length} bytes, more than {HEADER_BYTES_MAX}"))
        })
    }

    /// The envelope of a timer's firing.
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

    /// The id of the request that began it all, as text.
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

/// An id that follows from another one and a word.
pub(crate) fn derive(from: &Uuid, word: &str) -> Uuid {
    Uuid::new_v5(from, word.as_bytes())
}

/// Writes headers for what inputs of one moment cause.
#[derive(Clone, Debug)]
pub(crate) struct Stamp {
    at_ms: i64,
    source: Bytes,
    time: Bytes,
}

/// What one outgoing record says of itself.
pub(crate) struct About<'a> {
    pub(crate) id: Uuid,
    pub(crate) kind: &'static str,
    pub(crate) key: &'a str,
    pub(crate) causation: Uuid,
    pub(crate) version: Option<i64>,
}

impl Stamp {
    /// For records of `source` about something that happened at `at_ms`.
    pub(crate) fn new(source: Bytes, at_ms: i64) -> Self {
        let time = jiff::Timestamp::from_millisecond(at_ms).unwrap_or_default();
        Self { at_ms, source, time: format!("{time:.3}").into() }
    }

    /// The same about another moment. The broker gives a whole batch one time, so it is mostly the
    /// same.
    pub(crate) fn at(&mut self, at_ms: i64) -> &Self {
        if self.at_ms != at_ms {
            *self = Self::new(self.source.clone(), at_ms);
        }
        self
    }

    /// The headers of `about`, caused by the input of `envelope`.
    pub(crate) fn headers(&self, envelope: &Envelope, about: About<'_>) -> Headers {
        let mut headers = Headers::with_capacity(512);
        let push_id = |headers: &mut Headers, name, id: &Uuid| {
            headers.push(name, id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
        };
        headers.push(name::SPEC_VERSION, name::CLOUD_EVENTS);
        push_id(&mut headers, name::ID, &about.id);
        headers.push(name::TYPE, about.kind);
        headers.push(name::SOURCE, &self.source);
        headers.push(name::TIME, &self.time);
        headers.push(name::SUBJECT, about.key);
        headers.push(name::CONTENT_TYPE, name::AVRO);
        match &envelope.correlation {
            Some(correlation) => headers.push(name::CORRELATION_ID, correlation),
            None => push_id(&mut headers, name::CORRELATION_ID, &envelope.id),
        }
        push_id(&mut headers, name::CAUSATION_ID, &about.causation);
        headers.push(name::PRINCIPAL, &envelope.principal);
        if let Some(version) = about.version {
            headers.push(name::VERSION, version.to_string());
        }
        if let Some(trace) = &envelope.traceparent {
            headers.push(name::TRACE_PARENT, trace);
        }
        headers
    }
}

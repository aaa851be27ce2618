//! What stands around a payload: ids, causes and principals, read from a record's headers and written to them.
//!
//! Headers follow the CloudEvents Kafka binding in binary mode. Ids of what an input causes are derived from the
//! input's id, so that deciding again gives the same ids.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use redpanda::log::{Headers, Record};
use schemas::headers as name;
use uuid::Uuid;

/// The principal of a record that carries none: whoever may write to the topic with `rpk`.
const OPERATOR: &str = "operator";

/// What is known of an input beside its payload.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    /// The record's own id, or one derived from where it stands.
    pub(crate) id: Uuid,
    /// The id of the request that began it all.
    pub(crate) correlation: Bytes,
    /// Who sent it.
    pub(crate) principal: Bytes,
    /// The fingerprint of the request, on commands.
    pub(crate) fingerprint: Option<String>,
    /// The W3C trace that it belongs to.
    pub(crate) traceparent: Option<Bytes>,
}

impl Envelope {
    /// Reads the headers of `record`.
    pub(crate) fn of(record: &Record) -> Self {
        let id = match record.headers.text(name::ID) {
            Some(id) => id.parse().unwrap_or_else(|_| derive(&Uuid::NAMESPACE_OID, id)),
            None => derive(
                &Uuid::NAMESPACE_URL,
                &format!("{}/{}/{}", record.topic, record.partition, record.offset),
            ),
        };
        let bytes = |name| record.headers.get(name).cloned();
        Self {
            id,
            correlation: bytes(name::CORRELATION_ID).unwrap_or_else(|| id.to_string().into()),
            principal: bytes(name::PRINCIPAL)
                .filter(|principal| std::str::from_utf8(principal).is_ok())
                .unwrap_or(Bytes::from_static(OPERATOR.as_bytes())),
            fingerprint: record.headers.text(name::FINGERPRINT).map(str::to_owned),
            traceparent: bytes(name::TRACE_PARENT),
        }
    }

    /// The envelope of a timer's firing.
    pub(crate) fn of_timer(context: &str, key: &str, timer: &str, due_ms: i64) -> Self {
        let id = derive(&Uuid::NAMESPACE_OID, &format!("{context}/{key}/{timer}/{due_ms}"));
        Self {
            id,
            correlation: id.to_string().into(),
            principal: Bytes::from_static(b"system"),
            fingerprint: None,
            traceparent: None,
        }
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

/// Writes headers for what one input causes.
#[derive(Debug)]
pub(crate) struct Stamp {
    source: Bytes,
    time: Bytes,
}

struct Names {
    spec_version: Arc<str>,
    id: Arc<str>,
    kind: Arc<str>,
    source: Arc<str>,
    time: Arc<str>,
    subject: Arc<str>,
    content_type: Arc<str>,
    correlation: Arc<str>,
    causation: Arc<str>,
    version: Arc<str>,
    principal: Arc<str>,
    trace: Arc<str>,
}

static NAMES: LazyLock<Names> = LazyLock::new(|| Names {
    spec_version: name::SPEC_VERSION.into(),
    id: name::ID.into(),
    kind: name::TYPE.into(),
    source: name::SOURCE.into(),
    time: name::TIME.into(),
    subject: name::SUBJECT.into(),
    content_type: name::CONTENT_TYPE.into(),
    correlation: name::CORRELATION_ID.into(),
    causation: name::CAUSATION_ID.into(),
    version: name::VERSION.into(),
    principal: name::PRINCIPAL.into(),
    trace: name::TRACE_PARENT.into(),
});

/// What one outgoing record says of itself.
pub(crate) struct About<'a> {
    pub(crate) id: Uuid,
    pub(crate) kind: &'static str,
    pub(crate) key: &'a Bytes,
    pub(crate) causation: Uuid,
    pub(crate) version: Option<i64>,
}

impl Stamp {
    /// For records of `source` about something that happened at `at_ms`.
    pub(crate) fn new(source: Bytes, at_ms: i64) -> Self {
        let time = jiff::Timestamp::from_millisecond(at_ms).unwrap_or_default();
        Self { source, time: format!("{time:.3}").into() }
    }

    /// The headers of `about`, caused by the input of `envelope`.
    pub(crate) fn headers(&self, envelope: &Envelope, about: About<'_>) -> Headers {
        let names = &*NAMES;
        let text = |uuid: Uuid| Bytes::from(uuid.hyphenated().to_string());
        let mut headers = Headers(Vec::with_capacity(12));
        headers.push(names.spec_version.clone(), &b"1.0"[..]);
        headers.push(names.id.clone(), text(about.id));
        headers.push(names.kind.clone(), about.kind.as_bytes());
        headers.push(names.source.clone(), self.source.clone());
        headers.push(names.time.clone(), self.time.clone());
        headers.push(names.subject.clone(), about.key.clone());
        headers.push(names.content_type.clone(), name::AVRO.as_bytes());
        headers.push(names.correlation.clone(), envelope.correlation.clone());
        headers.push(names.causation.clone(), text(about.causation));
        headers.push(names.principal.clone(), envelope.principal.clone());
        if let Some(version) = about.version {
            headers.push(names.version.clone(), version.to_string());
        }
        if let Some(trace) = &envelope.traceparent {
            headers.push(names.trace.clone(), trace.clone());
        }
        headers
    }

    /// The one header of a changelog record that is not in its payload.
    pub(crate) fn version(version: Option<i64>) -> Headers {
        let mut headers = Headers::default();
        if let Some(version) = version {
            headers.push(NAMES.version.clone(), version.to_string());
        }
        headers
    }
}

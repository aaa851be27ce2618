//! Reads the events of a batch, and checks that their versions follow each other. It decides which
//! records no version of the program can project, and never skips one itself.

use redpanda::log::Record;
use schemas::{Codec, CodecError, Message, headers};
use uuid::Uuid;

use crate::{Cause, StoreError, projection::Batch};

/// An event with the parts of its record that projections use.
#[derive(Debug)]
pub(crate) struct Event<'a, M> {
    /// The aggregate's id.
    pub(crate) key: &'a str,
    /// The aggregate's version after the event.
    pub(crate) version: i64,
    /// The time at which the event was written.
    pub(crate) at: i64,
    /// The id of the command that began the chain, as the record's trace has it.
    pub(crate) command: Option<Uuid>,
    /// The event.
    pub(crate) message: M,
}

/// Reads the events of batches.
pub(crate) fn events<'a, M: Message>(
    batches: &[Batch<'a>],
    codec: &Codec,
) -> Result<Vec<Event<'a, M>>, StoreError> {
    records(batches).map(|record| event(record, codec)).collect()
}

/// The records of batches.
pub(crate) fn records<'a>(batches: &[Batch<'a>]) -> impl Iterator<Item = &'a Record> {
    batches.iter().flat_map(|batch| batch.records)
}

/// Reads one event. Returns an error if its record has no key, no version or no value.
pub(crate) fn event<'a, M: Message>(
    record: &'a Record,
    codec: &Codec,
) -> Result<Event<'a, M>, StoreError> {
    let version = record.headers.text(headers::VERSION).and_then(|version| version.parse().ok());
    Ok(Event {
        key: key(record)?,
        version: version.ok_or_else(|| {
            unfit(record, format!("expected a number in its header {}", headers::VERSION))
        })?,
        at: record.timestamp_ms,
        command: command(record),
        message: message(record, codec)?.ok_or_else(|| unfit(record, "expected a value"))?,
    })
}

/// The id of the command that began the chain of a record; `None` if no header says it.
pub(crate) fn command(record: &Record) -> Option<Uuid> {
    record.headers.text(headers::CORRELATION_ID)?.parse().ok()
}

/// The key of a record. Returns an error if it is not UTF-8.
pub(crate) fn key(record: &Record) -> Result<&str, StoreError> {
    let key = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
    key.ok_or_else(|| unfit(record, "expected a key in UTF-8"))
}

/// Reads the value of a record; `None` for a tombstone.
pub(crate) fn message<M: Message>(record: &Record, codec: &Codec) -> Result<Option<M>, StoreError> {
    let Some(value) = &record.value else { return Ok(None) };
    M::decode(codec, value).map(Some).map_err(|error| undecodable(record, error))
}

/// The error of a record whose value can't be read. A newer version of the program may read what a
/// newer writer wrote. A value that is malformed, or of a type that belongs to another topic, is
/// unfit for every version.
pub(crate) fn undecodable(record: &Record, error: CodecError) -> StoreError {
    let is_unfit = match &error {
        // The registry has been asked: it has no such schema.
        CodecError::UnknownId(_) | CodecError::Malformed { .. } => true,
        CodecError::Unexpected { found, .. } => schemas::named(found).is_some(),
        _ => false,
    };
    let (record, cause) = (name_of(record), Cause::from(error));
    match is_unfit {
        true => StoreError::Unfit { record, cause },
        false => StoreError::Record { record, cause },
    }
}

/// The error of a record that a newer version of the program may read.
pub(crate) fn unreadable(record: &Record, cause: impl Into<Cause>) -> StoreError {
    StoreError::Record { record: name_of(record), cause: cause.into() }
}

/// The error of a record that no version of the program can project.
pub(crate) fn unfit(record: &Record, cause: impl Into<Cause>) -> StoreError {
    StoreError::Unfit { record: name_of(record), cause: cause.into() }
}

fn name_of(record: &Record) -> String {
    format!("{}[{}]@{}", record.topic, record.partition, record.offset)
}

/// Whether an event of version `came` is to be applied to a row, document or key of version `held`.
/// `false` means that it already was. Returns an error if a version between the two is missing.
pub(crate) fn follows(what: &str, key: &str, held: i64, came: i64) -> Result<bool, StoreError> {
    if came <= held {
        return Ok(false);
    }
    if came == held + 1 {
        return Ok(true);
    }
    Err(StoreError::Gap { what: format!("{what} {key}"), held, came })
}

/// The error of an event that can't be the first one of its key.
pub(crate) fn not_first<M: Message>(what: &str, event: &Event<'_, M>) -> StoreError {
    StoreError::Record {
        record: format!("{what} {}@{}", event.key, event.version),
        cause: format!("{} can't come first", event.message.name()).into(),
    }
}

/// The name of a record without its namespace.
pub(crate) fn short_name(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_next_version_follows_and_a_later_one_is_a_gap() {
        assert_eq!(follows("order", "a", 3, 4).ok(), Some(true));
        assert_eq!(follows("order", "a", 3, 3).ok(), Some(false));
        assert_eq!(follows("order", "a", 3, 1).ok(), Some(false));
        let gap = follows("order", "a", 3, 5).expect_err("a gap");
        assert!(matches!(gap, StoreError::Gap { held: 3, came: 5, .. }), "{gap}");
    }
}

//! Tells operators about parked keys, by events on the processor's topic of operations: which
//! records are parked, who has re-driven a key or edited a record, and who has read or sent again
//! a dead letter.
//! What is parked is decided by the changelog; no processor reads these events.

use std::panic::{AssertUnwindSafe, catch_unwind};

use redpanda::log::Record;
use schemas::{
    Message as _, Shown, chain,
    engine::{Event, Parked, RecordParked},
    headers,
};

use super::Task;
use crate::{
    aggregate::{encoded, panic_message},
    bounds::shortened,
    envelope::{Envelope, RecordHeaders, derive},
    error::{InputError, WriteError},
    output::Output,
};

impl Task {
    /// Writes that `record` is parked. If it fails again for the same reason, the event has the
    /// same id.
    pub(super) fn write_parked(
        &mut self,
        key: &str,
        record: &Record,
        parked: &Parked,
        error: &InputError,
        output: &mut Output,
    ) {
        let envelope = Envelope::of(record);
        let error = match error {
            InputError::BehindParked => None,
            _ => Some(parked.error.clone()),
        };
        let id = derive(&envelope.id, &format!("parked {}", error.as_deref().unwrap_or_default()));
        let header = |name: &str| record.headers.text(name);
        let shown = shown(|| Shown::of(&self.codec, header, record.value.as_deref()));
        let event = RecordParked {
            topic: parked.topic.clone(),
            partition: parked.partition,
            offset: parked.offset,
            error,
            record_type: shortened(record.headers.text(headers::TYPE).unwrap_or_default())
                .to_owned(),
            principal: envelope.principal().to_owned(),
            bytes: record.value.as_ref().map(|value| i64::try_from(value.len()).unwrap_or(0)),
            received_at: parked.received_at,
            headers: Some(shown.headers),
            value: shown.value,
            omitted: shown.omitted,
            schema_id: shown.schema_id.map(i64::from),
        };
        self.write_operation(key, record, &envelope, id, event, output);
    }

    /// Writes what an operator has done with the command `record`. The event's id is derived from
    /// the command's, and from `word`.
    pub(super) fn write_action(
        &mut self,
        word: &str,
        key: &str,
        record: &Record,
        envelope: &Envelope,
        event: impl Into<Event>,
        output: &mut Output,
    ) {
        let id = derive(&envelope.id, word);
        self.write_operation(key, record, envelope, id, event, output);
    }

    /// Writes an event that `cause` has. One that can't be written is logged: the decision that it
    /// tells of stands without it.
    fn write_operation(
        &mut self,
        key: &str,
        cause: &Record,
        envelope: &Envelope,
        id: uuid::Uuid,
        event: impl Into<Event>,
        output: &mut Output,
    ) {
        let event = event.into();
        let name = event.name();
        let record = RecordHeaders { id, name, key, causation: envelope.id, version: None };
        let headers = self.stamp.at(cause.timestamp_ms).headers(envelope, record);
        let topic = &self.topology.operations;
        let written = encoded(&event, &self.codec).map_err(WriteError::from).and_then(|value| {
            output.keyed(&self.topology, topic, key.as_bytes(), Some(&value), &headers)
        });
        if let Err(error) = written {
            let error = chain(&error);
            tracing::error!(%topic, key, event = name, error, "an event could not be written");
        }
    }
}

/// What people see of a record. A panic here would end the worker, because the record has failed
/// already and is about to be parked: it is parked without being shown, and `omitted` says why.
pub(super) fn shown(show: impl FnOnce() -> Shown) -> Shown {
    // Unwind safety: nothing is changed by showing a record.
    catch_unwind(AssertUnwindSafe(show)).unwrap_or_else(|panic| {
        let why = format!("the engine panicked when it showed it: {}", panic_message(&*panic));
        let (headers, omitted) = ("{}".to_owned(), Some(shortened(&why).to_owned()));
        Shown { headers, omitted, ..Shown::default() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_that_can_not_be_shown_without_a_panic_is_parked_without_its_value() {
        let shown = shown(|| panic!("a bug"));
        assert_eq!((&*shown.headers, &shown.value), ("{}", &None));
        assert!(shown.omitted.is_some_and(|why| why.ends_with("a bug")));
    }
}

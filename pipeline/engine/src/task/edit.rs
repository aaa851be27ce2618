//! Edits the first parked record of a key: an operator's command applies it with another value, and
//! then the records behind it. An event tells who has done so, when, why, before and after.
//!
//! - Only the first record can be edited: it alone has failed, the others wait for it. So an edit
//!   changes no order.
//! - The record keeps its headers, and with them its id, its correlation and its causation. Its
//!   topic has it as it was, because no record there ever changes.
//! - If the record fails again, everything is undone: an edited value is applied at once, or kept
//!   nowhere.

use redpanda::log::{Headers, Record};
use schemas::{
    Outcome, Shown, Verdict, chain, edited,
    engine::{EditParkedRecord, Parked, ParkedRecordEdited},
    headers,
    json::{self, Misfit},
    refusals,
};

use super::{
    Task, operations::shown, outcome::refused, parked::revived, redrive::STILL_FAILING,
    reveal::other_processor,
};
use crate::{
    bounds::shortened,
    envelope::Envelope,
    error::{Failure, Missing},
    output::Output,
};

/// Why a parked record can't have the command's value.
#[derive(Debug, thiserror::Error)]
enum EditError {
    #[error("the value is no JSON: {0}")]
    NotJson(String),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Misfits(Vec<Misfit>),
    #[error("{0}")]
    NotShown(String),
}

impl Task {
    /// Applies the first parked record of a key with the command's value, and those behind it up to
    /// one that fails.
    pub(super) fn edit(
        &mut self,
        command: EditParkedRecord,
        key: &str,
        record: &Record,
        envelope: &Envelope,
        undecided: Outcome,
        output: &mut Output,
    ) -> Result<Outcome, Missing> {
        let EditParkedRecord { topic, offset, record_type, json, reason } = command;
        let Some(route) = self.topology.route(&topic.as_str().into()) else {
            return Ok(other_processor(undecided, &topic));
        };
        let mut parked = match self.parked_first(&topic, key, Some(offset)) {
            Ok(parked) => parked,
            Err((code, detail)) => return Ok(refused(undecided, code, &detail)),
        };
        let (name, first) = parked.remove(0);
        let (value, before, after) = match self.edited(&record_type, &json, &first) {
            Ok(edited) => edited,
            Err(error) => return Ok(refused(undecided, refusals::INVALID, &chain(&error))),
        };
        let undecided = self.about(Some(route), key, undecided);
        let partition = first.partition;
        let savepoint = self.input_savepoint(output);
        let first = revived(key, first);
        self.unpark(&name, key, &first);
        let first = Record {
            headers: typed(&first.headers, &record_type),
            value: Some(value.into()),
            ..first
        };
        let (own, at_ms) = (Envelope::of(&first), record.timestamp_ms);
        let applied = own.check().map_err(Failure::from);
        match applied
            .and_then(|()| self.follow_up_or_event(route, key, &first, &own, at_ms, output))
        {
            Ok(()) => {}
            Err(Failure::UnknownSchema(unknown)) => return Err(unknown.into()),
            Err(Failure::Permanent(error)) => {
                self.undo(savepoint, output);
                let why = chain(&error);
                let detail = format!("the record at offset {offset} of {topic} still fails: {why}");
                return Ok(refused(undecided, STILL_FAILING, &detail));
            }
        }
        let (released, parked_from) = self.release(key, parked, false, at_ms, output)?;
        let event = ParkedRecordEdited {
            topic,
            partition,
            offset,
            record_type,
            command_id: envelope.id,
            principal: envelope.principal().to_owned(),
            reason: shortened(&reason).to_owned(),
            before,
            after,
            released: released + 1,
            parked_from,
            edited_at: record.timestamp_ms,
        };
        self.write_action("edited", key, record, envelope, event, output);
        let undecided = self.about(Some(route), key, undecided);
        Ok(Outcome { verdict: Verdict::Accepted, ..undecided })
    }

    /// The value in the wire format, and how it is shown before and after.
    fn edited(
        &self,
        record_type: &str,
        json: &str,
        parked: &Parked,
    ) -> Result<(Vec<u8>, Option<String>, String), EditError> {
        let value =
            json::parse(json.as_bytes()).map_err(|error| EditError::NotJson(error.to_string()))?;
        let written = edited::encode(&self.codec, record_type, value, parked.value.as_deref());
        let bytes = written.map_err(EditError::Misfits)?;
        let shown = |bytes: &[u8]| shown(|| Shown::of(&self.codec, |_| None, Some(bytes)));
        let Shown { value: after, omitted, .. } = shown(&bytes);
        // The event tells what was written, so a value that it can't show is not written.
        let after = after.ok_or_else(|| EditError::NotShown(omitted.unwrap_or_default()))?;
        let before = parked.value.as_deref().and_then(|bytes| shown(bytes).value);
        Ok((bytes, before, after))
    }
}

/// The same headers with this type of record.
fn typed(before: &Headers, record_type: &str) -> Headers {
    let mut after = Headers::default();
    for (name, value) in before.iter().filter(|(name, _)| *name != headers::TYPE.as_bytes()) {
        after.push(name, value);
    }
    after.push(headers::TYPE, record_type);
    after
}

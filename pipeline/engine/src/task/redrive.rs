//! Re-drives a parked key: an operator's command applies the parked records again, in order. An
//! event tells who has done so, why, and with which result.

use redpanda::log::Record;
use schemas::{
    Outcome, Verdict,
    engine::{KeyRedriven, Parked, Redrive},
};

use super::{
    Queue, Task,
    apply::Queueing,
    outcome::refused,
    parked::{bytes_of, queue_name, revived},
};
use crate::{
    bounds::shortened,
    changelog::NAME_SEPARATOR,
    envelope::Envelope,
    error::{InputError, Missing},
    output::Output,
};

/// The code of a re-drive command for a key without parked records.
const NOTHING_PARKED: &str = "nothing_parked";
/// The code of a re-drive command that names another record as the first one than the one that is.
const OTHER_FIRST: &str = "other_record_first";
/// The code of an operator's command that stopped at a record that still fails.
pub(super) const STILL_FAILING: &str = "still_failing";

impl Task {
    /// Applies the parked records of a key in order, up to the first one that still fails.
    pub(super) fn redrive(
        &mut self,
        command: Redrive,
        key: &str,
        record: &Record,
        envelope: &Envelope,
        undecided: Outcome,
        output: &mut Output,
    ) -> Result<Outcome, Missing> {
        let Redrive { topic, drop_first, reason, first_offset } = command;
        let parked = match self.parked_first(&topic, key, first_offset) {
            Ok(parked) => parked,
            Err((code, detail)) => return Ok(refused(undecided, code, &detail)),
        };
        let dropped_offset = parked.first().map(|(_, first)| first.offset).filter(|_| drop_first);
        let at_ms = record.timestamp_ms;
        let (released, parked_from) = self.release(key, parked, drop_first, at_ms, output)?;
        let event = KeyRedriven {
            topic: topic.clone(),
            command_id: envelope.id,
            principal: envelope.principal().to_owned(),
            reason: reason.map(|reason| shortened(&reason).to_owned()),
            released,
            dropped_offset,
            parked_from,
            redriven_at: record.timestamp_ms,
        };
        self.write_action("redriven", key, record, envelope, event, output);
        let undecided = self.about(self.topology.route(&topic.as_str().into()), key, undecided);
        Ok(match parked_from {
            Some(offset) => {
                let detail = format!("the record at offset {offset} of {topic} still fails");
                refused(undecided, STILL_FAILING, &detail)
            }
            None => Outcome { verdict: Verdict::Accepted, ..undecided },
        })
    }

    /// Applies the records `parked` in order, or gives up the first one. They are decided at
    /// `at_ms`, the time of the operator's command, because their deadlines count from their
    /// decision. Returns how many are no longer parked, and the offset of the one that has failed
    /// again.
    pub(super) fn release(
        &mut self,
        key: &str,
        parked: Vec<(String, Parked)>,
        mut drop_first: bool,
        at_ms: i64,
        output: &mut Output,
    ) -> Result<(i32, Option<i64>), Missing> {
        let mut released = 0;
        for (name, parked) in parked {
            let record = revived(key, parked);
            self.unpark(&name, key, &record);
            if std::mem::take(&mut drop_first) {
                if let Some(route) = self.topology.route(&record.topic) {
                    let envelope = Envelope::of(&record);
                    let error = InputError::DroppedByRedrive;
                    self.bury(&record, &envelope, route, key, &error, output);
                }
            } else {
                let before = self.input_savepoint(output);
                self.route(&record, output, Queueing::Ignored { at_ms })?;
                // A record whose changes are too large fails by itself, and not the command.
                if let Err(error) = self.check_changes(&before.tables) {
                    self.undo(before, output);
                    self.park(key, &record, error, output);
                }
                // A record that fails again is parked again, under the same name.
                if self.parked.get(&name).is_some() {
                    return Ok((released, Some(record.offset)));
                }
            }
            released += 1;
        }
        Ok((released, None))
    }

    /// Takes a record out of the queue of its key.
    pub(super) fn unpark(&mut self, name: &str, key: &str, record: &Record) {
        let bytes = bytes_of(key, record);
        self.parked.put(name, None);
        self.count(&queue_name(&record.topic, key), |queue| Queue {
            count: queue.count.saturating_sub(1),
            bytes: queue.bytes.saturating_sub(bytes),
        });
    }

    /// The parked records of a key by offset, of which the first one is at `first_offset` if that
    /// is given; or code and detail of the refusal. There is at least one.
    pub(super) fn parked_first(
        &self,
        topic: &str,
        key: &str,
        first_offset: Option<i64>,
    ) -> Result<Vec<(String, Parked)>, (&'static str, String)> {
        let parked = self.parked_in(&queue_name(topic, key));
        let Some((_, first)) = parked.first() else {
            return Err((NOTHING_PARKED, format!("no record of key {key:?} in {topic} is parked")));
        };
        // Two operators may have seen the same record: the second one must not change the next.
        if let Some(expected) = first_offset.filter(|expected| *expected != first.offset) {
            let detail = format!(
                "the first parked record of key {key:?} in {topic} is at offset {}, not {expected}",
                first.offset
            );
            return Err((OTHER_FIRST, detail));
        }
        Ok(parked)
    }

    /// The parked records of a queue, by offset.
    fn parked_in(&self, queue: &str) -> Vec<(String, Parked)> {
        let prefix = format!("{queue}{NAME_SEPARATOR}");
        let mut parked: Vec<(String, Parked)> = self
            .parked
            .iter()
            .filter(|(name, _)| name.starts_with(&prefix))
            .map(|(name, parked)| (name.to_owned(), parked.clone()))
            .collect();
        parked.sort_by_key(|(_, parked)| parked.offset);
        parked
    }
}

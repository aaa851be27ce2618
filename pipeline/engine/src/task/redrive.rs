//! Re-drives a parked key: an operator's command applies the parked records again, in order.

use redpanda::log::Record;
use schemas::{
    Message, Outcome, Verdict, chain,
    engine::{Parked, Redrive},
};

use super::{
    Queue, Task,
    apply::Queueing,
    outcome::refused,
    parked::{bytes_of, queue_name, revived},
};
use crate::{
    changelog::NAME_SEPARATOR,
    envelope::Envelope,
    error::{Failure, InputError, UnknownSchema},
    output::Output,
};

/// The code of a re-drive command that can't be decoded.
const MALFORMED: &str = "malformed";
/// The code of a re-drive command for a key without parked records.
const NOTHING_PARKED: &str = "nothing_parked";
/// The code of a re-drive command that stopped at a record that still fails.
const STILL_FAILING: &str = "still_failing";

impl Task {
    /// Applies the parked records of a key in order, up to the first one that still fails.
    pub(super) fn redrive(
        &mut self,
        key: &str,
        command: &Record,
        undecided: Outcome,
        output: &mut Output,
    ) -> Result<Outcome, UnknownSchema> {
        let value = command.value.as_deref().unwrap_or_default();
        let decoded = Redrive::decode(&self.codec, value).map_err(Failure::from);
        let Redrive { topic, drop_first } = match decoded {
            Ok(redrive) => redrive,
            Err(Failure::UnknownSchema(unknown)) => return Err(unknown),
            Err(Failure::Permanent(error)) => {
                return Ok(refused(undecided, MALFORMED, &chain(&error)));
            }
        };
        let queue = queue_name(&topic, key);
        let waiting = self.parked_in(&queue);
        if waiting.is_empty() {
            let detail = format!("no record of key {key:?} in {topic} is parked");
            return Ok(refused(undecided, NOTHING_PARKED, &detail));
        }
        let mut first = true;
        for (name, parked) in waiting {
            let record = revived(key, parked);
            let bytes = bytes_of(key, &record);
            self.parked.put(&name, None);
            self.count(&queue, |queue| Queue {
                count: queue.count.saturating_sub(1),
                bytes: queue.bytes.saturating_sub(bytes),
            });
            if std::mem::take(&mut first) && drop_first {
                if let Some(route) = self.topology.route(&record.topic) {
                    let envelope = Envelope::of(&record);
                    let error = InputError::DroppedByRedrive;
                    self.bury(&record, &envelope, route, key, &error, output);
                }
                continue;
            }
            self.route(&record, output, Queueing::Ignored)?;
            // A record that fails again is parked again, under the same name.
            if self.parked.get(&name).is_some() {
                let detail =
                    format!("the record at offset {} of {topic} still fails", record.offset);
                return Ok(refused(undecided, STILL_FAILING, &detail));
            }
        }
        Ok(Outcome { verdict: Verdict::Accepted, ..undecided })
    }

    /// The parked records of a queue, by offset.
    fn parked_in(&self, queue: &str) -> Vec<(String, Parked)> {
        let prefix = format!("{queue}{NAME_SEPARATOR}");
        let mut waiting: Vec<(String, Parked)> = self
            .parked
            .iter()
            .filter(|(name, _)| name.starts_with(&prefix))
            .map(|(name, parked)| (name.to_owned(), parked.clone()))
            .collect();
        waiting.sort_by_key(|(_, parked)| parked.offset);
        waiting
    }
}

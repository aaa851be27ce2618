//! What becomes of a record that fails for good: a failed command is a dead letter and has a failed
//! outcome; a failed follow-up or event is parked. Nothing here stops a worker.

use domain::refusals::FAILED;
use redpanda::log::Record;
use schemas::{Outcome, chain};

use super::Task;
use crate::{
    bounds::shortened, envelope::Envelope, error::InputError, output::Output, topology::Route,
};

impl Task {
    /// Gives up a record that can't be applied: its command fails, or its key is parked.
    pub(crate) fn fail(&mut self, record: &Record, error: InputError, output: &mut Output) {
        let envelope = Envelope::of(record);
        match (self.key_of(record), self.topology.route(&record.topic)) {
            (Ok(key), Some(route @ Route::Commands(_))) => {
                self.bury(record, &envelope, route, key, &error, output);
            }
            (Ok(key), Some(_)) => self.park(key, record, error, output),
            (Err(key), Some(route)) => {
                let error = InputError::WithKey { error: Box::new(error), key };
                self.bury(record, &envelope, route, "", &error, output);
            }
            (_, None) => {}
        }
        self.applied(record);
    }

    /// Writes a dead letter, and ends the record's command as failed, unless it is a repeat of a
    /// command that was decided: a malformed repeat changes nothing.
    pub(super) fn bury(
        &mut self,
        record: &Record,
        envelope: &Envelope,
        route: Route,
        key: &str,
        error: &InputError,
        output: &mut Output,
    ) {
        let error = chain(error);
        let error = shortened(&error);
        let (topic, partition, offset) = (&record.topic, record.partition, record.offset);
        tracing::error!(%topic, partition, offset, key, error, "a record became a dead letter");
        self.metrics.dead_letter(topic);
        if let Err(error) = output.dead_letter(&self.topology, record, error) {
            let error = chain(&error);
            tracing::error!(%topic, partition, offset, error, "a dead letter can't be written");
        }
        let Route::Commands(index) = route else { return };
        let at_ms = record.timestamp_ms;
        let known = self.dedup.get(&envelope.id.hyphenated().to_string());
        match known.map(|command| command.outcome.clone()) {
            Some(Some(outcome)) => self.repeat(&outcome, envelope, at_ms, output),
            // Its saga ends it.
            Some(None) => {}
            None => {
                let outcome = Outcome {
                    code: Some(FAILED.to_owned()),
                    detail: Some(error.to_owned()),
                    ..self.undecided(index, key, record, envelope)
                };
                self.conclude(outcome, envelope, at_ms, output);
            }
        }
    }
}

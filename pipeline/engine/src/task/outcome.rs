//! Outcomes: builds them, writes them to the topic of outcomes, and keeps them for deduplication.
//! Nothing here decides on a command.

use redpanda::log::Record;
use schemas::{Outcome, Record as _, Verdict, chain, engine::Handled, headers, refusals};

use super::Task;
use crate::{
    aggregate::encoded,
    bounds::shortened,
    envelope::{Envelope, RecordHeaders, derive},
    error::WriteError,
    output::Output,
    topology::Route,
};

/// `outcome` as a refusal. What is not there has no version: the decider may say so of another
/// user's aggregate, and its version would tell that it exists and how often it changes.
pub(super) fn refused(outcome: Outcome, code: &str, detail: &str) -> Outcome {
    Outcome {
        verdict: Verdict::Refused,
        version: if code == refusals::NOT_FOUND { 0 } else { outcome.version },
        code: Some(code.to_owned()),
        detail: Some(shortened(detail).to_owned()),
        ..outcome
    }
}

impl Task {
    /// The outcome of a command before a decision: failed, without a code.
    pub(super) fn undecided(
        &self,
        index: usize,
        key: &str,
        record: &Record,
        envelope: &Envelope,
    ) -> Outcome {
        let command_type = record.headers.text(headers::TYPE).unwrap_or_default();
        Outcome {
            command_id: envelope.id,
            command_type: shortened(command_type).to_owned(),
            verdict: Verdict::Failed,
            code: None,
            detail: None,
            aggregate: self.topology.aggregates[index].context.to_owned(),
            aggregate_id: key.to_owned(),
            version: self.aggregates[index].version(key),
            principal: envelope.principal().to_owned(),
            fingerprint: envelope.fingerprint.clone(),
            decided_at: record.timestamp_ms,
        }
    }

    /// The same outcome, about the aggregate that records of this route are for. It may be of
    /// another context than the topic of an operator's command.
    pub(super) fn about(&self, route: Option<Route>, key: &str, undecided: Outcome) -> Outcome {
        match route {
            Some(Route::Commands(index) | Route::FollowUps(index)) => Outcome {
                aggregate: self.topology.aggregates[index].context.to_owned(),
                version: self.aggregates[index].version(key),
                ..undecided
            },
            Some(Route::Policy(_)) | None => undecided,
        }
    }

    /// Ends a command: writes its outcome for the first time, and keeps it for repeats. An outcome
    /// that can't be written is logged: only a wrong topology or schema can cause it, and failing
    /// the input again would try to write the same outcome.
    pub(super) fn conclude(
        &mut self,
        outcome: Outcome,
        envelope: &Envelope,
        at_ms: i64,
        output: &mut Output,
    ) {
        let command_id = outcome.command_id;
        if let Err(error) = self.try_conclude(outcome, envelope, at_ms, output) {
            let error = chain(&error);
            tracing::error!(command.id = %command_id, error, "an outcome could not be written");
        }
    }

    /// Ends a command, like [`Self::conclude`].
    ///
    /// # Errors
    /// Fails if the outcome can't be written. Then the task keeps nothing either.
    pub(super) fn try_conclude(
        &mut self,
        outcome: Outcome,
        envelope: &Envelope,
        at_ms: i64,
        output: &mut Output,
    ) -> Result<(), WriteError> {
        self.write_outcome(&outcome, envelope, at_ms, output)?;
        self.metrics.outcome(&outcome);
        let id = outcome.command_id.hyphenated().to_string();
        let received_at = self.dedup.get(&id).map_or(at_ms, |entry| entry.received_at);
        let fingerprint = outcome.fingerprint.clone();
        self.keep(&id, Handled { fingerprint, received_at, outcome: Some(outcome) });
        Ok(())
    }

    /// Writes the outcome of a repeated command again.
    pub(super) fn repeat(
        &mut self,
        outcome: &Outcome,
        envelope: &Envelope,
        at_ms: i64,
        output: &mut Output,
    ) {
        if let Err(error) = self.write_outcome(outcome, envelope, at_ms, output) {
            let command_id = outcome.command_id;
            let error = chain(&error);
            tracing::error!(command.id = %command_id, error, "an outcome could not be written");
        }
    }

    /// Keeps a command's entry for deduplication.
    pub(super) fn keep(&mut self, id: &str, entry: Handled) {
        if self.dedup.get(id).is_none() {
            self.expire_at(entry.received_at, id.into());
        }
        self.dedup.put(id, Some(entry));
    }

    /// Has a command's entry checked once the horizon has passed since `at_ms`. The queue is in the
    /// order of time, also behind a command from a broker whose clock is ahead.
    pub(super) fn expire_at(&mut self, at_ms: i64, id: Box<str>) {
        let behind = self.expiry.partition_point(|(other_ms, _)| *other_ms <= at_ms);
        self.expiry.insert(behind, (at_ms, id));
    }

    fn write_outcome(
        &mut self,
        outcome: &Outcome,
        envelope: &Envelope,
        at_ms: i64,
        output: &mut Output,
    ) -> Result<(), WriteError> {
        let key = outcome.command_id.hyphenated().to_string();
        let record = RecordHeaders {
            id: derive(&outcome.command_id, "outcome"),
            name: Outcome::SCHEMA.name,
            key: &key,
            causation: envelope.id,
            version: None,
        };
        let headers = self.stamp.at(at_ms).headers(envelope, record);
        let value = encoded(outcome, &self.codec)?;
        let topic = &self.topology.outcomes;
        output.keyed(&self.topology, topic, key.as_bytes(), Some(&value), &headers)
    }
}

#[cfg(test)]
mod tests {
    use schemas::refusals::VERSION_MISMATCH;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn refusal_of_what_is_not_there_tells_no_version() {
        let undecided = || Outcome {
            command_id: Uuid::from_u128(1),
            command_type: "millrace.order.CancelOrder".to_owned(),
            verdict: Verdict::Failed,
            code: None,
            detail: None,
            aggregate: "order".to_owned(),
            aggregate_id: "another user's".to_owned(),
            version: 3,
            principal: "ada".to_owned(),
            fingerprint: None,
            decided_at: 0,
        };
        let version = |code| refused(undecided(), code, "because").version;
        assert_eq!((version(refusals::NOT_FOUND), version(VERSION_MISMATCH)), (0, 3));
    }
}

//! Records that an operator reads the personal fields of a dead letter: an event tells who, when
//! and why. The dead letter itself is shown by a projection, and only after this command is
//! accepted.

use redpanda::log::Record;
use schemas::{
    Outcome, Verdict,
    engine::{DeadLetterRevealed, RevealDeadLetter},
};

use super::{Task, outcome::refused};
use crate::{bounds::shortened, envelope::Envelope, output::Output};

/// The code of a command that names a topic whose dead letters another processor writes.
const OTHER_PROCESSOR: &str = "other_processor";

/// Refuses a command that names such a topic.
pub(super) fn other_processor(undecided: Outcome, topic: &str) -> Outcome {
    let detail = format!("{topic} is no input of this processor");
    refused(undecided, OTHER_PROCESSOR, &detail)
}

impl Task {
    /// Accepts the command if this processor writes the dead letters of its topic.
    pub(super) fn reveal(
        &mut self,
        command: RevealDeadLetter,
        key: &str,
        record: &Record,
        envelope: &Envelope,
        undecided: Outcome,
        output: &mut Output,
    ) -> Outcome {
        let RevealDeadLetter { topic, partition, dead_offset, reason } = command;
        if self.topology.route(&topic.as_str().into()).is_none() {
            return other_processor(undecided, &topic);
        }
        let event = DeadLetterRevealed {
            topic,
            partition,
            dead_offset,
            command_id: envelope.id,
            principal: envelope.principal().to_owned(),
            reason: shortened(&reason).to_owned(),
            revealed_at: record.timestamp_ms,
        };
        self.write_action("revealed", key, record, envelope, event, output);
        Outcome { verdict: Verdict::Accepted, ..undecided }
    }
}

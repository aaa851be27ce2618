//! Records that an operator reads the personal fields of a dead letter: an event tells who, when
//! and why. The dead letter itself is shown by a projection, and only after this command is
//! accepted.

use redpanda::log::Record;
use schemas::{
    Message, Outcome, Verdict, chain,
    engine::{DeadLetterRevealed, RevealDeadLetter},
};

use super::{Task, outcome::refused, redrive::MALFORMED};
use crate::{
    bounds::shortened,
    envelope::Envelope,
    error::{Failure, UnknownSchema},
    output::Output,
};

/// The code of a command that names a topic whose dead letters another processor writes.
const OTHER_PROCESSOR: &str = "other_processor";

impl Task {
    /// Accepts the command if this processor writes the dead letters of its topic.
    pub(super) fn reveal(
        &mut self,
        key: &str,
        command: &Record,
        envelope: &Envelope,
        undecided: Outcome,
        output: &mut Output,
    ) -> Result<Outcome, UnknownSchema> {
        let value = command.value.as_deref().unwrap_or_default();
        let decoded = RevealDeadLetter::decode(&self.codec, value).map_err(Failure::from);
        let RevealDeadLetter { topic, partition, dead_offset, reason } = match decoded {
            Ok(command) => command,
            Err(Failure::UnknownSchema(unknown)) => return Err(unknown),
            Err(Failure::Permanent(error)) => {
                return Ok(refused(undecided, MALFORMED, &chain(&error)));
            }
        };
        if self.topology.route(&topic.as_str().into()).is_none() {
            let detail = format!("{topic} is no input of this processor");
            return Ok(refused(undecided, OTHER_PROCESSOR, &detail));
        }
        let event = DeadLetterRevealed {
            topic,
            partition,
            dead_offset,
            command_id: envelope.id,
            principal: envelope.principal().to_owned(),
            reason: shortened(&reason).to_owned(),
            revealed_at: command.timestamp_ms,
        };
        self.write_revealed(key, command, envelope, event, output);
        Ok(Outcome { verdict: Verdict::Accepted, ..undecided })
    }
}

//! Why the engine can't process an input or write a record. The texts, with those of their sources,
//! go to outcomes, dead letters and parked records, so they say what is wrong with the input. No
//! error here ends a session.

use schemas::{CodecError, chain};

use crate::{
    bounds::{HEADER_BYTES_MAX, KEY_BYTES_MAX},
    letters::LetterAt,
    local::CHAIN_MAX,
};

/// The id of a writer's schema that the codec does not know yet. Once the schema is known, the same
/// record can be processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("schema {0} is not known")]
pub(crate) struct UnknownSchema(pub(crate) u32);

/// What must be fetched before an input can be decided. Then the same input can be tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The schema of its writer, from the registry.
    Schema(UnknownSchema),
    /// The dead letter that it sends again, from the log.
    Letter(LetterAt),
}

impl From<UnknownSchema> for Missing {
    fn from(unknown: UnknownSchema) -> Self {
        Self::Schema(unknown)
    }
}

/// Why an input is not processed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The writer's schema must be learnt first; then the same input can be tried again.
    UnknownSchema(UnknownSchema),
    /// The input fails again with this version of the service.
    Permanent(InputError),
}

impl From<CodecError> for Failure {
    fn from(error: CodecError) -> Self {
        match error {
            CodecError::UnknownId(id) => Self::UnknownSchema(UnknownSchema(id)),
            error => Self::Permanent(InputError::Codec(error)),
        }
    }
}

impl From<InputError> for Failure {
    fn from(error: InputError) -> Self {
        Self::Permanent(error)
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        Self::Permanent(error.into())
    }
}

/// Why an input fails for good.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The input has failed, and its key is wrong too.
    #[error("{}; {}", chain(.error), chain(.key))]
    WithKey { error: Box<InputError>, key: KeyError },
    #[error("its header {name} has {bytes} bytes, more than {max}", max = HEADER_BYTES_MAX)]
    HeaderTooLong { name: &'static str, bytes: usize },
    #[error("its schema id {0} is not in the registry")]
    SchemaNotRegistered(u32),
    #[error(transparent)]
    UnknownSchema(UnknownSchema),
    #[error("a tombstone where {0} was expected")]
    Tombstone(&'static str),
    #[error("a command where a follow-up or an event was expected")]
    UnexpectedCommand,
    #[error(transparent)]
    Codec(CodecError),
    #[error("the decider panicked: {0}")]
    DeciderPanicked(String),
    #[error("the policy panicked: {0}")]
    PolicyPanicked(String),
    #[error("the engine panicked on it: {0}")]
    EnginePanicked(String),
    #[error("an event names child {0:?}, its input does not")]
    OtherChild(String),
    #[error("a policy without a state can only send")]
    NotASend,
    #[error("refused a follow-up: {code}: {detail}")]
    FollowUpRefused { code: &'static str, detail: String },
    #[error("the timer's name {0:?} has no context, key and name")]
    TimerName(String),
    #[error("this processor has no context {0:?}")]
    UnknownContext(String),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("what it changes can't be encoded")]
    ChangesNotEncoded(#[source] CodecError),
    #[error("what it changes is too large")]
    ChangesTooLarge(#[source] RowTooLarge),
    #[error("an input has caused more follow-ups in a row than {max}", max = CHAIN_MAX)]
    ChainTooLong,
    #[error("waits behind an earlier record of its key")]
    BehindParked,
    /// The record fails, and there is no room to park it.
    #[error("{}; {}", chain(.park), chain(.error))]
    NotParked { park: ParkError, error: Box<InputError> },
    #[error("dropped by the command that re-drove its key")]
    DroppedByRedrive,
}

/// Why a record's key is wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("it has no key")]
    Missing,
    #[error("its key is not UTF-8")]
    NotUtf8(#[source] std::str::Utf8Error),
    #[error("its key is empty or has control characters")]
    NotPrintable,
    #[error("its key has {0} bytes, more than {max}", max = KEY_BYTES_MAX)]
    TooLong(usize),
    #[error("the number of partitions of {0} is not known")]
    UnknownTopic(String),
    #[error("its key belongs to partition {0}: produce it with murmur2 partitioning")]
    OtherPartition(i32),
}

/// Why a record can't be written to its topic.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error("a key for {topic} has {bytes} bytes, more than {max}", max = KEY_BYTES_MAX)]
    KeyTooLong { topic: String, bytes: usize },
    #[error("a record of {bytes} bytes for {topic}, which takes {bytes_max} at most")]
    RecordTooLarge { topic: String, bytes: usize, bytes_max: usize },
    #[error("there is no topic {0:?}")]
    NoTopic(String),
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// A record of the changelog that is larger than the changelog takes.
#[derive(Debug, thiserror::Error)]
#[error("{key}")]
pub(crate) struct RowTooLarge {
    /// The beginning of the record's key.
    pub(crate) key: String,
    pub(crate) source: WriteError,
}

/// Why a record can't be parked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ParkError {
    #[error("the queue of its parked key is full")]
    QueueFull,
    #[error("the parked records of all keys are as many as a task may have")]
    TaskFull,
    #[error("it can't be parked")]
    Codec(#[from] CodecError),
    #[error("it is too large to be parked")]
    TooLarge(#[from] RowTooLarge),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_letter_of_a_record_that_is_too_large_to_be_parked_names_each_cause_once() {
        let large = |bytes| WriteError::RecordTooLarge {
            topic: "order.state".to_owned(),
            bytes,
            bytes_max: 100,
        };
        let row = |bytes| RowTooLarge { key: "order/7".to_owned(), source: large(bytes) };
        let error = InputError::NotParked {
            park: ParkError::TooLarge(row(300)),
            error: Box::new(InputError::ChangesTooLarge(row(200))),
        };
        assert_eq!(
            chain(&error),
            "it is too large to be parked: order/7: a record of 300 bytes for order.state, which \
             takes 100 at most; what it changes is too large: order/7: a record of 200 bytes for \
             order.state, which takes 100 at most"
        );
    }
}

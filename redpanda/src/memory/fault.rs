//! The faults that a test can order for a session. They act once.

/// The step at which a session of a transactional id fails. It fails when it first reaches the
/// step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The session ends after it polled records, before it processed any.
    AfterPoll,
    /// The session ends before its transaction begins.
    BeforeBegin,
    /// The session ends with an open transaction that has no records.
    AfterBegin,
    /// The session ends with an open transaction that has this many records. Waits for a
    /// transaction with as many.
    AfterSend(usize),
    /// The session ends with an open transaction that has all its records and offsets.
    AfterOffsets,
    /// The session ends at the same step, but only when the worker asks for the result, so that the
    /// worker may have decided the next batch already.
    BeforeCommit,
    /// The transaction commits, and the session ends before the answer arrives.
    CommitUnseen,
    /// The transaction commits, the answer arrives, and then the session ends.
    AfterCommit,
    /// The session ends after it restored this many records of a changelog. Waits for a restore
    /// with as many.
    DuringRestore(usize),
    /// The session ends when the group revokes its partitions.
    InRebalance,
    /// The transaction aborts in order, and the session continues.
    Abort,
    /// Another session takes the transactional id.
    Fence,
}

//! The pending batch: what is decided and not submitted yet. Its first records may already be
//! written to the open transaction; the others are in memory. It knows nothing of tasks.

use std::time::Instant;

use redpanda::log::ProducerRecords;

use crate::{open_partitions::OpenPartitions, output::Output};

/// What is decided and not submitted yet.
#[derive(Default)]
pub(super) struct PendingBatch {
    /// The records that are not written yet.
    pub(super) output: Output,
    /// The number of records and timers that were decided.
    inputs: usize,
    /// When the first of them was decided.
    since: Option<Instant>,
    /// The bytes written to the open transaction; `None` while nothing is written.
    written: Option<usize>,
}

impl PendingBatch {
    /// Which follow-ups may be decided at once.
    pub(super) fn open_partitions(&mut self) -> &mut OpenPartitions {
        &mut self.output.local.open
    }

    /// Counts records or timers that were decided.
    pub(super) fn add(&mut self, inputs: usize) {
        if inputs > 0 {
            self.inputs += inputs;
            self.since.get_or_insert_with(Instant::now);
        }
    }

    /// The number of records and timers.
    pub(super) fn inputs(&self) -> usize {
        self.inputs
    }

    /// When the first input was decided; `None` for an empty batch.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// The bytes of output, written or not.
    pub(super) fn bytes(&self) -> usize {
        self.written.unwrap_or(0) + self.output.records.bytes()
    }

    /// Whether a part of the batch is written to the open transaction.
    pub(super) fn is_partly_written(&self) -> bool {
        self.written.is_some()
    }

    /// Counts a part that the session was given, after which only an abort can take it back.
    pub(super) fn wrote(&mut self, part: &ProducerRecords) {
        self.written = Some(self.written.unwrap_or(0) + part.bytes());
    }

    /// Begins an empty batch, because this one was submitted.
    pub(super) fn submitted(&mut self) {
        self.begin();
        self.open_partitions().submitted();
    }

    /// Drops the batch. A part that is written must be aborted by the caller.
    pub(super) fn clear(&mut self) {
        self.output.records.truncate(0);
        self.output.local.dropped();
        self.begin();
    }

    fn begin(&mut self) {
        (self.inputs, self.since, self.written) = (0, None, None);
    }
}

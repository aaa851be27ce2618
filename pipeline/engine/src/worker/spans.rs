//! The OpenTelemetry spans of decisions, until their transaction is committed: what is undone or
//! aborted leaves no span. It is empty, and allocates nothing, while no spans are exported.

use std::{mem, time::SystemTime};

use redpanda::{
    log::Record,
    spans::{self, Decision},
};

use crate::envelope::Envelope;

/// The most decisions of one batch that become spans; the others count as dropped. The exporter's
/// queue holds as many by default.
const PENDING_MAX: usize = 2_048;

/// The spans of the pending batch, and of the transaction in flight.
#[derive(Default)]
pub(super) struct Spans {
    pending: Vec<Decision>,
    in_flight: Vec<Decision>,
    /// When the transaction in flight was submitted, if it has spans.
    submitted_at: Option<SystemTime>,
}

impl Spans {
    /// The number of pending spans, to which [`Self::undo`] returns.
    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Begins the decision of `processor` on a record. Returns the number of pending spans before.
    pub(super) fn begin(&mut self, record: &Record, processor: &str) -> usize {
        let before = self.pending.len();
        let id = || Envelope::of(record).id.into_bytes();
        match Decision::begin(record, id, processor) {
            Some(decision) if before >= PENDING_MAX => decision.discard(),
            begun => self.pending.extend(begun),
        }
        before
    }

    /// Ends the decisions behind the first `before`.
    pub(super) fn end(&mut self, before: usize) {
        self.pending.iter_mut().skip(before).for_each(Decision::end);
    }

    /// Drops the spans behind the first `before`, whose decisions were undone.
    pub(super) fn undo(&mut self, before: usize) {
        self.pending.truncate(before);
    }

    /// The pending batch was submitted.
    pub(super) fn submitted(&mut self) {
        if !self.pending.is_empty() {
            self.in_flight = mem::take(&mut self.pending);
            self.submitted_at = Some(SystemTime::now());
        }
    }

    /// The transaction in flight was committed.
    pub(super) fn committed(&mut self, processor: &str) {
        if let Some(submitted_at) = self.submitted_at.take() {
            spans::committed(processor, submitted_at, mem::take(&mut self.in_flight));
        }
    }

    /// The transaction in flight was aborted.
    pub(super) fn aborted(&mut self) {
        self.in_flight.clear();
        self.submitted_at = None;
    }

    /// The pending batch was dropped.
    pub(super) fn dropped(&mut self) {
        self.pending.clear();
    }
}

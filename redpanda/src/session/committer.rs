//! The calls of a transaction, made on the committing thread, which may block. It never repeats a
//! call that may have taken effect, except where librdkafka says that a repetition is safe.
//!
//! The states of the transactional producer, and what leads from one to the other:
//!
//! ```text
//!   ready --- begin ---> open --- write records ---> open --- offsets, EndTxn(commit) ---> ready
//!                          |                                          |
//!                          |  abortable error, or Request::Abort      |  fenced, fatal, no answer,
//!                          v                                          v  or a connection broke
//!                     EndTxn(abort) --- succeeded ---> ready      unusable: the worker opens a new
//!                          |                                      session with a new epoch
//!                          +-------- failed, or a connection broke ------^
//! ```
//!
//! The picture shows a transaction that is written in parts. One that is written at once sends its
//! offsets before its records (see `write_last`).

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

#[cfg(any(feature = "benchmarks", feature = "mutants"))]
use rdkafka::consumer::BaseConsumer;
use rdkafka::{
    TopicPartitionList, consumer::ConsumerGroupMetadata, error::KafkaError, producer::Producer as _,
};

use super::{
    calls::{CALL_MAX, offset_list, retry},
    errors::{CallError, fenced, is_fenced},
    in_flight::InFlight,
    producer::ProducerPoller,
    sender::RecordSender,
    settings::Delivery,
    thread::Request,
};
#[cfg(any(feature = "benchmarks", feature = "mutants"))]
use crate::group::GroupContext;
use crate::{
    fault,
    log::{Transaction, TransactionError},
    mutant, raw,
};

/// The mutant `offsets-twice` starts after this many transactions of a process, so that the
/// preparations of the fault suite succeed.
const BEFORE_MUTANT: u64 = 20;
/// The number of transactions that a process with that mutant has begun to commit.
static MUTANT_COMMITS: AtomicU64 = AtomicU64::new(0);

/// The thread's side of a session.
pub(super) struct Committer {
    pub(super) poller: ProducerPoller,
    /// The client that commits offsets outside of transactions.
    #[cfg(any(feature = "benchmarks", feature = "mutants"))]
    pub(super) consumer: Option<Arc<BaseConsumer<GroupContext>>>,
    in_flight: Arc<InFlight>,
    sender: RecordSender,
    delivery: Delivery,
    /// The number of connections that had broken when the transaction began.
    breaks_before: u64,
    /// When the last transaction began.
    begun: Instant,
    /// Whether something was written that is neither committed nor aborted.
    is_open: bool,
}

impl Committer {
    pub(super) fn new(
        poller: ProducerPoller,
        in_flight: Arc<InFlight>,
        delivery: Delivery,
    ) -> Self {
        let sender = RecordSender::new(poller.producer().clone());
        Self {
            poller,
            #[cfg(any(feature = "benchmarks", feature = "mutants"))]
            consumer: None,
            in_flight,
            sender,
            delivery,
            breaks_before: 0,
            begun: Instant::now(),
            is_open: false,
        }
    }

    /// Serves the worker's requests until the session is dropped.
    pub(super) fn run(mut self, requests: &mpsc::Receiver<Request>) {
        // Between a failure and `Reset`, the worker may not know of the failure yet. What it sends
        // in between belongs to the failed transaction and must not open the next one.
        let mut has_failed = false;
        while let Ok(request) = requests.recv() {
            let result = match request {
                Request::Reset => {
                    has_failed = false;
                    continue;
                }
                _ if has_failed => continue,
                Request::Records(records) => {
                    let written = self.begin().and_then(|()| self.sender.send_all(&records));
                    match written {
                        // The transaction stays open for the worker's next request.
                        Ok(()) => continue,
                        Err(error) => Err(self.fail(error)),
                    }
                }
                Request::Commit(transaction, metadata) => match self.delivery {
                    Delivery::ExactlyOnce => self.commit(&transaction, metadata.as_ref()),
                    #[cfg(feature = "benchmarks")]
                    Delivery::AtLeastOnce => self.deliver(&transaction),
                },
                Request::Abort => Err(self.abort("the worker has abandoned it".to_owned())),
            };
            self.is_open = false;
            has_failed = result.is_err();
            // From here on the worker may take the result, and a revocation may proceed.
            self.in_flight.end(result);
        }
    }

    /// Begins a transaction, unless one is open.
    fn begin(&mut self) -> Result<(), CallError> {
        if !self.is_open && self.delivery.is_transactional() {
            // Between transactions no request is in flight, so a break before this moment can't
            // leave a late request behind. Every later break counts.
            self.breaks_before = self.poller.breaks().count;
            self.begun = Instant::now();
            let producer = self.poller.producer();
            retry("beginning a transaction", || producer.begin_transaction())?;
            fault::point("after-begin");
        }
        self.is_open = true;
        Ok(())
    }

    /// Writes the last records of a transaction and sends its offsets, exactly once.
    ///
    /// If all records come at once, the offsets go first. Apache Kafka refuses the first request of
    /// a transaction for some milliseconds after the previous one, with CONCURRENT_TRANSACTIONS;
    /// librdkafka repeats AddOffsetsToTxn after `retry.backoff.ms` (1 ms), but AddPartitionsToTxn
    /// after a fixed 20 ms. If earlier parts were written, only the last part knows the offsets, so
    /// they follow its records.
    pub(super) fn write_last(
        &mut self,
        transaction: &Transaction,
        metadata: Option<&ConsumerGroupMetadata>,
    ) -> Result<(), CallError> {
        let offsets = offset_list(transaction)?;
        let offsets_first = !self.is_open;
        let twice = mutant::is_active("offsets-twice")
            && MUTANT_COMMITS.fetch_add(1, Ordering::Relaxed) >= BEFORE_MUTANT;
        self.begin()?;
        if offsets_first || twice {
            self.send_offsets(&offsets, metadata)?;
        }
        self.sender.send_all(&transaction.records)?;
        if !offsets_first || twice {
            self.send_offsets(&offsets, metadata)?;
        }
        Ok(())
    }

    /// Stages the offsets in the transaction, as the member of the group that `metadata` describes.
    fn send_offsets(
        &self,
        offsets: &TopicPartitionList,
        metadata: Option<&ConsumerGroupMetadata>,
    ) -> Result<(), CallError> {
        if !self.delivery.is_transactional() {
            return Ok(());
        }
        let sent = metadata.ok_or(KafkaError::Canceled).and_then(|metadata| {
            self.poller.producer().send_offsets_to_transaction(offsets, metadata, CALL_MAX)
        });
        // A call that failed is not repeated, even if it is retriable: it may have staged the
        // offsets, and Redpanda refuses AddOffsetsToTxn after that. An abort clears them.
        sent.map_err(|error| match CallError::of("sending offsets", &error) {
            CallError::Retriable => CallError::Abortable(format!("sending offsets: {error}")),
            other => other,
        })?;
        fault::point("after-offsets");
        Ok(())
    }

    /// Writes the rest of the transaction and commits it.
    fn commit(
        &mut self,
        transaction: &Transaction,
        metadata: Option<&ConsumerGroupMetadata>,
    ) -> Result<(), TransactionError> {
        #[cfg(feature = "mutants")]
        if mutant::is_active("offsets-early") {
            self.commit_early(transaction);
        }
        self.write_last(transaction, metadata).map_err(|error| self.fail(error))?;
        if fault::is_planned("before-commit") || fault::is_planned("end-sent") {
            // Without a flush, the records would be lost with the process, before the broker has
            // any.
            drop(self.poller.producer().flush(CALL_MAX));
        }
        fault::point("before-commit");
        if fault::is_due("abort") {
            return Err(self.abort("a fault was planned".to_owned()));
        }
        // EndTxn is sent in less time than this, and its answer takes longer.
        fault::die_after("end-sent", Duration::from_micros(300));
        self.end_with_commit()?;
        fault::point("after-commit");
        match self.break_since_begin().filter(|_| !mutant::is_active("same-epoch")) {
            // The transaction is committed, but a copy of one of its requests may still be on its
            // way, and would act on the next transaction of this epoch. A new session has a new
            // epoch, and the broker refuses requests of the old one.
            Some(line) => {
                Err(self.unusable(format!("committed, but a connection broke meanwhile: {line}")))
            }
            None => Ok(()),
        }
    }

    /// Sends EndTxn(commit), and repeats it while librdkafka says that this is safe.
    fn end_with_commit(&self) -> Result<(), TransactionError> {
        let since = Instant::now();
        while let Err(error) = raw::commit_transaction(&**self.poller.producer(), CALL_MAX) {
            let text = format!("committing: {} ({})", error.text, error.code);
            if is_fenced(error.code) {
                return Err(self.fenced(text));
            }
            // For example a record that the broker refused: nothing was committed.
            if error.requires_abort {
                return Err(self.abort(text));
            }
            // The broker may have committed. Only the log can tell, so the worker rebuilds from it.
            if error.fatal || !error.retriable || since.elapsed() > CALL_MAX {
                return Err(self.unusable(text));
            }
        }
        Ok(())
    }

    /// Aborts the open transaction. Only an abort that is known to have ended makes the session
    /// usable again: after any other one a late EndTxn could act on the next transaction.
    fn abort(&self, reason: String) -> TransactionError {
        if !self.delivery.is_transactional() {
            return TransactionError::Aborted(reason);
        }
        match self.poller.producer().abort_transaction(CALL_MAX) {
            Ok(()) => match self.break_since_begin() {
                Some(line) => self.unusable(format!(
                    "{reason}; aborted, but a connection broke meanwhile: {line}"
                )),
                None => TransactionError::Aborted(reason),
            },
            Err(error) => match CallError::of("aborting", &error) {
                CallError::Fenced(text) => self.fenced(format!("{reason}; {text}")),
                _ => self.unusable(format!("{reason}; the abort failed: {error}")),
            },
        }
    }

    /// Ends the transaction after a call failed.
    fn fail(&self, error: CallError) -> TransactionError {
        match error {
            CallError::Abortable(reason) => self.abort(reason),
            CallError::Fenced(reason) => self.fenced(reason),
            CallError::Unknown(reason) => self.unusable(reason),
            CallError::Retriable => self.unusable("a call did not succeed in time".to_owned()),
        }
    }

    /// The result of a transaction after which the session is unusable. A producer that was fenced
    /// while it sent records reports only "fatal"; the client's fatal error says why.
    fn unusable(&self, reason: String) -> TransactionError {
        match self.poller.producer().client().fatal_error() {
            Some((code, text)) if is_fenced(code) => self.fenced(format!("{reason}: {text}")),
            _ => TransactionError::Unknown(reason),
        }
    }

    /// The result of a transaction whose producer is fenced.
    fn fenced(&self, text: String) -> TransactionError {
        fenced(text, self.begun.elapsed())
    }

    /// The log line of the last connection that has broken since the transaction began.
    fn break_since_begin(&self) -> Option<String> {
        let breaks = self.poller.breaks();
        (breaks.count != self.breaks_before).then_some(breaks.last)
    }
}

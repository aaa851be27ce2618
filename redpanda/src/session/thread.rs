//! The thread that makes the transaction calls of a session, and the requests that it receives. It
//! never outlives its session unnoticed: a thread that is stuck is counted.

use std::{
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use rdkafka::consumer::ConsumerGroupMetadata;

use super::errors::handover_failed;
use crate::log::{LogError, ProducerRecords, Transaction};

/// How long dropping a session waits for its thread.
pub(super) const END_MAX: Duration = Duration::from_secs(5);
/// A process with this many stuck threads opens no session any more and must be restarted.
pub(super) const STUCK_MAX: usize = 8;
/// The number of threads that were left behind and have not ended since.
static STUCK: AtomicUsize = AtomicUsize::new(0);

/// The number of threads of earlier sessions that are stuck in a call of librdkafka.
pub(super) fn stuck_threads() -> usize {
    STUCK.load(Ordering::Relaxed)
}

/// A request of the worker to the committing thread.
pub(super) enum Request {
    /// Write records of a transaction that is not submitted yet.
    Records(ProducerRecords),
    /// Write the last records and the offsets of the transaction, and commit it as the member of
    /// the group that had submitted it.
    Commit(Transaction, Option<ConsumerGroupMetadata>),
    /// Abort the transaction.
    Abort,
    /// The worker has seen how the last transaction failed: requests from here on belong to the
    /// next one.
    Reset,
}

/// The thread that makes the transaction calls of a session. It ends when its channel is closed,
/// after the call that it is in. Dropping this value closes the channel and waits for that end, for
/// a bounded time.
///
/// librdkafka's `send_offsets_to_transaction` has a timeout and still never ends if the answer to
/// TxnOffsetCommit is outdated (`rd_kafka_txn_handle_TxnOffsetCommit` in `rdkafka_txnmgr.c` returns
/// without a result). A thread that is stuck there is left behind: the next session has a new
/// epoch, which fences whatever this thread may still send.
pub(super) struct CommitThread {
    requests: Option<mpsc::Sender<Request>>,
    /// Receives one message when the thread ends.
    ended: mpsc::Receiver<()>,
    end_max: Duration,
}

impl CommitThread {
    pub(super) fn start(
        work: impl FnOnce(&mpsc::Receiver<Request>) + Send + 'static,
        end_max: Duration,
    ) -> std::io::Result<Self> {
        let (requests, received) = mpsc::channel();
        let (ends, ended) = mpsc::channel::<()>();
        std::thread::Builder::new().name("commit".to_owned()).spawn(move || {
            work(&received);
            // The receiver is gone if the session has left this thread behind: it was counted as
            // stuck then, and is not stuck any more.
            if ends.send(()).is_err() {
                STUCK.fetch_sub(1, Ordering::Relaxed);
            }
        })?;
        Ok(Self { requests: Some(requests), ended, end_max })
    }

    /// Sends a request to the thread.
    pub(super) fn hand_over(&self, request: Request) -> Result<(), LogError> {
        let sent = self.requests.as_ref().map(|channel| channel.send(request));
        sent.and_then(Result::ok).ok_or_else(|| handover_failed("the committing thread has ended"))
    }
}

impl Drop for CommitThread {
    fn drop(&mut self) {
        // Closing the channel ends the thread's loop.
        self.requests = None;
        if let Err(mpsc::RecvTimeoutError::Timeout) = self.ended.recv_timeout(self.end_max) {
            let stuck = STUCK.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::error!(
                left = stuck,
                "a thread is stuck in a transaction call of librdkafka and is left behind"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn stuck_thread_is_left_behind_and_counted_until_it_ends() {
        let (release, stuck) = mpsc::channel::<()>();
        let work = move |_: &mpsc::Receiver<Request>| stuck.recv().unwrap_or_default();
        let thread = CommitThread::start(work, Duration::from_millis(20)).expect("a thread");
        drop(thread);
        assert_eq!(stuck_threads(), 1);

        drop(release);
        let begun = Instant::now();
        while stuck_threads() > 0 {
            assert!(begun.elapsed() < Duration::from_secs(10), "the thread has not ended");
            std::thread::yield_now();
        }
    }

    #[test]
    fn dropped_session_waits_for_its_thread() {
        let (done, is_done) = mpsc::channel();
        let work = move |requests: &mpsc::Receiver<Request>| {
            while requests.recv().is_ok() {}
            done.send(()).expect("the test waits for it");
        };
        drop(CommitThread::start(work, Duration::from_secs(10)).expect("a thread"));
        is_done.try_recv().expect("the thread has ended");
    }
}

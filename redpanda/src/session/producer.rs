//! The producer of a session: its settings, and the thread that polls it. It sends nothing by
//! itself.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rdkafka::{
    config::RDKafkaLogLevel,
    error::KafkaError,
    producer::{BaseProducer, Producer as _},
};

use super::{
    connections::{Breaks, Connections},
    settings::{Delivery, Settings},
};
use crate::{
    raw,
    topics::{BATCH_BYTES_MAX, RECORD_BYTES_MAX},
};

/// `transaction.timeout.ms`: the broker aborts a transaction that is open for longer. It bounds
/// recovery: readers of committed records wait at most this long for the open transaction of a dead
/// process.
pub(super) const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one poll of the producer waits for an event. An event ends the wait at once. The wait
/// is long because every wait that times out spins for up to a millisecond, and rdkafka's own
/// polling thread makes ten of them a second.
const POLL_WAIT: Duration = Duration::from_secs(5);

pub(super) type TransactionalProducer = BaseProducer<Connections>;

/// Creates the producer of a session. It connects in the background.
pub(super) fn create(settings: &Settings) -> Result<TransactionalProducer, KafkaError> {
    let mut config = settings.brokers.librdkafka();
    config
        .set("client.id", "millrace")
        .set("acks", "all")
        .set("linger.ms", "5")
        // The coordinator refuses a request while it still ends the previous transaction, for some
        // milliseconds. librdkafka repeats AddOffsetsToTxn after `retry.backoff.ms`, but
        // AddPartitionsToTxn after a fixed 20 ms. Retries of other requests wait longer each time.
        .set("retry.backoff.ms", "1")
        .set("retry.backoff.max.ms", "20")
        .set("batch.num.messages", "100000")
        .set("batch.size", BATCH_BYTES_MAX.to_string())
        .set("message.max.bytes", RECORD_BYTES_MAX.to_string())
        .set("queue.buffering.max.messages", "1000000")
        .set("delivery.report.only.error", "true")
        .set("reconnect.backoff.max.ms", "1000")
        // Makes librdkafka log every broken connection (see `connections`). `RUST_LOG` decides
        // whether the lines are shown.
        .set("debug", "broker")
        .set_log_level(RDKafkaLogLevel::Debug);
    if settings.delivery == Delivery::ExactlyOnce {
        config
            .set("transactional.id", &settings.transactional_id)
            .set("transaction.timeout.ms", TRANSACTION_TIMEOUT.as_millis().to_string());
    }
    config.create_with_context(Connections::default())
}

/// Polls a producer's events on a thread of its own; without it, flush, commit and abort do not
/// return. The thread ends within [`POLL_WAIT`] after this value is dropped, and the producer with
/// it.
pub(super) struct ProducerPoller {
    producer: Arc<TransactionalProducer>,
    logs: Logs,
    is_dropped: Arc<AtomicBool>,
}

/// The log lines of a producer, which several threads drain.
type Logs = Arc<Mutex<raw::LogQueue<Connections>>>;

/// Why a producer can't be polled.
#[derive(Debug, thiserror::Error)]
pub(super) enum PollerError {
    #[error("redirecting the producer's log")]
    Log(#[from] KafkaError),
    #[error("starting the thread that polls the producer")]
    Thread(#[from] std::io::Error),
}

impl ProducerPoller {
    pub(super) fn start(producer: TransactionalProducer) -> Result<Self, PollerError> {
        let producer = Arc::new(producer);
        let logs = Arc::new(Mutex::new(raw::LogQueue::of(producer.clone())?));
        let poller = Self { producer, logs, is_dropped: Arc::default() };
        let (producer, logs, is_dropped) =
            (poller.producer.clone(), poller.logs.clone(), poller.is_dropped.clone());
        std::thread::Builder::new().name("producer-poll".to_owned()).spawn(move || {
            while !is_dropped.load(Ordering::Relaxed) {
                producer.poll(POLL_WAIT);
                // While no transaction is written, no other thread drains the log.
                observe_log(&logs, &producer);
            }
        })?;
        Ok(poller)
    }

    pub(super) fn producer(&self) -> &Arc<TransactionalProducer> {
        &self.producer
    }

    /// The connections that have broken until now.
    pub(super) fn breaks(&self) -> Breaks {
        // What librdkafka logged before it answered the last call is in its queue by now.
        observe_log(&self.logs, &self.producer);
        self.producer.client().context().breaks().clone()
    }

    /// The number of records that were not delivered.
    #[cfg(feature = "benchmarks")]
    pub(super) fn undelivered(&self) -> u64 {
        self.producer.client().context().undelivered()
    }
}

/// Counts everything that the producer has logged until now.
fn observe_log(logs: &Logs, producer: &TransactionalProducer) {
    // A second thread waits here until the first one has counted all lines: so every line is
    // counted when this returns.
    let mut logs = logs.lock().unwrap_or_else(PoisonError::into_inner);
    let context = producer.client().context();
    logs.drain(|level, facility, message| context.observe(level, facility, message));
}

impl Drop for ProducerPoller {
    fn drop(&mut self) {
        self.is_dropped.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use rdkafka::mocking::MockCluster;

    use super::*;

    #[test]
    fn every_break_is_counted_even_if_all_are_alike() {
        let cluster = MockCluster::new(1).expect("a mock");
        let mut config = rdkafka::ClientConfig::new();
        config
            .set("bootstrap.servers", cluster.bootstrap_servers())
            .set("debug", "broker")
            .set("reconnect.backoff.ms", "1")
            .set("reconnect.backoff.max.ms", "10")
            .set_log_level(RDKafkaLogLevel::Debug);
        let producer = config.create_with_context(Connections::default()).expect("a producer");
        let poller = ProducerPoller::start(producer).expect("a thread");
        let count = || poller.breaks().count;
        // The client closes the connection to the bootstrap address when it knows the broker, so
        // the answer must come from the broker itself.
        let answers = || {
            let client = poller.producer().client();
            let metadata = client.fetch_metadata(None, Duration::from_secs(1));
            metadata.is_ok_and(|metadata| metadata.orig_broker_id() == 1)
        };
        let wait_for = |what: &str, done: &dyn Fn() -> bool| {
            let begun = Instant::now();
            while !done() {
                assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        for round in 0..3 {
            wait_for("the broker answers", &answers);
            let before = count();
            cluster.broker_down(1).expect("it goes down");
            wait_for(&format!("break {round} is seen"), &|| count() > before);
            assert!(!answers());
            let broken = count();
            // A connection that is refused is no break.
            assert!(!answers());
            let breaks = poller.breaks();
            assert_eq!(breaks.count, broken, "{}", breaks.last);
            cluster.broker_up(1).expect("it starts again");
        }
    }
}

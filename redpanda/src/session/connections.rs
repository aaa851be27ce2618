//! Broken connections of a producer, taken from librdkafka's log. It closes and opens none.
//!
//! librdkafka sends a request again by itself if the connection breaks under it. The first copy may
//! still be on its way. A broker without the second part of KIP-890 takes a late EndTxn for the end
//! of the transaction that this producer has open at that moment, and commits half a transaction; a
//! late TxnOffsetCommit stages the offsets of an earlier transaction in a later one. These requests
//! use the connections to the transaction coordinator and to the group coordinator. So if any
//! connection broke during a transaction, the session must not continue, even if the commit was
//! answered.
//!
//! librdkafka reports a break only in its log lines, with the facility `FAIL`. At the usual levels
//! it omits closed connections on which no request seems to be in flight, and for thirty seconds
//! what is identical to the previous error (`rd_kafka_broker_set_error`,
//! `rd_kafka_broker_conn_closed`); with the debug context `broker` it omits nothing. Its counters
//! of disconnects come only with the statistics, every few seconds, which is too late for a commit.
//! The line is logged before requests are sent again (`rd_kafka_broker_fail`).

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    error::KafkaError,
    producer::{DeliveryResult, ProducerContext},
};

/// The callbacks of a producer: it counts the connections that broke, and the records that were not
/// delivered.
#[derive(Default)]
pub(super) struct Connections {
    breaks: Mutex<Breaks>,
    undelivered: AtomicU64,
}

/// Connections that broke while they may have carried requests.
#[derive(Clone, Debug, Default)]
pub(super) struct Breaks {
    pub(super) count: u64,
    /// The log line of the last one.
    pub(super) last: String,
}

/// The states of a connection that carries no requests yet except those that set it up. A dead
/// bootstrap broker never leaves these states.
const SETUP_STATES: [&str; 9] = [
    "INIT",
    "DOWN",
    "TRY_CONNECT",
    "CONNECT",
    "SSL_HANDSHAKE",
    "AUTH_LEGACY",
    "APIVERSION_QUERY",
    "AUTH_HANDSHAKE",
    "AUTH_REQ",
];

/// Whether a line of librdkafka's log reports the break of a connection that may have carried
/// requests. A line that does not name the connection's state counts as one.
fn reports_break(facility: &str, message: &str) -> bool {
    let state =
        message.rsplit_once(" in state ").and_then(|(_, rest)| rest.split([')', ',']).next());
    facility == "FAIL" && !state.is_some_and(|state| SETUP_STATES.contains(&state))
}

impl Connections {
    pub(super) fn breaks(&self) -> MutexGuard<'_, Breaks> {
        self.breaks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of records that were not delivered.
    #[cfg(feature = "benchmarks")]
    pub(super) fn undelivered(&self) -> u64 {
        self.undelivered.load(Ordering::Relaxed)
    }

    /// Counts a line of librdkafka's log if it reports a break, and logs it. The levels are those
    /// of syslog.
    pub(super) fn observe(&self, level: i32, facility: &str, message: &str) {
        if reports_break(facility, message) {
            let mut breaks = self.breaks();
            breaks.count += 1;
            breaks.last.clear();
            breaks.last.push_str(message);
        }
        match level {
            ..=4 => tracing::warn!(facility, message, "librdkafka"),
            5 | 6 => tracing::info!(facility, message, "librdkafka"),
            _ => tracing::debug!(facility, message, "librdkafka"),
        }
    }
}

impl ClientContext for Connections {
    // Receives the lines that are logged before the producer has a log queue of its own.
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.observe(level as i32, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "the producer reports an error");
    }
}

impl ProducerContext for Connections {
    type DeliveryOpaque = ();

    // In a transaction, an undelivered record also fails the commit.
    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.undelivered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_reports_a_break_unless_the_connection_was_being_set_up() {
        for (message, expected) in [
            ("[thrd:b:9092/1]: b:9092/1: Disconnected (after 12ms in state UP) (_TRANSPORT)", true),
            (
                "[thrd:GroupCoordinator]: GroupCoordinator: b:9092: Disconnected (after 2ms in \
                 state UP) (_TRANSPORT): identical to last error: error log suppressed",
                true,
            ),
            (
                "b/1: 2 request(s) timed out: disconnect (after 9ms in state UP, 3 identical \
                 error(s) suppressed)",
                true,
            ),
            ("b/1: Receive failed: reset (after 9ms in state REAUTH)", true),
            ("b/1: a line that is cut off before it names the state", true),
            (
                "b/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in \
                 state CONNECT)",
                false,
            ),
            (
                "b/bootstrap: Disconnected: requesting ApiVersion (after 1ms in state \
                 APIVERSION_QUERY)",
                false,
            ),
            (
                "b/bootstrap: Failed to resolve 'b:9092' (after 0ms in state TRY_CONNECT, 2 \
                 identical error(s) suppressed)",
                false,
            ),
        ] {
            assert_eq!(reports_break("FAIL", message), expected, "{message}");
        }
        assert!(!reports_break("CONNECT", "b/1: Broker in state UP connecting"));
    }
}

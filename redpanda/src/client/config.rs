//! The settings of consumers. No client commits offsets by itself, creates a topic, or moves to
//! another offset when the one that it asks for is gone.

use std::time::Duration;

use rdkafka::ClientConfig;

use crate::brokers::Brokers;

/// The deadline of one request to a broker.
pub(crate) const REQUEST_MAX: Duration = Duration::from_secs(5);

/// The deadline of a seek, which also waits until the partition's previous fetches have stopped.
pub(crate) const SEEK_MAX: Duration = Duration::from_secs(5);

/// The longest wait of a fetch that finds nothing. Redpanda wakes a reader of committed records
/// when a commit marker is appended, before the last stable offset has moved
/// (`src/v/raft/consensus.cc`), so that such a fetch finds nothing and waits to its end. An idle
/// reader sends twenty requests a second to each broker. The variable `MILLRACE_FETCH_WAIT_MS` sets
/// another wait, which librdkafka checks.
const FETCH_WAIT_MS: &str = "50";

/// The settings that all consumers share.
pub(crate) fn config_for(brokers: &Brokers, group: &str) -> ClientConfig {
    let mut config = brokers.librdkafka();
    config
        .set("group.id", group)
        .set("client.id", "millrace")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        // Damaged bytes are an error, instead of records that look like others.
        .set("check.crcs", "true")
        .set("allow.auto.create.topics", "false")
        .set("topic.metadata.refresh.interval.ms", "60000")
        .set("reconnect.backoff.max.ms", "1000");
    config
}

/// The settings of consumers that read for the engine or a projector. The sizes of the fetch queue
/// come from the engine's measurements.
pub(crate) fn read_committed(brokers: &Brokers, group: &str) -> ClientConfig {
    let fetch_wait_ms = std::env::var("MILLRACE_FETCH_WAIT_MS");
    let mut config = config_for(brokers, group);
    config
        .set("isolation.level", "read_committed")
        .set("partition.assignment.strategy", "range")
        .set("session.timeout.ms", "10000")
        .set("heartbeat.interval.ms", "1000")
        .set("fetch.wait.max.ms", fetch_wait_ms.as_deref().unwrap_or(FETCH_WAIT_MS))
        .set("fetch.queue.backoff.ms", "5")
        .set("queued.min.messages", "10000")
        .set("queued.max.messages.kbytes", "16384");
    config
}

//! The settings of topics, by what Redpanda does with them.

/// Settings that both have. The last five are newer than v24.3: see the topic properties in the
/// documentation of v26.2.
const SHARED: &[&str] = &[
    "cleanup.policy",
    "compression.type",
    "delete.retention.ms",
    "flush.ms",
    "max.message.bytes",
    "message.timestamp.type",
    "retention.bytes",
    "retention.ms",
    "segment.bytes",
    "segment.ms",
    "max.compaction.lag.ms",
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
];

/// Settings that only Redpanda has. The gate accepts them and does not pass them to Kafka.
const REDPANDA_ALONE: &[&str] = &[
    "compaction.strategy",
    "flush.bytes",
    "initial.retention.local.target.bytes",
    "initial.retention.local.target.ms",
    "redpanda.iceberg.delete",
    "redpanda.iceberg.mode",
    "redpanda.leaders.preference",
    "redpanda.remote.delete",
    "redpanda.remote.read",
    "redpanda.remote.write",
    "replication.factor",
    "retention.local.target.bytes",
    "retention.local.target.ms",
    "write.caching",
];

/// Settings of Kafka that Redpanda accepts in AlterConfigs without effect.
const WITHOUT_EFFECT: &[&str] = &[
    "file.delete.delay.ms",
    "flush.messages",
    "follower.replication.throttled.replicas",
    "index.interval.bytes",
    "leader.replication.throttled.replicas",
    "message.downconversion.enable",
    "message.format.version",
    "message.timestamp.difference.max.ms",
    "min.insync.replicas",
    "preallocate",
    "segment.index.bytes",
    "segment.jitter.ms",
    "unclean.leader.election.enable",
];

pub(super) fn reaches_kafka(name: &str) -> bool {
    SHARED.contains(&name)
}

pub(super) fn is_refused(name: &str) -> bool {
    !reaches_kafka(name) && !REDPANDA_ALONE.contains(&name) && !WITHOUT_EFFECT.contains(&name)
}

//! The broker's settings of a topic. It names only settings that Redpanda and Apache Kafka share.

use std::collections::BTreeMap;

use super::topic::{Keep, Topic};

const DAY_MS: i64 = 24 * 3600 * 1000;
/// The size at which a segment of a compacted topic is closed. Smaller segments shorten restores;
/// each segment is a file that the broker keeps open.
const COMPACTED_SEGMENT_BYTES: u32 = 32 * 1024 * 1024;

impl Topic {
    /// The broker's settings of this topic that do not depend on its replicas.
    pub fn settings(&self) -> BTreeMap<&'static str, String> {
        let mut settings = BTreeMap::from([
            ("message.timestamp.type", "LogAppendTime".to_owned()),
            ("max.message.bytes", self.bytes_max.to_string()),
            ("compression.type", "producer".to_owned()),
        ]);
        match self.keep {
            Keep::Forever => {
                settings.insert("cleanup.policy", "delete".to_owned());
                settings.insert("retention.ms", "-1".to_owned());
                settings.insert("retention.bytes", "-1".to_owned());
            }
            Keep::Days(days) => {
                settings.insert("cleanup.policy", "delete".to_owned());
                settings.insert("retention.ms", (i64::from(days) * DAY_MS).to_string());
                settings.insert("retention.bytes", "-1".to_owned());
                // The broker deletes only closed segments: records of a topic that is kept for two
                // days must not wait for a week until their segment is closed.
                settings.insert("segment.ms", DAY_MS.to_string());
            }
            Keep::Compacted => {
                settings.insert("cleanup.policy", "compact".to_owned());
                // Defaults differ between brokers and their versions: Kafka 0.5, Redpanda 0.2 up to
                // 26.1 and 0.5 since.
                settings.insert("min.cleanable.dirty.ratio", "0.2".to_owned());
                // The broker compacts only closed segments, and a restore reads everything else: at
                // most two segments a partition besides the newest record of each key. By default
                // Redpanda closes a segment at 256 MiB (`compacted_log_segment_size`), Kafka at 1
                // GiB.
                settings.insert("segment.bytes", COMPACTED_SEGMENT_BYTES.to_string());
                settings.insert("segment.ms", DAY_MS.to_string());
                // Tombstones and transaction markers stay long enough for a reader that was
                // stopped.
                settings.insert("delete.retention.ms", (7 * DAY_MS).to_string());
            }
        }
        settings
    }

    /// The broker's settings of this topic with this many replicas.
    ///
    /// With three or more replicas, an acknowledged record is on most of them; with fewer, one
    /// missing replica would stop all writes. Apache Kafka needs this setting. Redpanda always
    /// waits for most replicas, does not have the setting, and ignores it.
    pub fn settings_for(&self, replicas: i32) -> BTreeMap<&'static str, String> {
        let mut settings = self.settings();
        let in_sync = if replicas >= 3 { replicas / 2 + 1 } else { 1 };
        settings.insert("min.insync.replicas", in_sync.to_string());
        settings
    }
}

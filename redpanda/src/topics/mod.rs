//! The topics, as `topics.yaml` declares them: read once, checked, and looked up by name. Nothing
//! here makes a request; the program `provision` does.
//!
//! - `topic`: a topic; `declaration`: the form of the file, and its checks; `settings`: a topic's
//!   settings of the broker

mod declaration;
mod settings;
#[cfg(test)]
mod tests;
mod topic;

use std::sync::OnceLock;

pub use declaration::{RecordType, TopicsError};
pub use topic::{Keep, Topic, Topics};

const TEXT: &str = include_str!("../../topics.yaml");

/// The largest record that a session writes, whatever its topic accepts: librdkafka's
/// `message.max.bytes`.
pub const RECORD_BYTES_MAX: u32 = 2 * 1024 * 1024;
/// The largest record batch of several records that a session writes: librdkafka's `batch.size`.
/// Every topic accepts as much, so that a record within its topic's limit is never refused because
/// of other records in its record batch.
pub const BATCH_BYTES_MAX: u32 = 1_000_000;

/// The largest record that a session may write to `topic`, as [`crate::log::wire_bytes`] counts
/// it. A topic that is not declared has the default limit.
pub fn record_bytes_max(topic: &str) -> usize {
    let declared = all().get(topic).map_or(all().bytes_max, |topic| topic.bytes_max);
    declared.min(RECORD_BYTES_MAX) as usize
}

/// Whether the values of `topic` must not be copied into dead letters.
pub fn is_secret(topic: &str) -> bool {
    all().get(topic).is_some_and(|topic| topic.secret)
}

/// The declared topics.
///
/// # Panics
/// If `topics.yaml` is wrong. It is part of the program, and a test reads it.
pub fn all() -> &'static Topics {
    static ALL: OnceLock<Topics> = OnceLock::new();
    ALL.get_or_init(|| match Topics::parse(TEXT) {
        Ok(topics) => topics,
        Err(error) => panic!("topics.yaml: {error}"),
    })
}

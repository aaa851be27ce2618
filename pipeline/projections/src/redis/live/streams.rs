//! The projections of the live stream, which follow from `topics.yaml`, and the names of its keys
//! and entries. Data only.

use std::{collections::BTreeMap, sync::LazyLock};

use redpanda::topics;

/// A projection of the live stream: it shows the events of all contexts that one service owns.
#[derive(Debug)]
pub(crate) struct LiveStream {
    /// The projection's name.
    pub(super) name: String,
    /// The topics whose events it shows.
    pub(super) topics: Vec<&'static str>,
}

/// All of them, by the service that runs them.
pub(super) static ALL: LazyLock<BTreeMap<&str, LiveStream>> = LazyLock::new(|| {
    let mut all = BTreeMap::new();
    for topic in topics::all().of_kind("events") {
        let owner = topic.owner.as_str();
        let new = || LiveStream { name: format!("live-{owner}"), topics: Vec::new() };
        all.entry(owner).or_insert_with(new).topics.push(topic.name.as_str());
    }
    all
});

impl LiveStream {
    /// The projection that `service` runs; `None` if it owns no events.
    pub(crate) fn of(service: &str) -> Option<&'static Self> {
        ALL.get(service)
    }
}

/// The key of the stream of a partition.
pub(super) fn live_key(topic: &str, partition: i32) -> String {
    format!("live:{topic}:{partition}")
}

/// The topic and partition of a key of a stream.
pub(super) fn parse_key(key: &str) -> Option<(&str, i32)> {
    let (topic, partition) = key.strip_prefix("live:")?.rsplit_once(':')?;
    Some((topic, partition.parse().ok()?))
}

/// The id of the entry for `offset`. Redis has no entry `0-0`.
pub(super) fn entry_id(offset: i64) -> String {
    if offset == 0 { "0-1".to_owned() } else { format!("{offset}-0") }
}

/// An id that is lower than that of the entry for `next` and higher than all earlier ones.
pub(super) fn id_before(next: i64) -> String {
    if next <= 0 { "0-0".to_owned() } else { format!("{}-1", next - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_shows_the_events_of_all_contexts_that_it_owns() {
        let LiveStream { name, topics } = LiveStream::of("user").expect("a stream");
        assert_eq!(
            (name.as_str(), &topics[..]),
            ("live-user", &["email.events", "user.events"][..])
        );
        assert!(LiveStream::of("gateway").is_none());
    }

    #[test]
    fn ids_are_in_the_order_of_offsets() {
        let ids = [entry_id(0), entry_id(1), entry_id(7)];
        assert_eq!(ids, ["0-1", "1-0", "7-0"]);
        assert_eq!([id_before(0), id_before(1), id_before(8)], ["0-0", "0-1", "7-1"]);
    }

    #[test]
    fn key_is_parsed_into_topic_and_partition() {
        assert_eq!(parse_key(&live_key("order.events", 3)), Some(("order.events", 3)));
        assert_eq!(parse_key("product:tea"), None);
    }
}

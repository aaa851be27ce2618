//! The table of the projections of the live stream, and the names of its keys and entries. Data
//! only.

/// A projection of the live stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LiveStream {
    /// The projection's name.
    pub(super) name: &'static str,
    /// The topics whose events it shows.
    pub(super) topics: &'static [&'static str],
}

/// Events of users and of claims of addresses.
pub(crate) const LIVE_USER: LiveStream =
    LiveStream { name: "live-user", topics: &["user.events", "email.events"] };
/// Events of orders and of their stock.
pub(crate) const LIVE_ORDER: LiveStream =
    LiveStream { name: "live-order", topics: &["order.events", "stock.events"] };
/// Events of notifications.
pub(crate) const LIVE_NOTIFICATION: LiveStream =
    LiveStream { name: "live-notification", topics: &["notification.events"] };

/// All of them, for readers.
pub(super) const ALL: [LiveStream; 3] = [LIVE_USER, LIVE_ORDER, LIVE_NOTIFICATION];

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

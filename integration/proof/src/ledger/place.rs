//! Invariants C and D, for where records are: all records of a key are in the partition that its
//! hash names, and an aggregate's rows of the changelog are in that partition of the changelog. A
//! record elsewhere has another writer, or no order among the others of its key.

use redpanda::{log::Record, partition_of};

use super::{
    fold::CHILD_SEPARATOR,
    violation::{Damage, Violation},
};

/// The violation by a record that is in another of `partitions` than its key names.
pub(super) fn misplaced(record: &Record, partitions: i32) -> Option<Violation> {
    let key = record.key.as_deref().unwrap_or_default();
    let (invariant, named) = match record.topic.rsplit('.').next()? {
        "commands" | "followups" | "events" | "outcomes" => ('C', key),
        "state" => ('D', aggregate(key)?),
        _ => return None,
    };
    let wanted = partition_of(named, partitions);
    let what = || {
        let key = String::from_utf8_lossy(key);
        let (topic, partition, offset) = (&record.topic, record.partition, record.offset);
        format!("{topic}[{partition}]@{offset}: the key {key:?} belongs to partition {wanted}")
    };
    (record.partition != wanted).then(|| Violation::new(invariant, Damage::Torn, what()))
}

/// The key of the aggregate that a row of the changelog belongs to.
fn aggregate(row: &[u8]) -> Option<&[u8]> {
    let mut words = std::str::from_utf8(row).ok()?.splitn(3, '/');
    let (kind, _context, rest) = (words.next()?, words.next()?, words.next()?);
    let key = rest.split(CHILD_SEPARATOR).next()?;
    matches!(kind, "state" | "member" | "waiting" | "timer").then_some(key.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::testing::record;

    #[test]
    fn record_in_another_partition_than_its_key_names_is_torn() {
        let right = partition_of(b"tea", 4);
        let wrong = (right + 1) % 4;
        for (topic, key, invariant) in [
            ("stock.commands", "tea", 'C'),
            ("stock.followups", "tea", 'C'),
            ("stock.events", "tea", 'C'),
            ("order.outcomes", "tea", 'C'),
            ("order.state", "state/stock/tea", 'D'),
            ("order.state", "member/stock/tea\u{1f}order", 'D'),
        ] {
            assert_eq!(misplaced(&record(topic, right, key), 4), None, "{topic} {key}");
            let found = misplaced(&record(topic, wrong, key), 4).expect("it is misplaced");
            assert_eq!(
                (found.invariant, found.damage),
                (invariant, Damage::Torn),
                "{}",
                found.what
            );
        }
        // The keys of other topics and rows name no partition.
        for (topic, key) in [("order.state", "handled/tea"), ("stock.commands.dead", "tea")] {
            assert_eq!(misplaced(&record(topic, wrong, key), 4), None, "{topic} {key}");
        }
    }
}

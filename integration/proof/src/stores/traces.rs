//! Invariant E for traces: each record is in the trace of the command that caused it, once, and in
//! no other. It covers every topic but the changelogs, which have no traces.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use projections::postgres::{TraceEntry, trace_entries};
use redpanda::log::TopicPartition;
use redpanda::topics::{self, Keep};
use uuid::Uuid;

use crate::ledger::{Damage, Ledger, Violation};

/// The most violations that are listed: one cause could tear every trace.
const LISTED_MAX: usize = 20;

/// A trace must be complete this long after its records were read.
const COMPLETE_MAX: Duration = Duration::from_secs(1);

/// Where a record is: topic, partition and offset.
type RecordPosition = (String, i32, i64);

/// Compares the traces with the ledger.
pub(super) async fn compare(
    postgres: &tokio_postgres::Client,
    ledger: &Ledger,
) -> anyhow::Result<Vec<Violation>> {
    let services = topics::all().of_kind("state");
    let tables = services
        .map(|changelog| format!("SELECT correlation_id, entries FROM trace_{}", changelog.owner));
    let query = tables.collect::<Vec<_>>().join(" UNION ALL ");
    let begun = Instant::now();
    loop {
        let mut stored = Vec::new();
        for row in postgres.query(&query, &[]).await? {
            let entries = trace_entries(row.get(1)).context("a row of a trace")?;
            let command: Uuid = row.get(0);
            stored.extend(entries.into_iter().map(|entry| (position(entry), command)));
        }
        let broken = differences(stored, &ledger.causes, &ledger.removed);
        if broken.is_empty() || begun.elapsed() > COMPLETE_MAX {
            return Ok(broken);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn position(entry: TraceEntry) -> RecordPosition {
    (entry.topic, entry.partition, entry.offset)
}

fn differences(
    stored: Vec<(RecordPosition, Uuid)>,
    causes: &HashMap<RecordPosition, Uuid>,
    removed: &[(TopicPartition, Range<i64>)],
) -> Vec<Violation> {
    let mut broken = Vec::new();
    let mut read: BTreeMap<(&str, i32), (i64, i64)> = BTreeMap::new();
    for (topic, partition, offset) in causes.keys() {
        let (first, last) = read.entry((topic, *partition)).or_insert((*offset, *offset));
        (*first, *last) = ((*first).min(*offset), (*last).max(*offset));
    }
    // The log may have removed a record since it was traced, by DeleteRecords or by compaction; and
    // a record may be newer than what was read.
    let is_unread = |(topic, partition, offset): &RecordPosition| {
        read.get(&(topic, *partition)).is_none_or(|(first, last)| !(first..=last).contains(&offset))
            || removed.iter().any(|(at, offsets)| {
                *at.topic == **topic && at.partition == *partition && offsets.contains(offset)
            })
            || topics::all().get(topic).is_some_and(|topic| topic.keep == Keep::Compacted)
    };
    let mut traced: HashMap<RecordPosition, Uuid> = HashMap::with_capacity(stored.len());
    for (position, command) in stored {
        match causes.get(&position) {
            Some(cause) if *cause != command => {
                let what = format!("{position:?} of command {cause} is in the trace of {command}");
                broken.push(Violation::new('E', Damage::Torn, what));
            }
            None if !is_unread(&position) => {
                let what = format!("{position:?} is in the trace of {command}, not in the log");
                broken.push(Violation::new('E', Damage::Torn, what));
            }
            _ => {}
        }
        if traced.contains_key(&position) {
            let what = format!("{position:?} is traced twice");
            broken.push(Violation::new('E', Damage::Doubled, what));
        }
        traced.insert(position, command);
    }
    for (position, cause) in causes.iter().filter(|(position, _)| !traced.contains_key(*position)) {
        let what = format!("{position:?} is missing in the trace of {cause}");
        broken.push(Violation::new('E', Damage::Lost, what));
    }
    broken.truncate(LISTED_MAX);
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(topic: &str, offset: i64) -> RecordPosition {
        (topic.to_owned(), 0, offset)
    }

    #[test]
    fn missing_foreign_doubled_and_invented_records_are_found() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let causes = HashMap::from([4, 5, 6, 8].map(|offset| (at("order.events", offset), one)));
        let whole: Vec<_> = causes.iter().map(|(position, id)| (position.clone(), *id)).collect();
        assert!(differences(whole.clone(), &causes, &[]).is_empty());

        let mut unread = whole.clone();
        unread.extend([3, 9].map(|offset| (at("order.events", offset), one)));
        unread.push((at("user.credentials", 6), one));
        assert!(differences(unread, &causes, &[]).is_empty(), "the log need not have all records");

        let mut removed = whole.clone();
        removed.push((at("order.events", 7), one));
        assert_eq!(1, differences(removed.clone(), &causes, &[]).len());
        let range = (TopicPartition::new("order.events", 0), 7..8);
        assert!(differences(removed, &causes, &[range]).is_empty(), "nobody could read it");

        let mut wrong = whole;
        wrong.retain(|((_, _, offset), _)| *offset != 4);
        let foreign = wrong.iter_mut().find(|((_, _, offset), _)| *offset == 5);
        foreign.expect("the record at 5").1 = other;
        wrong.extend([(at("order.events", 6), one), (at("order.events", 7), one)]);
        let found: Vec<_> =
            differences(wrong, &causes, &[]).into_iter().map(|violation| violation.what).collect();
        assert_eq!(4, found.len(), "{found:?}");
        for (offset, says) in
            [(4, "missing"), (5, "is in the trace of"), (6, "twice"), (7, "not in the log")]
        {
            let position = format!("{:?}", at("order.events", offset));
            assert!(
                found.iter().any(|one| one.starts_with(&position) && one.contains(says)),
                "{says}"
            );
        }
    }
}

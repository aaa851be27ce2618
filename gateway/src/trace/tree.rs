//! The records of a trace in the order of the tree, each with its parent and its depth.

use std::collections::HashMap;

use serde::Serialize;
use uuid::Uuid;

use crate::{
    reads::{Applied, Since, TraceEntry},
    schema_versions::Versions,
    time,
};

/// A record of the tree.
#[derive(Serialize)]
pub(super) struct TracedRecord {
    /// The index of the record that caused it, if that is in the trace.
    parent: Option<usize>,
    /// How many records of the trace led to it.
    depth: usize,
    topic: String,
    partition: i32,
    offset: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_id: Option<u32>,
    /// The version of that schema under its subject, if the registry says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_version: Option<u32>,
    bytes: u32,
    at: String,
    /// Milliseconds from the first record of the trace to this one.
    after_ms: i64,
    id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    caused_by: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    is_decided_at_once: bool,
    /// The projections that read its topic.
    applied: Vec<AppliedBy>,
}

/// A projection that has applied a record, or not yet.
#[derive(Serialize)]
struct AppliedBy {
    projection: &'static str,
    is_applied: bool,
    /// The time at which it had applied the record at the latest, if that is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    /// Milliseconds from the first record of the trace to `by`.
    #[serde(skip_serializing_if = "Option::is_none")]
    after_ms: Option<i64>,
}

impl AppliedBy {
    fn new(Applied { projection, since }: Applied, first_ms: i64) -> Self {
        let by_ms = match since {
            Since::By(at_ms) => Some(at_ms),
            Since::Unknown | Since::NotYet => None,
        };
        Self {
            projection,
            is_applied: since != Since::NotYet,
            by: by_ms.map(time::text),
            after_ms: by_ms.map(|by_ms| by_ms - first_ms),
        }
    }
}

/// The records in the order of the tree.
pub(super) fn records(
    entries: Vec<TraceEntry>,
    mut applied: Vec<Vec<Applied>>,
    versions: &Versions,
) -> Vec<TracedRecord> {
    let first_ms = entries.iter().map(|entry| entry.at_ms).min().unwrap_or_default();
    let order = depth_first(&parents(&entries));
    let mut entries: Vec<_> = entries.into_iter().map(Some).collect();
    let shown = |(index, position): (usize, TreePosition)| {
        let entry = entries[index].take()?;
        let version = |id| versions.of(id, entry.kind.as_deref());
        Some(TracedRecord {
            parent: position.parent,
            depth: position.depth,
            partition: entry.partition,
            offset: entry.offset,
            key: entry.key,
            schema_id: entry.schema_id,
            schema_version: entry.schema_id.and_then(version),
            kind: entry.kind,
            bytes: entry.bytes,
            at: time::text(entry.at_ms),
            after_ms: entry.at_ms - first_ms,
            id: entry.id,
            caused_by: entry.caused_by,
            version: entry.version,
            source: entry.source,
            is_decided_at_once: entry.is_decided,
            applied: applied
                .get_mut(index)
                .map(std::mem::take)
                .unwrap_or_default()
                .into_iter()
                .map(|applied| AppliedBy::new(applied, first_ms))
                .collect(),
            topic: entry.topic,
        })
    };
    order.into_iter().filter_map(shown).collect()
}

/// The index of the entry that caused each one, if it is among them. A record that was written
/// twice has its id twice: the first one is the cause. A dead letter has its source's id, which
/// caused it.
fn parents(entries: &[TraceEntry]) -> Vec<Option<usize>> {
    let mut by_id: HashMap<Uuid, usize> = HashMap::new();
    for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| !entry.is_dead()) {
        by_id.entry(entry.id).or_insert(index);
    }
    let parent = |(index, entry): (usize, &TraceEntry)| {
        let cause = if entry.is_dead() { Some(entry.id) } else { entry.caused_by };
        by_id.get(&cause?).copied().filter(|parent| *parent != index)
    };
    entries.iter().enumerate().map(parent).collect()
}

/// Where an entry is in the tree: its parent's index in the order of the tree, and its depth.
#[derive(Clone, Copy)]
struct TreePosition {
    parent: Option<usize>,
    depth: usize,
}

/// All entries, each after its parent and directly followed by its children, in their order. Of
/// entries that caused each other in a circle, which only somebody writes by hand, the first one
/// counts as a root.
fn depth_first(parents: &[Option<usize>]) -> Vec<(usize, TreePosition)> {
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); parents.len()];
    for (index, parent) in parents.iter().enumerate() {
        if let Some(parent) = parent {
            children[*parent].push(index);
        }
    }
    let mut order = Vec::with_capacity(parents.len());
    let mut is_placed = vec![false; parents.len()];
    let roots = (0..parents.len()).filter(|index| parents[*index].is_none());
    for root in roots.chain(0..parents.len()) {
        let mut open = vec![(root, TreePosition { parent: None, depth: 0 })];
        while let Some((index, position)) = open.pop() {
            if std::mem::replace(&mut is_placed[index], true) {
                continue;
            }
            let below = TreePosition { parent: Some(order.len()), depth: position.depth + 1 };
            order.push((index, position));
            open.extend(children[index].iter().rev().map(|child| (*child, below)));
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn entry(topic: &str, at_ms: i64, number: u128, cause: Option<u128>) -> TraceEntry {
        TraceEntry {
            topic: topic.to_owned(),
            partition: 0,
            offset: i64::try_from(number).expect("small"),
            at_ms,
            key: None,
            kind: None,
            schema_id: None,
            bytes: 1,
            id: id(number),
            caused_by: cause.map(id),
            version: None,
            source: None,
            is_decided: false,
        }
    }

    /// A record of the tree, as far as it is compared.
    #[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
    struct Shown {
        offset: i64,
        parent: Option<usize>,
        depth: usize,
        after_ms: i64,
    }

    fn at(offset: i64, parent: Option<usize>, depth: usize, after_ms: i64) -> Shown {
        Shown { offset, parent, depth, after_ms }
    }

    /// Each record, in the order of the tree.
    fn tree(entries: Vec<TraceEntry>) -> Vec<Shown> {
        let shown = |it: &TracedRecord| at(it.offset, it.parent, it.depth, it.after_ms);
        records(entries, Vec::new(), &Versions::default()).iter().map(shown).collect()
    }

    #[test]
    fn record_follows_its_cause_in_whatever_order_they_were_read() {
        let mut entries = vec![
            entry("order.commands", 100, 1, None),
            entry("order.events", 110, 2, Some(1)),
            entry("stock.followups", 110, 3, Some(2)),
            entry("stock.events", 110, 4, Some(3)),
            entry("order.outcomes", 120, 5, Some(1)),
        ];
        let expected = vec![
            at(1, None, 0, 0),
            at(2, Some(0), 1, 10),
            at(3, Some(1), 2, 10),
            at(4, Some(2), 3, 10),
            at(5, Some(0), 1, 20),
        ];
        assert_eq!(tree(entries.clone()), expected);
        entries.reverse();
        let mut again = tree(entries);
        again.sort_unstable();
        let mut names: Vec<_> = again.iter().map(|it| (it.offset, it.depth)).collect();
        names.dedup();
        assert_eq!(names, [(1, 0), (2, 1), (3, 2), (4, 3), (5, 1)]);
    }

    #[test]
    fn record_whose_cause_is_missing_is_a_root_that_names_it() {
        let entries = vec![entry("a.events", 5, 2, Some(1)), entry("a.events", 6, 3, Some(2))];
        let records = records(entries, Vec::new(), &Versions::default());
        assert_eq!((records[0].parent, records[0].caused_by), (None, Some(id(1))));
        assert_eq!((records[1].parent, records[1].depth), (Some(0), 1));
    }

    #[test]
    fn dead_letter_and_a_repeat_have_the_first_record_of_their_id_as_cause_or_none() {
        let entries = vec![
            entry("a.commands", 1, 7, None),
            entry("a.commands", 2, 7, None),
            entry("a.commands.dead", 3, 7, None),
            entry("a.outcomes", 4, 8, Some(7)),
        ];
        let places: Vec<_> = records(entries, Vec::new(), &Versions::default())
            .iter()
            .map(|it| (it.topic.clone(), it.after_ms, it.parent))
            .collect();
        let expected = [
            ("a.commands", 0, None),
            ("a.commands.dead", 2, Some(0)),
            ("a.outcomes", 3, Some(0)),
            ("a.commands", 1, None),
        ];
        assert_eq!(places, expected.map(|(topic, ms, parent)| (topic.to_owned(), ms, parent)));
    }

    #[test]
    fn records_that_caused_each_other_are_all_shown_once() {
        let entries = vec![
            entry("a.events", 1, 1, Some(1)),
            entry("a.events", 2, 2, Some(3)),
            entry("a.events", 3, 3, Some(2)),
        ];
        let mut offsets: Vec<_> = tree(entries).iter().map(|it| it.offset).collect();
        offsets.sort_unstable();
        assert_eq!(offsets, [1, 2, 3]);
    }
}

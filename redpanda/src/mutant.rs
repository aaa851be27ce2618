//! Mutants: bugs on purpose, with which the fault tests prove that their checks detect a broken
//! guarantee.
//!
//! They exist only in binaries that are built with the feature `mutants`, which no deployed build
//! enables; there `MILLRACE_MUTANT=no-dedupe` activates that mutant. In every other binary
//! [`is_active`] is the constant `false`.
//!
//! librdkafka itself has none of the bugs that readers can have, so [`ReadMutant`] changes what a
//! correct reader returns into what a reader with the bug would return.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::{
    brokers::Brokers,
    log::{Headers, LogError, Record, TopicPartition},
    scan,
};

/// How long a reader that respects the last stable offset waits for an open transaction.
const STABLE_MAX: Duration = Duration::from_secs(15);
/// Key and value of a commit marker in the log: version and type, then version and the
/// coordinator's epoch.
const MARKER: ([u8; 4], [u8; 6]) = ([0, 0, 0, 1], [0; 6]);

/// Whether the mutant `name` is active: `offsets-early`, `offsets-twice`, `no-dedupe`,
/// `keep-overlay`, `position-apart`, `same-epoch`, `no-fence`, `read-uncommitted`, `aborted-ranges`
/// or `marker-record`.
#[cfg(feature = "mutants")]
pub fn is_active(name: &str) -> bool {
    static ACTIVE: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    ACTIVE.get_or_init(|| std::env::var("MILLRACE_MUTANT").ok()).as_deref() == Some(name)
}

/// Whether the mutant `name` is active: never, in this build.
#[cfg(not(feature = "mutants"))]
#[inline]
pub const fn is_active(_name: &str) -> bool {
    false
}

/// The mutants of a group member, applied to what it has read.
#[derive(Default)]
pub(crate) struct ReadMutant {
    /// The offset behind the last record of each partition.
    next: BTreeMap<TopicPartition, i64>,
}

impl ReadMutant {
    /// The isolation level. Mutants that read past the last stable offset, or return aborted
    /// records, read uncommitted.
    pub(crate) fn isolation() -> &'static str {
        match is_active("read-uncommitted") || is_active("aborted-ranges") {
            true => "read_uncommitted",
            false => "read_committed",
        }
    }

    /// Forgets the offsets, because the member reads from other positions now.
    pub(crate) fn forget(&mut self) {
        self.next.clear();
    }

    /// Applies the active mutant to the records from index `from` on.
    pub(crate) fn spoil(
        &mut self,
        brokers: &Brokers,
        records: &mut Vec<Record>,
        from: usize,
    ) -> Result<(), LogError> {
        if is_active("aborted-ranges") {
            wait_until_stable(brokers, &records[from..])?;
        }
        if is_active("marker-record") {
            self.add_markers(records, from);
        }
        Ok(())
    }

    /// Adds a record in each gap between two records, where a transaction marker is.
    fn add_markers(&mut self, records: &mut Vec<Record>, from: usize) {
        for record in records.split_off(from) {
            let next = self.next.insert(partition(&record), record.offset + 1);
            if next.is_some_and(|next| next < record.offset) {
                records.push(Record {
                    topic: record.topic.clone(),
                    partition: record.partition,
                    offset: record.offset - 1,
                    timestamp_ms: record.timestamp_ms,
                    key: Some(MARKER.0.to_vec().into()),
                    value: Some(MARKER.1.to_vec().into()),
                    headers: Headers::default(),
                });
            }
            records.push(record);
        }
    }
}

/// Waits until the last stable offset has passed all records, committed or not.
fn wait_until_stable(brokers: &Brokers, records: &[Record]) -> Result<(), LogError> {
    let read: BTreeMap<_, _> =
        records.iter().map(|record| (partition(record), record.offset)).collect();
    let partitions: Vec<_> = read.keys().cloned().collect();
    let begun = Instant::now();
    while !partitions.is_empty() && begun.elapsed() < STABLE_MAX {
        let ends = scan::ends(brokers, &partitions)?;
        if ends.iter().zip(read.values()).all(|((stable, _), last)| stable > last) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn partition(record: &Record) -> TopicPartition {
    TopicPartition { topic: record.topic.clone(), partition: record.partition }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marker_record_is_added_in_each_gap_of_a_partition() {
        let record = |partition, offset| Record {
            topic: "order.followups".into(),
            partition,
            offset,
            timestamp_ms: 7,
            key: None,
            value: None,
            headers: Headers::default(),
        };
        let mut mutant = ReadMutant::default();
        let mut records = vec![record(0, 0), record(0, 3), record(1, 4), record(0, 4)];
        mutant.add_markers(&mut records, 1);
        mutant.add_markers(&mut records, 4);
        records.push(record(1, 6));
        mutant.add_markers(&mut records, 4);
        let offsets: Vec<_> =
            records.iter().map(|record| (record.partition, record.offset)).collect();
        assert_eq!(offsets, [(0, 0), (0, 3), (1, 4), (0, 4), (1, 5), (1, 6)]);
        assert_eq!(records[4].key.as_deref(), Some(&MARKER.0[..]));
    }
}

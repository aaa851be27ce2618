//! Bugs planted on purpose, so that those who prove the rules can show that their checks see a
//! broken one.
//!
//! They exist only in binaries that are built with the feature `planted`, which no other build asks
//! for; there `MILLRACE_PLANT=no-dedupe` plants that one. In every other binary this is the
//! constant `false`.
//!
//! librdkafka itself has none of the bugs of readers, so [`Reading`] makes of a good one what a
//! reader with the bug would be given.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::{
    brokers::Brokers,
    log::{Headers, LogError, Record, TopicPartition},
    scan,
};

/// How long an open transaction is waited for by a reader that heeds the last stable offset.
const STABLE_MAX: Duration = Duration::from_secs(15);
/// A commit marker, as it stands in the log: version and type, then version and the coordinator's
/// epoch.
const MARKER: ([u8; 4], [u8; 6]) = ([0, 0, 0, 1], [0; 6]);

/// Whether the bug `name` is planted: `offsets-early`, `offsets-twice`, `no-dedupe`,
/// `keep-overlay`, `position-apart`, `same-epoch`, `no-fence`, `read-uncommitted`, `aborted-ranges`
/// or `marker-record`.
#[cfg(feature = "planted")]
pub fn planted(name: &str) -> bool {
    static PLANTED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    PLANTED.get_or_init(|| std::env::var("MILLRACE_PLANT").ok()).as_deref() == Some(name)
}

/// Whether the bug `name` is planted: never, in this build.
#[cfg(not(feature = "planted"))]
#[inline]
pub const fn planted(_name: &str) -> bool {
    false
}

/// What a group member with a planted bug does to what it has read.
#[derive(Default)]
pub(crate) struct Reading {
    /// The offset behind the last record of each partition.
    next: BTreeMap<TopicPartition, i64>,
}

impl Reading {
    /// The isolation level. Bugs that read past the last stable offset, or do not leave out what
    /// was aborted, read all.
    pub(crate) fn isolation() -> &'static str {
        match planted("read-uncommitted") || planted("aborted-ranges") {
            true => "read_uncommitted",
            false => "read_committed",
        }
    }

    /// Another position is read from.
    pub(crate) fn forget(&mut self) {
        self.next.clear();
    }

    /// Works on the records from `from` on.
    pub(crate) fn spoil(
        &mut self,
        brokers: &Brokers,
        records: &mut Vec<Record>,
        from: usize,
    ) -> Result<(), LogError> {
        if planted("aborted-ranges") {
            wait_until_stable(brokers, &records[from..])?;
        }
        if planted("marker-record") {
            self.add_markers(records, from);
        }
        Ok(())
    }

    /// Gives a record in each gap between two others, where a marker stands.
    fn add_markers(&mut self, records: &mut Vec<Record>, from: usize) {
        for record in records.split_off(from) {
            let next = self.next.insert(place(&record), record.offset + 1);
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
        records.iter().map(|record| (place(record), record.offset)).collect();
    let places: Vec<_> = read.keys().cloned().collect();
    let begun = Instant::now();
    while !places.is_empty() && begun.elapsed() < STABLE_MAX {
        let ends = scan::ends(brokers, &places)?;
        if ends.iter().zip(read.values()).all(|((stable, _), last)| stable > last) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn place(record: &Record) -> TopicPartition {
    TopicPartition { topic: record.topic.clone(), partition: record.partition }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marker_stands_in_each_gap_of_a_partition() {
        let record = |partition, offset| Record {
            topic: "order.followups".into(),
            partition,
            offset,
            timestamp_ms: 7,
            key: None,
            value: None,
            headers: Headers::default(),
        };
        let mut reading = Reading::default();
        let mut records = vec![record(0, 0), record(0, 3), record(1, 4), record(0, 4)];
        reading.add_markers(&mut records, 1);
        reading.add_markers(&mut records, 4);
        records.push(record(1, 6));
        reading.add_markers(&mut records, 4);
        let offsets: Vec<_> =
            records.iter().map(|record| (record.partition, record.offset)).collect();
        assert_eq!(offsets, [(0, 0), (0, 3), (1, 4), (0, 4), (1, 5), (1, 6)]);
        assert_eq!(records[4].key.as_deref(), Some(&MARKER.0[..]));
    }
}

//! Positions that move past transaction markers.

use super::*;
use crate::projector::run::join_until_shutdown;

#[test]
fn position_follows_the_log_past_the_marker_of_a_transaction() {
    let (runtime, fake) = (Runtime::new().expect("a runtime"), Fake::default());
    let log = log_with_one_transaction();
    let resources = resources(&log, &runtime);
    let mut projector = member(&log, &fake, &resources);
    projector.store_positions.every = Duration::ZERO;
    steps(&mut projector, 5);
    assert_eq!(fake.position(), Some(2));
}

#[test]
fn position_behind_a_marker_is_stored_at_a_shutdown() {
    let (runtime, fake) = (Runtime::new().expect("a runtime"), Fake::default());
    let log = log_with_one_transaction();
    let resources = resources(&log, &runtime);
    let shut_down_after_the_record = || {
        if fake.applied.load(Ordering::Relaxed) == 1 {
            resources.shutdown.store(true, Ordering::Relaxed);
        }
    };
    join_until_shutdown(&fake, &resources, &shut_down_after_the_record).expect("it ends");
    assert_eq!(fake.position(), Some(2));
}

/// Appends a record to a topic of one partition; returns its offset.
fn append(log: &MemoryLog, topic: &str) -> i64 {
    log.append(topic, "key", None, Headers::default()).1
}

/// A log from whose `topic` three records were removed, after a projection had stored `position`.
fn log_after_a_removal(topic: &'static str, fake: &Fake, position: i64) -> MemoryLog {
    let log = MemoryLog::new([(topic, 1)]);
    for _ in 0..3 {
        append(&log, topic);
    }
    log.remove_all(topic);
    fake.set_position(0, Some(position));
    log
}

#[test]
fn position_one_marker_before_an_empty_log_continues() {
    let fake = Fake { topics: &["order.followups"], ..Fake::default() };
    let runtime = Runtime::new().expect("a runtime");
    // given a position that is before the last of three offsets, which stands for a marker
    let log = log_after_a_removal("order.followups", &fake, 2);
    let resources = resources(&log, &runtime);
    let mut projector = member(&log, &fake, &resources);
    steps(&mut projector, 5);
    assert_eq!((fake.position(), projector.partitions()), (Some(3), (1, 0)));

    // when a record is written, then it is applied
    assert_eq!(append(&log, "order.followups"), 3);
    steps(&mut projector, 5);
    assert_eq!((fake.position(), fake.applied.load(Ordering::Relaxed)), (Some(4), 1));
}

#[test]
fn position_before_removed_records_stops_the_partition() {
    let cases: [(&'static [&'static str], i64, usize); 4] = [
        // Two offsets were removed: a record and its marker.
        (&["order.followups"], 1, 0),
        // The log has later records, so the offset before them may be one too.
        (&["order.followups"], 2, 1),
        // Users write commands outside of transactions.
        (&["order.commands"], 2, 0),
        // The log has lost its end.
        (&["order.followups"], 4, 0),
    ];
    for (topics, position, written) in cases {
        let fake = Fake { topics, ..Fake::default() };
        let runtime = Runtime::new().expect("a runtime");
        let log = log_after_a_removal(topics[0], &fake, position);
        for _ in 0..written {
            append(&log, topics[0]);
        }
        let resources = resources(&log, &runtime);
        let mut projector = member(&log, &fake, &resources);
        steps(&mut projector, 5);
        let state = (fake.position(), projector.partitions());
        assert_eq!(state, (Some(position), (0, 1)), "{topics:?} at {position}");
    }
}

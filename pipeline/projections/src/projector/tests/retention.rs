//! Removals of what has ended long ago.

use super::*;
use crate::clock::now_ms;

#[test]
fn old_rows_are_removed_in_batches_counted_from_the_latest_record_but_not_from_the_future() {
    for (record_ms, counts_from) in [(5_000_000, Some(5_000_000)), (i64::MAX / 2, None)] {
        let (runtime, fake) = (Runtime::new().expect("a runtime"), Fake::default());
        let log = MemoryLog::new([("events", 1)]);
        let resources = resources(&log, &runtime);
        let mut projector = member(&log, &fake, &resources);
        projector.remove.every = Duration::ZERO;
        fake.old.lock().expect("a lock").0 = 2 * REMOVE_MAX + 1;
        steps(&mut projector, 5);
        let old = *fake.old.lock().expect("a lock");
        assert_eq!(old, (2 * REMOVE_MAX + 1, 0), "without records nothing grows");

        log.set_time(record_ms);
        log.append("events", "key", None, Headers::default());
        let left = |fake: &Fake| fake.old.lock().expect("a lock").0;
        while left(&fake) > 2 * REMOVE_MAX {
            steps(&mut projector, 1);
        }
        assert_eq!(left(&fake), REMOVE_MAX + 1, "one batch a turn");
        steps(&mut projector, 5);
        let (left, before_ms) = *fake.old.lock().expect("a lock");
        let kept_ms = 31 * 24 * 3_600_000 - 23 * 3_600_000;
        assert_eq!(left, 0);
        match counts_from {
            Some(latest_ms) => assert_eq!(before_ms, latest_ms - kept_ms),
            None => assert!(
                before_ms <= now_ms() - kept_ms,
                "a broker whose clock is ahead removes nothing early"
            ),
        }
    }
}

/// Appends a record to each of two partitions.
fn append_to_both(log: &MemoryLog) {
    for partition in 0..2 {
        log.append_raw(ProducerRecord {
            topic: "events".into(),
            partition,
            key: None,
            value: None,
            headers: Headers::default(),
        });
    }
}

#[test]
fn nothing_with_versions_is_removed_before_the_partitions_of_all_members_are_applied() {
    let (runtime, fake) = (Runtime::new().expect("a runtime"), Fake::default());
    let log = MemoryLog::new([("events", 2)]);
    let resources = resources(&log, &runtime);
    // given two members with one partition each, both with records of long ago
    let (mut fast, mut slow) = (member(&log, &fake, &resources), member(&log, &fake, &resources));
    fast.remove.every = Duration::ZERO;
    slow.remove.every = Duration::from_secs(3600);
    while (fast.partitions(), slow.partitions()) != ((1, 0), (1, 0)) {
        steps(&mut fast, 1);
        steps(&mut slow, 1);
    }
    log.set_time(5_000_000);
    append_to_both(&log);
    fake.old.lock().expect("a lock").0 = 1;
    let left = || fake.old.lock().expect("a lock").0;

    // when only one of them has read its partition
    steps(&mut fast, 10);
    assert_eq!(fake.applied.load(Ordering::Relaxed), 1);
    assert_eq!(left(), 1, "the other partition may have the next event of what has ended");

    // then it removes what is old when the other one has done so too
    while fake.applied.load(Ordering::Relaxed) < 2 {
        steps(&mut slow, 1);
    }
    steps(&mut fast, 1);
    assert_eq!(left(), 0);
}

#[test]
fn rebuild_of_another_member_ends_removals() {
    let (runtime, fake) = (Runtime::new().expect("a runtime"), Fake::default());
    let log = MemoryLog::new([("events", 2)]);
    let resources = resources(&log, &runtime);
    let mut projector = member(&log, &fake, &resources);
    projector.remove.every = Duration::ZERO;
    fake.old.lock().expect("a lock").0 = 2 * REMOVE_MAX;
    let left = || fake.old.lock().expect("a lock").0;
    log.set_time(5_000_000);
    append_to_both(&log);
    while left() > REMOVE_MAX {
        steps(&mut projector, 1);
    }

    fake.set_position(1, Some(0));
    projector.remove_old();

    assert_eq!(left(), REMOVE_MAX, "a partition is behind again");
}

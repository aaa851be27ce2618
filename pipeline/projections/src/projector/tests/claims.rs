//! Claims of a partition that has no position yet.

use super::*;

#[test]
fn start_at_the_end_is_stored_so_that_the_next_owner_misses_no_record() {
    let fake = Fake { starts_at_end: true, ..Fake::default() };
    let runtime = Runtime::new().expect("a runtime");
    let log = MemoryLog::new([("events", 1)]);
    log.append("events", "key", None, Headers::default());
    let resources = resources(&log, &runtime);
    // given an owner that has claimed the partition and has read nothing
    let mut former = member(&log, &fake, &resources);
    while former.partitions() != (1, 0) {
        steps(&mut former, 1);
    }
    assert_eq!(fake.position(), Some(1));
    drop(former);

    // when a record is written before the next owner has claimed it
    log.append("events", "key", None, Headers::default());
    let mut next = member(&log, &fake, &resources);
    steps(&mut next, 5);

    assert_eq!(fake.applied.load(Ordering::Relaxed), 1);
    assert_eq!(fake.position(), Some(2));
}

#[test]
fn partition_is_not_read_before_its_start_is_stored() {
    let (runtime, fake) = (Runtime::new().expect("a runtime"), Fake::default());
    let log = MemoryLog::new([("events", 1)]);
    let resources = resources(&log, &runtime);
    let mut projector = member(&log, &fake, &resources);
    fake.fails.store(true, Ordering::Relaxed);
    steps(&mut projector, 5);
    assert_eq!((projector.partitions(), fake.position()), ((0, 1), None));

    fake.fails.store(false, Ordering::Relaxed);
    while projector.partitions() != (1, 0) {
        steps(&mut projector, 1);
    }
    assert_eq!(fake.position(), Some(0));
}

#[test]
fn store_learns_before_the_first_record_up_to_where_it_is_rebuilt() {
    let (runtime, fake) = (Runtime::new().expect("a runtime"), Fake::default());
    let log = MemoryLog::new([("events", 1)]);
    for _ in 0..3 {
        log.append("events", "key", None, Headers::default());
    }
    let resources = resources(&log, &runtime);
    let mut projector = member(&log, &fake, &resources);
    while fake.applied.load(Ordering::Relaxed) < 3 {
        steps(&mut projector, 1);
    }
    assert_eq!(*fake.rebuilds.lock().expect("a lock"), [(3, 0)]);

    // and a partition that has a position is not rebuilt
    drop(projector);
    let mut next = member(&log, &fake, &resources);
    while next.partitions() != (1, 0) {
        steps(&mut next, 1);
    }
    assert_eq!(fake.rebuilds.lock().expect("a lock").len(), 1);
}

#[test]
fn partition_without_records_is_not_rebuilt() {
    let (runtime, fake) = (Runtime::new().expect("a runtime"), Fake::default());
    let log = MemoryLog::new([("events", 1)]);
    let resources = resources(&log, &runtime);
    let mut projector = member(&log, &fake, &resources);
    while projector.partitions() != (1, 0) {
        steps(&mut projector, 1);
    }
    assert_eq!(*fake.rebuilds.lock().expect("a lock"), []);
}

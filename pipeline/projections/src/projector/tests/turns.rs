//! Turns that end before all polled records are applied, and those before the first poll.

use super::*;

#[test]
fn records_that_a_projection_leaves_are_read_again_without_a_new_claim() {
    let fake = Fake { applies_max: Some(2), ..Fake::default() };
    let runtime = Runtime::new().expect("a runtime");
    let log = MemoryLog::new([("events", 1)]);
    for _ in 0..5 {
        log.append("events", "key", None, Headers::default());
    }
    let resources = resources(&log, &runtime);
    let mut projector = member(&log, &fake, &resources);
    while fake.applied.load(Ordering::Relaxed) == 0 {
        steps(&mut projector, 1);
    }
    assert_eq!(fake.position(), Some(2));
    steps(&mut projector, 1);
    assert_eq!(fake.position(), Some(4));
    steps(&mut projector, 1);
    assert_eq!(fake.claimed(0), Claim { epoch: 1, next: Some(5) });
}

#[test]
fn records_that_are_applied_one_by_one_end_the_turn_when_they_take_too_long() {
    let fake = Fake { refuses_several: true, ..Fake::default() };
    let runtime = Runtime::new().expect("a runtime");
    let log = MemoryLog::new([("events", 1)]);
    for _ in 0..3 {
        log.append("events", "key", None, Headers::default());
    }
    let resources = resources(&log, &runtime);
    let mut projector = member(&log, &fake, &resources);
    projector.apply_max = Duration::ZERO;
    while fake.applied.load(Ordering::Relaxed) == 0 {
        steps(&mut projector, 1);
    }
    assert_eq!((fake.position(), projector.partitions()), (Some(1), (1, 0)));

    // then the others are applied in later turns, and no record twice
    steps(&mut projector, 10);
    assert_eq!((fake.position(), fake.applied.load(Ordering::Relaxed)), (Some(3), 3));
}

#[test]
fn projector_that_migrates_for_long_does_not_count_as_stuck() {
    let (runtime, log) = (Runtime::new().expect("a runtime"), MemoryLog::new([("events", 1)]));
    let open = |_: &str, _: &[&str]| -> Result<Box<dyn Input>, LogError> {
        Err(LogError::Exhausted { doing: "joining a group".to_owned(), cause: "a test".into() })
    };
    let resources = Resources { open: Arc::new(open), ..resources(&log, &runtime) };
    let fake = Fake { prepares_for: Duration::from_secs(2), ..Fake::default() };
    let turns = AtomicUsize::new(0);
    let begin_turn = || {
        turns.fetch_add(1, Ordering::Relaxed);
    };
    run(Box::new(fake), &resources, &begin_turn).expect_err("it ends");
    let turns = turns.load(Ordering::Relaxed);
    assert!(turns >= 4, "{turns} turns in two seconds");
}

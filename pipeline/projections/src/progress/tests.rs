//! Steps in memory, and that rows give back what they were made of.

use redpanda::log::TopicPartition;

use super::{
    Progress, STEPS_MAX, Step, Steps, pack,
    reads::{first_behind, spans},
    unpack,
};

fn place(projection: &str, topic: &str, partition: i32) -> (String, TopicPartition) {
    (projection.to_owned(), TopicPartition { topic: topic.into(), partition })
}

fn applied(progress: &Progress, partition: i32, next: i64, at_ms: i64) {
    let (projection, partition) = place("orders", "order.events", partition);
    progress.applied(&projection, &partition, next, at_ms);
}

#[test]
fn commits_of_a_tenth_of_a_second_are_one_step_with_the_last_time() {
    let progress = Progress::default();
    for (next, at_ms) in [(1, 1_000), (2, 1_050), (4, 1_099), (5, 1_100)] {
        applied(&progress, 0, next, at_ms);
    }
    applied(&progress, 1, 9, 1_050);
    let steps = progress.take();
    let of = |partition| &*steps[&place("orders", "order.events", partition)];
    assert_eq!(of(0), [Step { at_ms: 1_099, next: 4 }, Step { at_ms: 1_100, next: 5 }]);
    assert_eq!(of(1), [Step { at_ms: 1_050, next: 9 }]);
    assert!(progress.take().is_empty());
}

#[test]
fn what_could_not_be_written_comes_before_what_was_applied_since() {
    let progress = Progress::default();
    applied(&progress, 0, 1, 1_000);
    let taken = progress.take();
    applied(&progress, 0, 2, 2_000);
    progress.give_back(taken);
    let steps = progress.take();
    let steps = &steps[&place("orders", "order.events", 0)];
    assert_eq!(**steps, [Step { at_ms: 1_000, next: 1 }, Step { at_ms: 2_000, next: 2 }]);
}

#[test]
fn steps_are_bounded_and_the_last_one_stays_true() {
    let progress = Progress::default();
    let most = i64::try_from(STEPS_MAX).expect("small");
    for number in 0..most + 10 {
        applied(&progress, 0, number, number * 1_000);
    }
    let steps = progress.take();
    let steps = &steps[&place("orders", "order.events", 0)];
    assert_eq!(steps.len(), STEPS_MAX);
    assert_eq!(steps.last(), Some(&Step { at_ms: (most + 9) * 1_000, next: most + 9 }));
}

#[test]
fn row_gives_back_its_steps_and_is_small() {
    assert!(pack(&Steps::new()).expect("packed").is_none());
    let mut steps = Steps::new();
    for partition in 0..12 {
        let step = |number: i64| Step {
            at_ms: 1_700_000_000_000 + number * 100,
            next: 3_000_000 + number,
        };
        steps.insert(place("orders", "order.events", partition), (0..10).map(step).collect());
        steps.insert(place("statistics", "order.events", partition), vec![step(3)]);
    }
    let (first_ms, last_ms, row) = pack(&steps).expect("packed").expect("a row");
    assert_eq!((first_ms, last_ms), (1_700_000_000_000, 1_700_000_000_900));
    assert!(row.len() < 132 * 7 + 80, "{}", row.len());
    let mut read = Steps::new();
    unpack(first_ms, &row, &mut read).expect("unpacked");
    assert_eq!(read, steps);
    let error = unpack(0, &[9], &mut read).expect_err("another form");
    assert!(schemas::chain(&error).contains("expected form 1, found Some(9)"), "{error:?}");
}

#[test]
fn record_is_applied_by_the_first_step_behind_it() {
    let steps = [(100, 5), (200, 7), (300, 9)].map(|(at_ms, next)| Step { at_ms, next });
    for (offset, expected) in [(0, Some(100)), (4, Some(100)), (5, Some(200)), (9, None)] {
        assert_eq!(first_behind(&steps, offset), expected, "{offset}");
    }
}

#[test]
fn spans_of_records_that_are_close_are_one() {
    let found = spans([0, 20_000, 40_000, 500_000].into());
    assert_eq!(found, [(-2_000, 70_000), (498_000, 530_000)]);
}

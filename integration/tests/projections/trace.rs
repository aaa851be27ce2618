//! Traces in PostgreSQL: every record of a command is in its trace once, and none of another,
//! whichever projector writes them; old days are dropped.

use std::collections::{BTreeMap, BTreeSet};

use projections::projection::Retention;
use redpanda::log::Headers;
use schemas::headers;
use uuid::Uuid;

use crate::stories::uuid;
use crate::support::Bench;

const COMMANDS: u128 = 120;
const DAY_MS: i64 = 24 * 3_600_000;
/// Topics of three services, in the order in which a chain passes them. What is written to the last
/// one is no Avro.
const CHAIN: [&str; 7] = [
    "order.commands",
    "order.events",
    "stock.followups",
    "stock.events",
    "notification.followups",
    "order.outcomes",
    "order.commands.dead",
];

/// Where a record is.
type RecordPosition = (String, i32, i64);

/// Writes one record of a command's chain, which the one before it caused.
fn write(bench: &Bench, command: Uuid, step: usize) -> RecordPosition {
    let id = |step: usize| match step {
        0 => command,
        _ => Uuid::new_v5(&command, &[u8::try_from(step).expect("small")]),
    };
    let mut with = Headers::default();
    with.push(headers::ID, id(step).to_string());
    if step > 0 {
        with.push(headers::CORRELATION_ID, command.to_string());
        with.push(headers::CAUSATION_ID, id(step - 1).to_string());
    }
    let key = format!("key of {command} and {step}");
    let (partition, offset) = bench.append_bytes(CHAIN[step], &key, b"no Avro", with);
    (CHAIN[step].to_owned(), partition, offset)
}

#[test]
#[ignore = "needs the stack: integration/test"]
fn trace_has_each_record_of_its_command_once_with_two_owners_and_after_a_rebuild() {
    let bench = Bench::new(15);
    // Records of another time than today's are not traced.
    bench.pass(projections::clock::now_ms());
    let (orders, notifications) = (bench.one("order-trace"), bench.one("notification-trace"));
    // given two members that both act as the owner of all partitions
    let mut members = [
        bench.member("one", &*orders),
        bench.member("two", &*orders),
        bench.member("three", &*notifications),
    ];
    // when records of many commands are written in turns, while they work
    let mut expected: BTreeMap<Uuid, Vec<RecordPosition>> = BTreeMap::new();
    for step in 0..CHAIN.len() {
        for number in 0..COMMANDS {
            let command = uuid(number);
            expected.entry(command).or_default().push(write(&bench, command, step));
            if number % 50 == 0 {
                members.iter_mut().for_each(|member| member.step().expect("a step"));
            }
        }
    }
    // then each trace has its records and no other, once
    let traces = || -> BTreeMap<Uuid, Vec<RecordPosition>> {
        let trace = |command: &Uuid| {
            let view = bench.wait(bench.people.trace(&[*command])).expect("an answer");
            assert!(!view.is_cut);
            let position = |entry: projections::postgres::TraceEntry| {
                (entry.topic, entry.partition, entry.offset)
            };
            // By time, which is the order in which they were written.
            (*command, view.entries.into_iter().map(position).collect())
        };
        expected.keys().map(trace).collect()
    };
    bench.until(&mut members, "all records are traced", || (traces() == expected).then_some(()));
    for _ in 0..5 {
        members.iter_mut().for_each(|member| member.step().expect("a step"));
    }
    assert_eq!(traces(), expected);
    // and each record tells its command, and no other place does
    let cause = |(topic, partition, offset): &RecordPosition| {
        bench.wait(bench.people.cause(topic, *partition, *offset)).expect("an answer")
    };
    let all_causes = || expected.values().flatten().map(cause).collect::<Vec<_>>();
    let each =
        |(command, positions): (&Uuid, &Vec<RecordPosition>)| vec![Some(*command); positions.len()];
    let causes: Vec<_> = expected.iter().flat_map(each).collect();
    assert_eq!(all_causes(), causes);
    let last =
        |topic: &str| expected.values().flatten().filter(|position| position.0 == topic).max();
    let (topic, partition, offset) = last("order.events").expect("one").clone();
    for (topic, offset) in [(&*topic, offset + 1_000_000), ("order.state", 0), ("none", 0)] {
        assert_eq!(cause(&(topic.to_owned(), partition, offset)), None);
    }
    // when one service's are erased under projectors at work, then the other's stay
    bench.wait(orders.erase()).expect("erased");
    let left = traces();
    let topics: BTreeSet<_> = left.values().flatten().map(|position| position.0.as_str()).collect();
    assert_eq!(topics, ["notification.followups"].into());
    // and a rebuild gives the same
    bench.until(&mut members, "all are traced again", || (traces() == expected).then_some(()));
    assert_eq!(all_causes(), causes);

    // when days pass, each gets its own partition, and those of a week ago are removed
    let today = bench.now();
    let keep = |at_ms: i64| {
        let retention = Retention { now_ms: at_ms, before_ms: None };
        bench.wait(orders.remove(retention)).expect("removed")
    };
    assert_eq!(keep(today), 0);
    assert_eq!(keep(today), 0, "the partitions exist");
    bench.pass(DAY_MS);
    let tomorrows = uuid(COMMANDS + 1);
    write(&bench, tomorrows, 0);
    bench.until(&mut members, "tomorrow's record", || {
        let view = bench.wait(bench.people.trace(&[tomorrows])).expect("an answer");
        (view.entries.len() == 1).then_some(())
    });
    assert_eq!(keep(today + 7 * DAY_MS), 0, "what is seven days old is kept");
    assert_eq!(traces(), expected);
    while keep(today + 8 * DAY_MS) > 0 {}
    assert!(all_causes().iter().all(Option::is_none), "today's are removed");
    assert!(traces().values().all(Vec::is_empty), "today's are removed");
    let read = || bench.wait(bench.people.trace(&[tomorrows])).expect("an answer").entries.len();
    assert_eq!(read(), 1);
    while keep(today + 9 * DAY_MS) > 0 {}
    assert_eq!(read(), 0);
}

#[test]
#[ignore = "needs the stack: integration/test"]
fn service_without_tables_gets_them_at_its_start() {
    let bench = Bench::new(15);
    bench.pass(projections::clock::now_ms());
    let (orders, command) = (bench.one("order-trace"), uuid(1));
    let traced = || bench.wait(bench.people.trace(&[command])).map(|view| view.entries.len());
    bench.sql("DROP TABLE trace_order, trace_records_order");
    assert!(traced().is_err(), "the tables are not gone");

    bench.wait(async {
        let (one, two) = tokio::join!(orders.prepare(), orders.prepare());
        one.and(two).expect("prepared");
    });

    let (topic, partition, offset) = write(&bench, command, 1);
    bench.until(&mut [bench.member("one", &*orders)], "it is traced", || {
        (traced().expect("an answer") == 1).then_some(())
    });
    let cause = bench.wait(bench.people.cause(&topic, partition, offset)).expect("an answer");
    assert_eq!(cause, Some(command));
    let retention = Retention { now_ms: bench.now(), before_ms: None };
    assert_eq!(bench.wait(orders.remove(retention)).expect("today's partitions are created"), 0);
}

//! The live stream in Redis.

use std::time::Duration;

use schemas::user;

use crate::stories::{registered, uuid};
use crate::support::Bench;

#[test]
#[ignore = "needs the stack: integration/test"]
fn live_stream_continues_at_a_position_and_resets_one_that_was_trimmed() {
    let bench = Bench::new(8);
    let feed = bench.one("live-user");
    let mut members = [bench.member("l", &*feed)];
    registered(&bench, uuid(1), "f1");
    let start = Default::default();
    let first = bench.until(&mut members, "two events", || {
        let read = bench.wait(bench.live.read(&start, Duration::ZERO)).expect("an answer");
        (read.entries.len() == 2).then_some(read)
    });
    // then only the owner gets personal fields
    let entry = &first.entries[1];
    assert_eq!((&*entry.kind, entry.owner, entry.version), ("UserRegistered", Some(uuid(1)), 2));
    let masked = entry.masked.as_ref().expect("masked fields");
    assert!(entry.data.contains("ada@example.org") && !masked.contains("ada@example.org"));
    assert!(!first.reset && !entry.data.contains("f1"));
    // when there are more events, a reader continues at its position, also if that was text
    let stood = first.positions.to_string().parse().expect("positions");
    let end = bench.wait(bench.live.end()).expect("the end");
    let nothing = bench.wait(bench.live.read(&end, Duration::ZERO)).expect("an answer");
    assert!(nothing.entries.is_empty() && !nothing.reset, "{nothing:?}");
    let renamed = user::NameChanged { user_id: uuid(1), name: "Ada L.".to_owned() };
    let (partition, _) = bench.append("user.events", &uuid(1).to_string(), 3, &renamed);
    let more = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            bench.wait(bench.live.read(&stood, Duration::from_secs(30))).expect("an answer")
        });
        while !reading.is_finished() {
            members[0].step().expect("a step");
        }
        reading.join().expect("an answer")
    });
    assert_eq!(more.entries.iter().map(|entry| &*entry.kind).collect::<Vec<_>>(), ["NameChanged"]);
    // when the stream is trimmed, a reader with an older position gets a reset
    bench.command(&["XTRIM", &format!("live:user.events:{partition}"), "MAXLEN", "1"]);
    let late = bench.wait(bench.live.read(&start, Duration::ZERO)).expect("an answer");
    assert!(late.reset && late.entries.is_empty());
    let in_time = bench.wait(bench.live.read(&stood, Duration::ZERO)).expect("an answer");
    assert_eq!((in_time.reset, in_time.entries.len()), (false, 1));
    // and it continues where the reset has put it
    let next = bench.wait(bench.live.read(&late.positions, Duration::ZERO)).expect("an answer");
    assert_eq!((next.reset, next.entries.len()), (false, 0));
}

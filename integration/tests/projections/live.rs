//! The live stream in Redis.

use std::time::Duration;

use schemas::user;

use crate::stories::{registered, uuid};
use crate::support::Bench;

#[test]
#[ignore = "needs the stack: integration/test, or `stack run -- cargo test -p integration -- --ignored`"]
fn the_live_stream_goes_on_where_a_reader_stood_and_tells_of_what_is_cut_off() {
    let bench = Bench::new(8);
    let feed = bench.one("live-user");
    let mut members = [bench.member("l", &*feed)];
    registered(&bench, uuid(1), "f1");
    let start = Default::default();
    let first = bench.until(&mut members, "two events", || {
        let batch = bench.wait(bench.live.read(&start, Duration::ZERO)).expect("a batch");
        (batch.entries.len() == 2).then_some(batch)
    });
    // then personal fields are for their owner
    let entry = &first.entries[1];
    assert_eq!((&*entry.kind, entry.owner, entry.version), ("UserRegistered", Some(uuid(1)), 2));
    assert_eq!(entry.data["email"], "ada@example.org");
    assert_ne!(entry.masked["email"], "ada@example.org");
    assert!(!first.reset && !entry.data.to_string().contains("f1"));
    // when there is more, a reader that stood there gets just that, also from the text of its
    // position
    let stood = first.positions.to_string().parse().expect("positions");
    assert_eq!(bench.wait(bench.live.end()).expect("the end"), stood);
    let renamed = user::NameChanged { user_id: uuid(1), name: "Ada L.".to_owned() };
    let (partition, _) = bench.append("user.events", &uuid(1).to_string(), 3, &renamed);
    let more = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            bench.wait(bench.live.read(&stood, Duration::from_secs(30))).expect("a batch")
        });
        while !reading.is_finished() {
            members[0].step().expect("a step");
        }
        reading.join().expect("a batch")
    });
    assert_eq!(more.entries.iter().map(|entry| &*entry.kind).collect::<Vec<_>>(), ["NameChanged"]);
    // when the stream was cut off behind the last, who has not read that far is told
    bench.command(&["XTRIM", &format!("live:user.events:{partition}"), "MAXLEN", "1"]);
    let late = bench.wait(bench.live.read(&start, Duration::ZERO)).expect("a batch");
    assert!(late.reset && late.entries.is_empty());
    let in_time = bench.wait(bench.live.read(&stood, Duration::ZERO)).expect("a batch");
    assert_eq!((in_time.reset, in_time.entries.len()), (false, 1));
    assert_eq!(late.positions, in_time.positions);
}

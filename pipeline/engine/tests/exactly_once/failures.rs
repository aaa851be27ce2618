//! Inputs that fail: dead letters, parked records and their re-drive.

use engine::{Topology, driver::Driver};
use redpanda::{
    log::{Headers, ProducerRecord},
    partition_of,
};
use schemas::{
    Verdict,
    engine::{DeadLetterRevealed, Event, KeyRedriven, RecordParked, Redrive, RevealDeadLetter},
};
use uuid::Uuid;

use crate::bank::{Account, Command, Credit, Deposit, FollowUp, Panic};
use crate::support::{PARTITIONS, balances, bank, bank_of, bank_with, followups, kept, send};

/// A command that re-drives the follow-ups of its key.
fn redrive(drop_first: bool) -> Redrive {
    let (topic, reason) = ("account.followups".to_owned(), Some("mended".to_owned()));
    Redrive { topic, drop_first, reason, first_offset: None }
}

#[test]
fn decider_panic_fails_its_command_and_no_other() {
    let mut driver = bank(1);
    let panic = send(&driver, "ann", 1, Panic { why: "a bug".into() });
    let deposit = send(&driver, "ann", 2, Deposit { amount: 1 });
    driver.settle();

    let failed = &driver.outcomes(panic)[0];
    assert_eq!(failed.verdict, Verdict::Failed);
    assert!(failed.detail.as_deref().unwrap().contains("a bug"));
    assert_eq!(driver.outcomes(deposit)[0].verdict, Verdict::Accepted);
    assert_eq!(driver.log.read_committed("account.commands.dead").len(), 1);
}

#[test]
fn engine_panic_on_a_record_fails_its_command_and_no_other() {
    use std::sync::atomic::{AtomicU32, Ordering};
    // The first look-up of the topic's partitions panics, outside of any decider.
    let look_ups = AtomicU32::new(0);
    let topology = Topology::new("bank", move |topic| {
        let is_first = topic == "account.commands" && look_ups.fetch_add(1, Ordering::Relaxed) == 0;
        assert!(!is_first, "a bug of the engine");
        Some(PARTITIONS)
    });
    let mut driver = bank_of(topology.aggregate::<Account>(), 1);
    let panic = send(&driver, "ann", 1, Deposit { amount: 1 });
    let deposit = send(&driver, "ann", 2, Deposit { amount: 1 });
    driver.settle();

    let failed = &driver.outcomes(panic)[0];
    assert_eq!(failed.verdict, Verdict::Failed);
    assert!(failed.detail.as_deref().unwrap().contains("a bug of the engine"));
    assert_eq!(driver.outcomes(deposit)[0].verdict, Verdict::Accepted);
    assert_eq!(driver.log.read_committed("account.commands.dead").len(), 1);
}

#[test]
fn header_names_that_are_not_utf8_are_ignored_and_kept_in_dead_letters() {
    let mut driver = bank(1);
    let mut headers = Headers::default();
    headers.push(b"\xff\xfe", b"1");
    headers.push(b"", b"\xff");
    headers.push("ce_correlationid", b"\xff");
    let value = driver.encode(&Command::from(Deposit { amount: 5 }));
    driver.log.append("account.commands", "ann", Some(value), headers.clone());
    driver.log.append("account.commands", "ann", Some("not avro".into()), headers.clone());
    let credit = driver.encode(&FollowUp::from(Credit { from: "zoe".into(), amount: 666 }));
    driver.log.append("account.followups", "bob", Some(credit), headers);
    driver.settle();
    driver.kill(0);
    driver.start(0);
    driver.settle();

    assert_eq!(balances(&driver)["ann"], 5);
    let dead = driver.log.read_committed("account.commands.dead");
    assert_eq!(dead.len(), 1);
    assert!(
        dead[0].headers.iter().any(|header| header == (b"\xff\xfe".as_slice(), b"1".as_slice()))
    );
}

#[test]
fn undecodable_commands_become_dead_letters_with_failed_outcomes() {
    let mut driver = bank(1);
    let own = partition_of(b"ann", PARTITIONS);
    let poison = |partition, key: Option<&'static str>, value: &'static [u8]| {
        let key = key.map(|key| key.as_bytes().into());
        let (topic, value) = ("account.commands".into(), Some(value.into()));
        driver.log.append_raw(ProducerRecord {
            topic,
            partition,
            key,
            value,
            headers: Headers::default(),
        })
    };
    poison(own, Some("ann"), b"not avro");
    poison(own, Some("ann"), b"\0\0\0\x27\x0f....");
    poison(own, Some("ann"), b"");
    poison(own, None, b"\0\0\0\0\x01\x02");
    poison((own + 1) % PARTITIONS, Some("ann"), b"\0\0\0\0\x01\x02");
    let deposit = send(&driver, "ann", 1, Deposit { amount: 1 });
    driver.settle();

    assert_eq!(driver.log.read_committed("account.commands.dead").len(), 5);
    let failed = driver.read::<schemas::Outcome>("bank.outcomes");
    assert_eq!(failed.iter().filter(|(_, outcome)| outcome.verdict == Verdict::Failed).count(), 5);
    assert_eq!(driver.outcomes(deposit)[0].verdict, Verdict::Accepted);
}

#[test]
fn failing_follow_up_parks_only_its_key_until_a_redrive() {
    let mut driver = bank(1);
    let credit = |amount| FollowUp::from(Credit { from: "zoe".into(), amount });
    driver.send("account.followups", "ann", Uuid::from_u128(1), "system", &credit(666));
    driver.send("account.followups", "ann", Uuid::from_u128(2), "system", &credit(1));
    driver.send("account.followups", "bob", Uuid::from_u128(3), "system", &credit(1));
    driver.settle();
    assert_eq!(balances(&driver).get("bob"), Some(&1), "another key is processed");
    assert_eq!(balances(&driver).get("ann"), None);

    driver.kill(0);
    driver.log.compact("bank.state");
    driver.start(0);
    let send = |id, drop_first| {
        let (id, redrive) = (Uuid::from_u128(id), redrive(drop_first));
        driver.send("account.commands", "ann", id, "operator", &redrive);
    };
    send(4, false);
    send(5, true);
    send(6, true);
    driver.settle();

    assert_eq!(driver.outcomes(Uuid::from_u128(4))[0].code.as_deref(), Some("still_failing"));
    assert_eq!(driver.outcomes(Uuid::from_u128(5))[0].verdict, Verdict::Accepted);
    assert_eq!(driver.outcomes(Uuid::from_u128(6))[0].code.as_deref(), Some("nothing_parked"));
    assert_eq!(balances(&driver)["ann"], 1);
    assert_eq!(driver.log.read_committed("account.followups.dead").len(), 1);
}

#[test]
fn parked_bytes_of_all_keys_are_bounded_also_after_a_restart_and_freed_by_a_redrive() {
    let mut driver = bank_with(|settings| settings.parked_bytes_max = 2_000);
    // All keys belong to one task.
    let own = partition_of(b"ann", PARTITIONS);
    let mut keys = (0..).map(|n| format!("key-{n}")).filter(|key| followups(key).partition == own);
    let mut fail = |driver: &mut Driver, id: u128| {
        let key = keys.next().unwrap();
        let credit = FollowUp::from(Credit { from: "zoe".into(), amount: 666 });
        driver.send("account.followups", &key, Uuid::from_u128(id), "system", &credit);
        driver.settle();
        key
    };
    let first = fail(&mut driver, 1);
    (2..30).for_each(|id| drop(fail(&mut driver, id)));
    let parked = kept(&driver, "parked/");
    let dead = |driver: &Driver| driver.log.read_committed("account.followups.dead").len();
    assert!((2..8).contains(&parked), "{parked} are parked");
    assert_eq!(dead(&driver), 29 - parked, "what does not fit is a dead letter");

    driver.kill(0);
    driver.start(0);
    driver.settle();
    fail(&mut driver, 50);
    assert_eq!((kept(&driver, "parked/"), dead(&driver)), (parked, 30 - parked));

    driver.send("account.commands", &first, Uuid::from_u128(60), "operator", &redrive(true));
    driver.settle();
    fail(&mut driver, 61);
    assert_eq!(
        (kept(&driver, "parked/"), dead(&driver)),
        (parked, 31 - parked),
        "there is room again"
    );
}

#[test]
fn topic_of_operations_tells_what_is_parked_and_who_re_drove_it() {
    let mut driver = bank(1);
    let credit = |amount| FollowUp::from(Credit { from: "zoe".into(), amount });
    for (id, amount) in [(1, 666), (2, 1), (3, 666), (4, 1)] {
        let (id, credit) = (Uuid::from_u128(id), credit(amount));
        driver.send("account.followups", "ann", id, "zoe", &credit);
    }
    driver.settle();
    let send = |id, redrive: Redrive| {
        driver.send("account.commands", "ann", Uuid::from_u128(id), "an admin", &redrive);
    };
    let offsets: Vec<i64> =
        driver.log.read_committed("account.followups").iter().map(|record| record.offset).collect();
    send(5, redrive(true));
    // Repeats change nothing: of the command itself, and of another one for the same record.
    send(5, redrive(true));
    send(6, Redrive { first_offset: Some(offsets[0]), ..redrive(true) });
    send(7, Redrive { first_offset: Some(offsets[2]), ..redrive(true) });
    driver.settle();

    let other = &driver.outcomes(Uuid::from_u128(6))[0];
    assert_eq!(other.code.as_deref(), Some("other_record_first"));
    let last = &driver.outcomes(Uuid::from_u128(7))[0];
    assert_eq!((last.verdict, &*last.aggregate, last.version), (Verdict::Accepted, "account", 2));
    assert_eq!(balances(&driver)["ann"], 2);
    let written = driver.read::<Event>("bank.operations");
    assert!(written.iter().all(|(record, _)| record.key.as_deref() == Some(b"ann".as_slice())));
    let parked = |event: &Event| match event {
        Event::RecordParked(event) => {
            let RecordParked { offset, error, principal, value, omitted, schema_id, .. } = event;
            assert_eq!((&**principal, omitted, schema_id.is_some()), ("zoe", &None, true));
            assert!(value.as_ref().is_some_and(|value| value.contains(r#""from":"zoe""#)));
            Some((*offset, error.as_ref().is_some_and(|error| error.contains("unlucky"))))
        }
        _ => None,
    };
    let parked: Vec<_> = written.iter().filter_map(|(_, event)| parked(event)).collect();
    let [first, second, third, fourth] = offsets[..] else { panic!("{offsets:?}") };
    // The third one fails when its turn comes, in the first re-drive.
    let waits = [(second, false), (third, false), (fourth, false), (third, true)];
    assert_eq!(parked, [&[(first, true)][..], &waits[..]].concat());
    let redriven = |event: &Event| match event {
        Event::KeyRedriven(event) => Some(event.clone()),
        _ => None,
    };
    let redriven: Vec<_> = written.iter().filter_map(|(_, event)| redriven(event)).collect();
    let expected = |id, released, dropped, parked_from, redriven_at| KeyRedriven {
        topic: "account.followups".into(),
        command_id: Uuid::from_u128(id),
        principal: "an admin".into(),
        reason: Some("mended".into()),
        released,
        dropped_offset: Some(dropped),
        parked_from,
        redriven_at,
    };
    let at = |index: usize| redriven[index].redriven_at;
    assert_eq!(
        redriven,
        [expected(5, 2, first, Some(third), at(0)), expected(7, 2, third, None, at(1))]
    );
}

#[test]
fn reveal_of_a_dead_letter_is_accepted_once_by_the_owner_of_its_topic_and_reported() {
    let mut driver = bank(1);
    let reveal = |topic: &str| RevealDeadLetter {
        topic: topic.into(),
        partition: 0,
        dead_offset: 7,
        reason: "a customer asks".into(),
    };
    let key = "account.commands:0:7";
    for (id, topic) in [(1, "account.commands"), (1, "account.commands"), (2, "order.commands")] {
        driver.send("account.commands", key, Uuid::from_u128(id), "an admin", &reveal(topic));
    }
    driver.settle();

    assert_eq!(driver.outcomes(Uuid::from_u128(1))[0].verdict, Verdict::Accepted);
    let other = &driver.outcomes(Uuid::from_u128(2))[0];
    assert_eq!(other.code.as_deref(), Some("other_processor"));
    let written = driver.read::<Event>("bank.operations");
    let [(record, Event::DeadLetterRevealed(event))] = &written[..] else { panic!("{written:?}") };
    assert_eq!(record.key.as_deref(), Some(key.as_bytes()));
    let expected = DeadLetterRevealed {
        topic: "account.commands".into(),
        partition: 0,
        dead_offset: 7,
        command_id: Uuid::from_u128(1),
        principal: "an admin".into(),
        reason: "a customer asks".into(),
        revealed_at: event.revealed_at,
    };
    assert_eq!(*event, expected);
}

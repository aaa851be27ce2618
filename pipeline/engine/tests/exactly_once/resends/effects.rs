//! What it does to send a command, a follow-up or an event again, and that it does it once.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};

use domain::decider::Reaction;
use engine::Topology;
use redpanda::{
    log::{Headers, Record, TopicPartition},
    memory::MemoryLog,
};
use schemas::{Verdict, engine::DeadLetterResent, headers};
use uuid::Uuid;

use super::{COMMANDS, FOLLOWUPS, dead, drop_first, noted, reported, resend};
use crate::{
    bank::{Account, Command, Credit, Deposit, Event, FollowUp, Memo, Noted, Panic, Transfer},
    support::{PARTITIONS, TOPICS, balances, bank, bank_on, bank_with, code, credits, send},
};

#[test]
fn dead_command_is_decided_again_once_and_only_when_it_does_not_fail() {
    let mut driver = bank(1);
    let panic = send(&driver, "ann", 1, Panic { why: "a bug".into() });
    driver.settle();
    let [letter] = &dead(&driver, COMMANDS)[..] else { panic!("one dead letter") };

    // While the bug is there, nothing changes.
    let early = resend(&driver, 2, "ann", COMMANDS, letter);
    driver.settle();
    assert_eq!(code(&driver, early).as_deref(), Some("still_failing"));
    assert_eq!((dead(&driver, COMMANDS).len(), reported(&driver)), (1, Vec::new()));

    send(&driver, "ann", 3, Memo { text: "mended".into() });
    let [first, second] = [4, 5].map(|id| resend(&driver, id, "ann", COMMANDS, letter));
    driver.settle();
    let outcome = &driver.outcomes(first)[0];
    assert_eq!(
        (outcome.verdict, &*outcome.command_type, outcome.version, &*outcome.principal),
        (Verdict::Accepted, "bank.Panic", 2, "an admin")
    );
    assert_eq!(code(&driver, second).as_deref(), Some("already_sent_again"));
    let detail = driver.outcomes(second)[0].detail.clone().unwrap();
    assert!(detail.contains(&first.to_string()), "{detail}");
    assert_eq!(noted(&driver, "a bug"), 1);
    let expected = DeadLetterResent {
        topic: COMMANDS.into(),
        partition: letter.partition,
        dead_offset: letter.offset,
        command_id: first,
        principal: "an admin".into(),
        reason: "the bug is mended".into(),
        sent_id: first,
        resent_at: driver.outcomes(first)[0].decided_at,
    };
    assert_eq!(reported(&driver), [expected]);
    let failed = driver.outcomes(panic);
    assert_eq!((failed.len(), failed[0].verdict), (1, Verdict::Failed), "it stays failed");

    // The event belongs to the operator's command, and names who sent the command first.
    let events = driver.log.read_committed("account.events");
    let event = events.last().unwrap();
    assert_eq!(event.headers.text(headers::PRINCIPAL), Some("somebody"));
    assert_eq!(event.headers.text(headers::CAUSATION_ID), Some(&*first.to_string()));

    // A restart changes nothing, and a repeat has the same outcome.
    driver.kill(0);
    driver.log.compact("bank.state");
    driver.start(0);
    let third = resend(&driver, 6, "ann", COMMANDS, letter);
    resend(&driver, 4, "ann", COMMANDS, letter);
    driver.settle();
    assert_eq!(code(&driver, third).as_deref(), Some("already_sent_again"));
    let repeated = driver.outcomes(first);
    assert_eq!((repeated.len(), &repeated[0]), (2, &repeated[1]));
    assert_eq!((noted(&driver, "a bug"), reported(&driver).len()), (1, 1));
}

#[test]
fn refused_command_was_not_sent_and_a_pending_one_has_the_outcome_of_its_saga() {
    let mut driver = bank(1);
    driver.settings().local_follow_ups = false;
    driver.kill(0);
    driver.start(0);
    // A command that fails because a header of it is too long, under a key without money.
    let value = driver.encode(&Command::from(Transfer { to: "bob".into(), amount: 5 }));
    let mut written = Headers::default();
    written.push("dead_topic", COMMANDS);
    written.push(headers::PRINCIPAL, "ann");
    let (partition, offset) =
        driver.log.append("account.commands.dead", "ann", Some(value), written);
    let letter = dead(&driver, COMMANDS)
        .into_iter()
        .find(|it| (it.partition, it.offset) == (partition, offset))
        .unwrap();

    let refused = resend(&driver, 1, "ann", COMMANDS, &letter);
    driver.settle();
    assert_eq!(code(&driver, refused).as_deref(), Some("overdrawn"));
    assert!(reported(&driver).is_empty());

    send(&driver, "ann", 2, Deposit { amount: 7 });
    let pending = resend(&driver, 3, "ann", COMMANDS, &letter);
    driver.settle();
    let outcome = &driver.outcomes(pending)[..];
    assert_eq!((outcome.len(), outcome[0].verdict), (1, Verdict::Accepted));
    assert_eq!(balances(&driver), BTreeMap::from([("ann".into(), 2), ("bob".into(), 5)]));
    assert_eq!(reported(&driver).len(), 1);
}

#[test]
fn follow_up_is_written_again_and_its_saga_ends() {
    for local_follow_ups in [false, true] {
        let mut driver = bank_with(|settings| settings.local_follow_ups = local_follow_ups);
        send(&driver, "ann", 1, Deposit { amount: 1_000 });
        driver.settle();
        // The credit fails while bob has nothing, and is given up.
        let transfer = send(&driver, "ann", 2, Transfer { to: "bob".into(), amount: 667 });
        driver.settle();
        drop_first(&mut driver, 3, "bob", FOLLOWUPS);
        let [letter] = &dead(&driver, FOLLOWUPS)[..] else { panic!("one dead letter") };
        assert!(driver.outcomes(transfer).is_empty());
        send(&driver, "bob", 4, Deposit { amount: 1 });
        driver.settle();

        let [first, second] = [5, 6].map(|id| resend(&driver, id, "bob", FOLLOWUPS, letter));
        driver.settle();
        assert_eq!(driver.outcomes(first)[0].verdict, Verdict::Accepted);
        assert_eq!(code(&driver, second).as_deref(), Some("already_sent_again"));
        assert_eq!(driver.outcomes(transfer)[0].verdict, Verdict::Accepted);
        assert_eq!(balances(&driver), BTreeMap::from([("ann".into(), 333), ("bob".into(), 668)]));
        // The new record is in the topic, has an id of its own, and belongs to the transfer.
        let records = driver.log.read_committed(FOLLOWUPS);
        let sent_id = reported(&driver)[0].sent_id.to_string();
        let again = |it: &&Record| it.headers.text(headers::ID) == Some(&*sent_id);
        let again = records.iter().find(again).expect("the new record");
        assert_eq!(again.headers.text(headers::TYPE), Some("bank.Credit"));
        assert_eq!(again.headers.text(headers::CAUSATION_ID), Some(&*first.to_string()));
        assert_eq!(again.headers.text(headers::CORRELATION_ID), Some(&*transfer.to_string()));
        assert_eq!(again.value, letter.value);
        assert!(again.headers.iter().all(|(name, _)| !name.starts_with(b"dead_")));
    }
}

#[test]
fn follow_up_that_is_sent_again_overtakes_none_that_waits() {
    let mut driver = bank_with(|settings| settings.local_follow_ups = true);
    send(&driver, "ann", 1, Deposit { amount: 1_000 });
    driver.settle();
    send(&driver, "ann", 2, Transfer { to: "bob".into(), amount: 667 });
    driver.settle();
    drop_first(&mut driver, 3, "bob", FOLLOWUPS);
    let [letter] = &dead(&driver, FOLLOWUPS)[..] else { panic!("one dead letter") };
    send(&driver, "bob", 4, Deposit { amount: 1 });
    driver.settle();
    // Given another follow-up, which can't be read yet
    let inputs = (0..PARTITIONS).map(|partition| TopicPartition::new(FOLLOWUPS, partition));
    driver.log.withhold(inputs.collect());
    let waiting = FollowUp::from(Credit { from: "ann".into(), amount: 5 });
    driver.send(FOLLOWUPS, "bob", Uuid::from_u128(5), "ann", &waiting);
    // When the dead one is sent again
    resend(&driver, 6, "bob", FOLLOWUPS, letter);
    driver.settle();
    driver.log.withhold(Vec::new());
    driver.settle();
    // Then it comes behind the other one
    assert_eq!(credits(&driver)["bob"], [5, 667]);
}

#[test]
fn policy_derives_again_what_follows_from_a_dead_event() {
    static BUG: AtomicBool = AtomicBool::new(true);
    let topics = TOPICS.into_iter().chain(["other.events", "other.events.dead"]);
    let log = MemoryLog::new(topics.map(|topic| (topic, PARTITIONS)));
    let topology = Topology::new("bank", |_| Some(PARTITIONS)).aggregate::<Account>();
    let topology = topology.policy::<Event, FollowUp>("other.events", |_, _| {
        assert!(!BUG.load(Ordering::Relaxed), "a bug");
        vec![Reaction::send("bob", FollowUp::from(Credit { from: "ann".into(), amount: 1 }))]
    });
    let mut driver = bank_on(&log, topology, 1);
    let event = Event::from(Noted { text: "n".into() });
    driver.send("other.events", "ann", Uuid::from_u128(1), "ann", &event);
    driver.settle();
    drop_first(&mut driver, 2, "ann", "other.events");
    let [letter] = &dead(&driver, "other.events")[..] else { panic!("one dead letter") };

    let early = resend(&driver, 3, "ann", "other.events", letter);
    driver.settle();
    assert_eq!(code(&driver, early).as_deref(), Some("still_failing"));
    BUG.store(false, Ordering::Relaxed);
    let [first, second] = [4, 5].map(|id| resend(&driver, id, "ann", "other.events", letter));
    driver.settle();
    assert_eq!(driver.outcomes(first)[0].verdict, Verdict::Accepted);
    assert_eq!(code(&driver, second).as_deref(), Some("already_sent_again"));
    assert_eq!(balances(&driver).get("bob"), Some(&1));
    assert_eq!(driver.log.read_committed("other.events").len(), 1, "it is not written again");
    assert_eq!(reported(&driver)[0].sent_id, Uuid::from_u128(1));
}

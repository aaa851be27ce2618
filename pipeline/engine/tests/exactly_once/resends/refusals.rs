//! What is not sent again: what is no dead letter of the key, has no value, or was sent before.

use std::time::Duration;

use engine::driver::Driver;
use redpanda::log::{Headers, Record, TopicPartition};
use schemas::{Verdict, headers};

use super::{COMMANDS, dead, noted, reported, resend};
use crate::{
    bank::{Deposit, Memo, Panic},
    support::{PARTITIONS, bank, code, kept, send},
};

#[test]
fn what_is_no_dead_letter_of_the_key_is_not_sent() {
    let mut driver = bank(1);
    send(&driver, "ann", 1, Panic { why: "a bug".into() });
    send(&driver, "ann", 2, Memo { text: "mended".into() });
    // An operator's command that can't be decided, as its header says.
    let mut written = Headers::default();
    written.push(headers::TYPE, "millrace.engine.Redrive");
    let (_, operators) =
        driver.log.append("account.commands.dead", "ann", Some("x".into()), written.clone());
    let (_, bare) = driver.log.append("account.commands.dead", "ann", None, written);
    driver.settle();
    let letters = dead(&driver, COMMANDS);
    let at = |offset| letters.iter().find(|it| it.offset == offset).unwrap().clone();
    let letter = letters.iter().find(|it| it.headers.get("dead_error").is_some()).unwrap();

    let gone = Record { offset: letter.offset + 1_000, ..letter.clone() };
    let elsewhere = Record { partition: PARTITIONS, ..letter.clone() };
    for (id, key, topic, letter, expected) in [
        (11, "bob", COMMANDS, letter, "other_key"),
        (12, "ann", COMMANDS, &gone, "no_dead_letter"),
        (13, "ann", COMMANDS, &elsewhere, "no_dead_letter"),
        (14, "ann", "savings.commands", letter, "other_processor"),
        (15, "ann", COMMANDS, &at(operators), "operators_command"),
        (16, "ann", COMMANDS, &at(bare), "operators_command"),
    ] {
        let id = resend(&driver, id, key, topic, letter);
        driver.settle();
        assert_eq!(code(&driver, id).as_deref(), Some(expected));
    }
    assert!(reported(&driver).is_empty());

    // A log that does not answer refuses this attempt, and no later one.
    let partition = TopicPartition::new("account.commands.dead", letter.partition);
    driver.log.fail_restores(partition.clone(), true);
    let unread = resend(&driver, 17, "ann", COMMANDS, letter);
    driver.settle();
    assert_eq!(code(&driver, unread).as_deref(), Some("dead_letter_unreadable"));
    driver.log.fail_restores(partition, false);
    let sent = resend(&driver, 18, "ann", COMMANDS, letter);
    driver.settle();
    assert_eq!(driver.outcomes(sent)[0].verdict, Verdict::Accepted);
}

#[test]
fn dead_letter_without_a_value_is_not_sent() {
    let mut driver = bank(1);
    let mut written = Headers::default();
    written.push("dead_omitted", "value and headers: too large");
    driver.log.append("account.commands.dead", "ann", None, written);
    let id = resend(&driver, 1, "ann", COMMANDS, &dead(&driver, COMMANDS)[0]);
    driver.settle();
    assert_eq!(code(&driver, id).as_deref(), Some("no_value"));
    assert!(driver.outcomes(id)[0].detail.as_deref().unwrap().contains("too large"));
}

#[test]
fn it_is_remembered_that_a_dead_letter_was_sent_for_as_long_as_it_could_be_sent() {
    let mut driver = bank(1);
    send(&driver, "ann", 1, Panic { why: "a bug".into() });
    send(&driver, "ann", 2, Memo { text: "mended".into() });
    driver.settle();
    let [letter] = &dead(&driver, COMMANDS)[..] else { panic!("one dead letter") };
    let first = resend(&driver, 3, "ann", COMMANDS, letter);
    driver.settle();
    assert_eq!(driver.outcomes(first)[0].verdict, Verdict::Accepted);
    let mut id = 10;
    // Each pass is longer than the dedupe horizon; the third deposit commits what was forgotten.
    let mut pass = |driver: &mut Driver, days: u64| {
        driver.advance(Duration::from_secs(days * 24 * 3600));
        for _ in 0..3 {
            id += 1;
            send(driver, "ann", id, Deposit { amount: 1 });
            driver.settle();
        }
    };
    for _ in 0..9 {
        pass(&mut driver, 3);
    }
    assert_eq!(kept(&driver, &format!("handled/{first}")), 0, "its own outcome is forgotten");
    assert_eq!(kept(&driver, "handled/dead/"), 1);
    let again = resend(&driver, 4, "ann", COMMANDS, letter);
    driver.settle();
    assert_eq!(code(&driver, again).as_deref(), Some("already_sent_again"));
    for _ in 0..3 {
        pass(&mut driver, 2);
    }
    assert_eq!(kept(&driver, "handled/dead/"), 0);
    let late = resend(&driver, 5, "ann", COMMANDS, letter);
    driver.settle();
    assert_eq!(code(&driver, late).as_deref(), Some("no_dead_letter"));
    assert_eq!(noted(&driver, "a bug"), 1);
}

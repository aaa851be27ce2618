//! The first parked record of a key is applied with another value: in its place, as the same
//! record, or not at all. `redrives` edits under faults.

use engine::driver::Driver;
use redpanda::log::{Headers, Record};
use schemas::{
    Verdict,
    engine::{EditParkedRecord, Event as Operation, ParkedRecordEdited},
    headers, refusals,
};
use uuid::Uuid;

use crate::{
    bank::{Credit, Credited, Deposit, Event, FollowUp, Transfer},
    support::{bank, bank_with, code, kept, send},
};

const COMMANDS: &str = "account.commands";
const FOLLOWUPS: &str = "account.followups";
const CREDIT: &str = "bank.Credit";

fn edit_of(offset: i64, json: &str) -> EditParkedRecord {
    EditParkedRecord {
        topic: FOLLOWUPS.into(),
        offset,
        record_type: CREDIT.into(),
        json: json.into(),
        reason: "a typing error".into(),
    }
}

/// Sends the command under `key`, and lets it be decided.
fn edit(driver: &mut Driver, id: u128, key: &str, command: &EditParkedRecord) -> Uuid {
    let id = Uuid::from_u128(id);
    driver.send(COMMANDS, key, id, "an admin", command);
    driver.settle();
    id
}

fn credit(from: &str, amount: i64) -> String {
    format!(r#"{{"from":"{from}","amount":{amount}}}"#)
}

/// The events for operators about edits.
fn reported(driver: &Driver) -> Vec<ParkedRecordEdited> {
    let edit = |event| match event {
        Operation::ParkedRecordEdited(event) => Some(event),
        _ => None,
    };
    driver.read("bank.operations").into_iter().filter_map(|(_, event)| edit(event)).collect()
}

/// The amounts that were credited to `key`, in order, with their records.
fn credited(driver: &Driver, key: &str) -> Vec<(i64, Record)> {
    let amount = |(record, event): (Record, Event)| match event {
        Event::Credited(Credited { amount, .. })
            if record.key.as_deref() == Some(key.as_bytes()) =>
        {
            Some((amount, record))
        }
        _ => None,
    };
    driver.read::<Event>("account.events").into_iter().filter_map(amount).collect()
}

fn amounts(driver: &Driver, key: &str) -> Vec<i64> {
    credited(driver, key).into_iter().map(|(amount, _)| amount).collect()
}

/// Writes a credit to `key`, and returns its offset.
fn write(driver: &Driver, id: u128, key: &str, amount: i64) -> i64 {
    let credit = FollowUp::from(Credit { from: "zoe".into(), amount });
    driver.send(FOLLOWUPS, key, Uuid::from_u128(id), "zoe", &credit);
    last(driver, key).offset
}

/// The last follow-up for `key`.
fn last(driver: &Driver, key: &str) -> Record {
    let mut records = driver.log.read_committed(FOLLOWUPS).into_iter();
    records.rfind(|it| it.key.as_deref() == Some(key.as_bytes())).unwrap()
}

#[test]
fn edited_record_is_applied_in_its_place_and_belongs_to_the_same_trace() {
    for local_follow_ups in [false, true] {
        let mut driver = bank_with(|settings| settings.local_follow_ups = local_follow_ups);
        send(&driver, "ann", 1, Deposit { amount: 10_000 });
        // The credit of 1,666 always fails, and the second one waits behind it.
        let transfer = send(&driver, "ann", 2, Transfer { to: "bob".into(), amount: 1_666 });
        driver.settle();
        let failed = last(&driver, "bob");
        let second = write(&driver, 4, "bob", 5);
        driver.settle();
        assert_eq!((kept(&driver, "parked/"), amounts(&driver, "bob")), (2, vec![]));
        assert!(failed.offset < second);

        let id = edit(&mut driver, 5, "bob", &edit_of(failed.offset, &credit("ann", 1_660)));
        let outcome = &driver.outcomes(id)[0];
        assert_eq!((outcome.verdict, outcome.version), (Verdict::Accepted, 2), "both are applied");
        assert_eq!((kept(&driver, "parked/"), amounts(&driver, "bob")), (0, vec![1_660, 5]));
        // What follows from it is caused by the record, and belongs to the transfer, which ends.
        let (_, event) = &credited(&driver, "bob")[0];
        assert_eq!(event.headers.text(headers::CAUSATION_ID), failed.headers.text(headers::ID));
        let transferred = transfer.to_string();
        assert_eq!(event.headers.text(headers::CORRELATION_ID), Some(&*transferred));
        assert_eq!(driver.outcomes(transfer)[0].verdict, Verdict::Accepted);
        // In its topic the record is as it was.
        let is_it = |it: &&Record| (it.partition, it.offset) == (failed.partition, failed.offset);
        let records = driver.log.read_committed(FOLLOWUPS);
        assert_eq!(records.iter().find(is_it).unwrap().value, failed.value);
        let expected = ParkedRecordEdited {
            topic: FOLLOWUPS.into(),
            partition: failed.partition,
            offset: failed.offset,
            record_type: CREDIT.into(),
            command_id: id,
            principal: "an admin".into(),
            reason: "a typing error".into(),
            before: Some(credit("ann", 1_666)),
            after: credit("ann", 1_660),
            released: 2,
            parked_from: None,
            edited_at: driver.outcomes(id)[0].decided_at,
        };
        assert_eq!(reported(&driver), [expected]);

        // A restart changes nothing, and a repeat has the same outcome.
        driver.kill(0);
        driver.log.compact("bank.state");
        driver.start(0);
        edit(&mut driver, 5, "bob", &edit_of(failed.offset, &credit("ann", 1_660)));
        let outcomes = driver.outcomes(id);
        assert_eq!((outcomes.len(), &outcomes[0]), (2, &outcomes[1]));
        assert_eq!((reported(&driver).len(), amounts(&driver, "bob")), (1, vec![1_660, 5]));
    }
}

#[test]
fn edit_that_is_refused_changes_nothing() {
    let mut driver = bank(1);
    let first = write(&driver, 1, "bob", 1_666);
    let second = write(&driver, 2, "bob", 5);
    driver.settle();
    let good = edit_of(first, &credit("zoe", 7));
    let with = |json: &str| edit_of(first, json);
    let cases = [
        ("bob", edit_of(second, &good.json), "other_record_first", "is at offset"),
        ("ann", good.clone(), "nothing_parked", "is parked"),
        (
            "bob",
            EditParkedRecord { topic: "savings.followups".into(), ..good.clone() },
            "other_processor",
            "no input",
        ),
        ("bob", with(&credit("zoe", 2_666)), "still_failing", "unlucky"),
        (
            "bob",
            EditParkedRecord { record_type: "bank.Deposited".into(), ..with(r#"{"amount":1}"#) },
            "still_failing",
            "is not expected here",
        ),
        (
            "bob",
            EditParkedRecord { record_type: "bank.Nothing".into(), ..good.clone() },
            refusals::INVALID,
            "there is no record \"bank.Nothing\"",
        ),
        ("bob", with("{"), refusals::INVALID, "the value is no JSON"),
        ("bob", with(r#"{"amount":1,"amount":2}"#), refusals::INVALID, "the value is no JSON"),
        ("bob", with(r#"{"from":"zoe"}"#), refusals::INVALID, "amount: it is missing"),
        ("bob", with(r#"{"from":"zoe","amount":"7"}"#), refusals::INVALID, "a whole number"),
        ("bob", with(&credit(&"z".repeat(9_000), 7)), refusals::INVALID, "at most 8192"),
    ];
    for (id, (key, command, expected, detail)) in (10..).zip(&cases) {
        let id = edit(&mut driver, id, key, command);
        assert_eq!(code(&driver, id).as_deref(), Some(*expected), "{command:?}");
        let said = driver.outcomes(id)[0].detail.clone().unwrap();
        assert!(said.contains(detail), "{said}");
        assert_eq!((kept(&driver, "parked/"), reported(&driver)), (2, Vec::new()), "{command:?}");
    }
    assert!(credited(&driver, "bob").is_empty());

    let id = edit(&mut driver, 99, "bob", &good);
    assert_eq!(driver.outcomes(id)[0].verdict, Verdict::Accepted);
    assert_eq!((kept(&driver, "parked/"), amounts(&driver, "bob")), (0, vec![7, 5]));
}

#[test]
fn record_behind_an_edited_one_that_fails_stays_parked_and_can_be_edited_next() {
    let mut driver = bank(1);
    let first = write(&driver, 1, "bob", 1_666);
    write(&driver, 2, "bob", 5);
    let third = write(&driver, 3, "bob", 3_666);
    driver.settle();
    let id = edit(&mut driver, 10, "bob", &edit_of(first, &credit("zoe", 1)));
    assert_eq!(driver.outcomes(id)[0].verdict, Verdict::Accepted);
    let event = &reported(&driver)[0];
    assert_eq!((event.released, event.parked_from), (2, Some(third)));
    assert_eq!((kept(&driver, "parked/"), amounts(&driver, "bob")), (1, vec![1, 5]));

    edit(&mut driver, 11, "bob", &edit_of(third, &credit("zoe", 3)));
    assert_eq!((kept(&driver, "parked/"), amounts(&driver, "bob")), (0, vec![1, 5, 3]));
}

#[test]
fn record_that_nobody_can_read_is_edited_under_a_type() {
    let mut driver = bank(1);
    let (partition, offset) =
        driver.log.append(FOLLOWUPS, "bob", Some("poison".into()), Headers::default());
    driver.settle();
    let id = edit(&mut driver, 1, "bob", &edit_of(offset, &credit("zoe", 7)));
    assert_eq!(driver.outcomes(id)[0].verdict, Verdict::Accepted);
    assert_eq!(amounts(&driver, "bob"), [7]);
    let event = &reported(&driver)[0];
    assert_eq!((event.partition, event.before.as_deref()), (partition, None));
    assert_eq!(event.after, credit("zoe", 7));
}

//! Dead letters that are sent again: once, whatever happens, and only what was dead. This file
//! holds the helpers of the tests.

mod effects;
mod refusals;
mod under_faults;

use engine::driver::Driver;
use redpanda::log::Record;
use schemas::engine::{DeadLetterResent, Event as Operation, Redrive, ResendDeadLetter};
use uuid::Uuid;

use crate::bank::{Event, Noted};

const COMMANDS: &str = "account.commands";
const FOLLOWUPS: &str = "account.followups";

/// The dead letters of a topic.
fn dead(driver: &Driver, topic: &str) -> Vec<Record> {
    driver.log.read_committed(&format!("{topic}.dead"))
}

/// Sends the command that sends a dead letter of `topic` again.
fn resend(driver: &Driver, id: u128, key: &str, topic: &str, letter: &Record) -> Uuid {
    let (partition, dead_offset) = (letter.partition, letter.offset);
    let reason = "the bug is mended".to_owned();
    let command = ResendDeadLetter { topic: topic.to_owned(), partition, dead_offset, reason };
    let id = Uuid::from_u128(id);
    driver.send(COMMANDS, key, id, "an admin", &command);
    id
}

/// The events for operators about dead letters that were sent again.
fn reported(driver: &Driver) -> Vec<DeadLetterResent> {
    let resent = |event| match event {
        Operation::DeadLetterResent(event) => Some(event),
        _ => None,
    };
    driver.read("bank.operations").into_iter().filter_map(|(_, event)| resent(event)).collect()
}

fn noted(driver: &Driver, text: &str) -> usize {
    let events = driver.read::<Event>("account.events");
    let is_it = |event: &Event| matches!(event, Event::Noted(Noted { text: it }) if it == text);
    events.iter().filter(|(_, event)| is_it(event)).count()
}

/// Gives up the first parked record of `topic` under `key`.
fn drop_first(driver: &mut Driver, id: u128, key: &str, topic: &str) {
    let redrive =
        Redrive { topic: topic.to_owned(), drop_first: true, reason: None, first_offset: None };
    driver.send(COMMANDS, key, Uuid::from_u128(id), "an admin", &redrive);
    driver.settle();
}

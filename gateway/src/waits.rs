//! What a command or an order that has not ended waits for, and until when. It is pure, and reads
//! only the trace: commands and follow-ups on which nobody has decided, and the rule of the saga's
//! deadline. It reads no timer.

use std::collections::HashSet;

use schemas::bounds::{CLAIM_DEADLINE_MS, ORDER_DEADLINE_MS};
use serde::Serialize;
use uuid::Uuid;

use crate::{reads::TraceEntry, time};

/// The events that begin a saga, and the time from the input that caused them to its deadline.
const SAGAS: [(&str, i64); 3] = [
    ("millrace.order.OrderPlaced", ORDER_DEADLINE_MS),
    ("millrace.user.RegistrationStarted", CLAIM_DEADLINE_MS),
    ("millrace.user.EmailChangeStarted", CLAIM_DEADLINE_MS),
];
/// The event of a record that waits until its key is re-driven. It is no decision.
const PARKED: &str = "millrace.engine.RecordParked";

/// What something waits for.
#[derive(Debug, PartialEq, Serialize)]
pub struct Waits {
    /// The deadline of the saga, if one has begun. Then it ends without what it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    /// The ids of the commands and follow-ups on which nobody has decided.
    records: Vec<Uuid>,
}

impl Waits {
    /// What a trace still waits for, as far as it is projected.
    pub fn of(entries: &[TraceEntry]) -> Self {
        let decided: HashSet<Uuid> = entries.iter().filter_map(decision_of).collect();
        let mut records = Vec::new();
        for entry in entries.iter().filter(|entry| is_input(entry) && !entry.is_decided) {
            // A command that was written twice is waited for once.
            if !decided.contains(&entry.id) && !records.contains(&entry.id) {
                records.push(entry.id);
            }
        }
        let until_ms = entries.iter().filter_map(|entry| deadline_ms(entry, entries)).max();
        Self { until: until_ms.map(time::text), records }
    }
}

/// The id of the record that was decided when this one was written.
fn decision_of(entry: &TraceEntry) -> Option<Uuid> {
    match entry.kind.as_deref() {
        Some(PARKED) => None,
        _ if entry.is_dead() => Some(entry.id),
        _ => entry.caused_by,
    }
}

/// Whether somebody decides on the record.
fn is_input(entry: &TraceEntry) -> bool {
    entry.topic.ends_with(".commands") || entry.topic.ends_with(".followups")
}

/// The deadline of the saga that this event began.
fn deadline_ms(entry: &TraceEntry, all: &[TraceEntry]) -> Option<i64> {
    let (_, wait_ms) = SAGAS.iter().find(|(kind, _)| entry.kind.as_deref() == Some(*kind))?;
    let input = all.iter().find(|input| Some(input.id) == entry.caused_by)?;
    Some(input.at_ms + wait_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(topic: &str, kind: &str, number: u128, cause: Option<u128>) -> TraceEntry {
        TraceEntry {
            topic: topic.to_owned(),
            partition: 0,
            offset: 0,
            at_ms: 1_000 + i64::try_from(number).expect("small"),
            key: None,
            kind: Some(format!("millrace.{kind}")),
            schema_id: None,
            bytes: 1,
            id: Uuid::from_u128(number),
            caused_by: cause.map(Uuid::from_u128),
            version: None,
            source: None,
            is_decided: false,
        }
    }

    fn ids(waits: &Waits) -> Vec<u128> {
        waits.records.iter().map(|id| id.as_u128()).collect()
    }

    #[test]
    fn command_waits_for_its_decision_without_a_deadline() {
        let command = entry("order.commands", "order.PlaceOrder", 1, None);
        let waits = Waits::of(&[command.clone(), command]);
        assert_eq!((ids(&waits), waits.until), (vec![1], None));
        assert_eq!(Waits::of(&[]), Waits { until: None, records: Vec::new() });
    }

    #[test]
    fn order_waits_for_the_stock_that_has_not_replied_until_its_deadline() {
        let mut decided_at_once = entry("order.followups", "order.RecordReservation", 6, Some(3));
        decided_at_once.is_decided = true;
        let entries = [
            entry("order.commands", "order.PlaceOrder", 1, None),
            entry("order.events", "order.OrderPlaced", 2, Some(1)),
            entry("stock.followups", "stock.ReserveStock", 3, Some(2)),
            entry("stock.followups", "stock.ReserveStock", 4, Some(2)),
            entry("stock.events", "stock.StockReserved", 5, Some(3)),
            decided_at_once,
        ];
        let waits = Waits::of(&entries);
        assert_eq!(ids(&waits), [4]);
        // 30 s after the command, whose time is 1.001 s.
        assert_eq!(waits.until.as_deref(), Some("1970-01-01T00:00:31.001Z"));
    }

    #[test]
    fn parked_record_is_waited_for_and_a_dead_one_is_not() {
        let parked = [
            entry("stock.followups", "stock.ReserveStock", 3, None),
            entry("order.operations", "engine.RecordParked", 4, Some(3)),
        ];
        assert_eq!(ids(&Waits::of(&parked)), [3]);
        let mut dead = entry("order.commands.dead", "order.PlaceOrder", 3, None);
        dead.caused_by = None;
        let command = entry("order.commands", "order.PlaceOrder", 3, None);
        assert_eq!(ids(&Waits::of(&[command, dead])), []);
    }
}

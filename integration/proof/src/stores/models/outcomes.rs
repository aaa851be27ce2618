//! Outcomes in PostgreSQL, against the first outcome of each command in the topics.

use schemas::{Record as _, notification::RecordDelivery};
use serde_json::{Value, json};

use super::{Fields, Rows, differences, fields, storable};
use crate::ledger::{Ledger, Violation};

/// How long a report on a mail may take from its command to its outcome, in milliseconds. It is
/// long, so that a slow machine is no violation.
const REPORT_MAX_MS: i64 = 10_000;

/// Compares the stored outcomes with the ledger.
pub(super) fn compare(mut stored: Rows, ledger: &Ledger) -> Vec<Violation> {
    let folded = storable(first(ledger));
    stored.retain(|id, row| folded.contains_key(id) || !is_newer(row, ledger.read_at_ms));
    differences("outcome", "PostgreSQL", &stored, &folded)
}

/// The first outcome of each command.
fn first(ledger: &Ledger) -> Rows {
    let first = ledger.outcomes.iter().filter_map(|(id, seen)| {
        let outcome = seen.outcomes.first()?;
        Some((id.to_string(), fields(json!(outcome))))
    });
    first.collect()
}

/// Whether an outcome may have been written after the topics were read: the mail worker reports on
/// mails while the system is judged.
fn is_newer(row: &Fields, read_at_ms: i64) -> bool {
    let is_report =
        row.get("command_type").and_then(Value::as_str) == Some(RecordDelivery::SCHEMA.name);
    // The time of the command, by the broker's clock.
    let decided_at = row.get("decided_at").and_then(Value::as_i64);
    is_report && decided_at.is_some_and(|at| at > read_at_ms - REPORT_MAX_MS)
}

#[cfg(test)]
mod tests {
    use schemas::stock::ReceiveStock;

    use super::*;
    use crate::ledger::testing::{Log, accepted};

    fn row(id: u128, command_type: &str, decided_at: i64) -> (String, Fields) {
        let command_id = uuid::Uuid::from_u128(id).to_string();
        let object = json!({
            "command_id": command_id, "command_type": command_type, "verdict": "ACCEPTED",
            "code": null, "detail": null, "aggregate": "stock", "aggregate_id": "tea",
            "version": 2, "principal": "faults", "fingerprint": null, "decided_at": decided_at,
        });
        (command_id, fields(object))
    }

    #[test]
    fn row_of_a_command_is_its_first_outcome() {
        let mut log = Log::default();
        let receive = ReceiveStock::SCHEMA.name;
        for version in [2, 3] {
            log.outcome("order.outcomes", &accepted(1, receive, "tea", version));
        }
        let stored = Rows::from([row(1, receive, 0)]);
        assert_eq!(compare(stored.clone(), &log.ledger), []);

        let mut differs = stored;
        let (id, _) = row(1, receive, 0);
        differs.get_mut(&id).expect("a row").insert("principal".to_owned(), json!("another"));
        assert_eq!(compare(differs, &log.ledger).len(), 1);
        assert_eq!(compare(Rows::new(), &log.ledger).len(), 1);
    }

    #[test]
    fn only_a_new_report_on_a_mail_may_have_an_outcome_that_was_not_read() {
        let mut log = Log::default();
        log.ledger.read_at_ms = 2 * REPORT_MAX_MS;
        let now = log.ledger.read_at_ms;
        let found = |command_type: &str, at: i64| {
            compare(Rows::from([row(1, command_type, at)]), &log.ledger).len()
        };
        assert_eq!(found(RecordDelivery::SCHEMA.name, now), 0);
        assert_eq!(found(RecordDelivery::SCHEMA.name, now - REPORT_MAX_MS), 1);
        assert_eq!(found(ReceiveStock::SCHEMA.name, now), 1);
    }
}

//! Invariant D, for the rows of a changelog that are no aggregate's state: every command that was
//! decided is remembered, so that a restored service knows it again, and in a quiet system no
//! command waits and no deadline runs.

use uuid::Uuid;

use super::{
    Ledger,
    violation::{Damage, Violation},
};

/// The contexts whose timers are deadlines of commands that wait.
const WAITING: [&str; 2] = ["order", "user"];

/// The violations by such rows.
pub(super) fn rows(ledger: &Ledger) -> Vec<Violation> {
    let row = |id: &Uuid| format!("handled/{id}");
    let forgotten = ledger.outcomes.keys().filter(|id| !ledger.changelog.contains_key(&row(id)));
    let forgotten = forgotten.map(|id| {
        let what = format!("the command {id} has an outcome, and no row in a changelog");
        Violation::new('D', Damage::Lost, what)
    });
    let left = ledger.changelog.keys().filter_map(|key| {
        let what = match key.split('/').collect::<Vec<_>>()[..] {
            ["waiting", ..] => "a command still waits",
            ["timer", context, ..] if WAITING.contains(&context) => "a deadline still runs",
            // A dead letter that was sent again is remembered by its position.
            ["handled", id] => match id.parse() {
                Ok(id) if !ledger.outcomes.contains_key(&id) => "the command has no outcome",
                _ => return None,
            },
            _ => return None,
        };
        Some(Violation::new('D', Damage::Torn, format!("{key} in a changelog: {what}")))
    });
    forgotten.chain(left).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::testing::{Log, accepted};

    #[test]
    fn command_without_a_row_is_lost_and_row_without_its_end_is_torn() {
        let mut log = Log::default();
        log.outcome("order.outcomes", &accepted(1, "millrace.stock.ReceiveStock", "tea", 1));
        let found = rows(&log.ledger);
        assert!(found.len() == 1 && found[0].damage == Damage::Lost, "{found:?}");

        let mut ledger = log.ledger;
        let mut add = |key: String| {
            ledger.changelog.insert(key, (None, Vec::new()));
            rows(&ledger)
        };
        assert_eq!(add(format!("handled/{}", Uuid::from_u128(1))), []);
        assert_eq!(add("handled/dead letter 7".to_owned()), []);
        assert_eq!(add("timer/notification/1\u{1f}report".to_owned()), []);
        for (number, torn) in [
            format!("handled/{}", Uuid::from_u128(2)),
            "waiting/order/1".to_owned(),
            "timer/order/1\u{1f}deadline".to_owned(),
        ]
        .into_iter()
        .enumerate()
        {
            let found = add(torn);
            assert!(found.len() == number + 1, "{found:?}");
            assert!(found.iter().all(|one| one.damage == Damage::Torn), "{found:?}");
        }
    }
}

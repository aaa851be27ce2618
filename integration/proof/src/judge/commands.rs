//! Invariants A and B: the outcomes and dead letters of commands.

use schemas::{Outcome, Record as _, Verdict, order, stock, user};
use uuid::Uuid;

use crate::{
    ledger::{Damage, Ledger, Violation},
    load::History,
};

/// After this time a command of the log must have an outcome in a quiet system, by the broker's
/// clock. The mail worker sends commands at any time, and topics are not read at one moment.
const DECIDED_MAX_MS: i64 = 5000;

/// The commands that always write an event when they are accepted. Others may find that there is
/// nothing to change, such as a name that the user has already.
const WRITING: [&str; 9] = [
    order::PlaceOrder::SCHEMA.name,
    order::CancelOrder::SCHEMA.name,
    stock::AddProduct::SCHEMA.name,
    stock::ReceiveStock::SCHEMA.name,
    user::RegisterUser::SCHEMA.name,
    user::StartSession::SCHEMA.name,
    user::ChangePassword::SCHEMA.name,
    user::RehashPassword::SCHEMA.name,
    user::DeactivateUser::SCHEMA.name,
];

/// A: every acknowledged command is in the log, every command of the log has exactly one outcome,
/// also one that the mail worker or a gateway has sent, and the events of an accepted one exist.
/// B: no outcome without a command.
pub(super) fn outcomes(ledger: &Ledger, history: &History) -> Vec<Violation> {
    let mut broken = Vec::new();
    for id in history.acknowledged().filter(|id| !ledger.commands.contains_key(*id)) {
        let what = format!("command {id} was acknowledged, but is not in the log");
        broken.push(Violation::new('A', Damage::Lost, what));
    }
    for (id, sent) in &ledger.commands {
        let is_due = sent.at_ms + DECIDED_MAX_MS < ledger.read_at_ms || history.is_acknowledged(id);
        match ledger.outcomes.get(id).map_or(&[][..], |seen| &seen.outcomes) {
            [] if is_due => {
                let what = format!("command {id} has no outcome");
                broken.push(Violation::new('A', Damage::Lost, what));
            }
            [] | [_] => {}
            several => {
                let what = format!("command {id} has {} outcomes: {several:?}", several.len());
                broken.push(Violation::new('A', Damage::Doubled, what));
            }
        }
    }
    for (id, seen) in &ledger.outcomes {
        if !ledger.commands.contains_key(id) {
            broken.push(Violation::new(
                'B',
                Damage::Doubled,
                format!("outcome {id} has no command"),
            ));
        }
        for outcome in seen.outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Accepted) {
            broken.extend(without_event(ledger, outcome));
        }
    }
    broken
}

/// A: the events of an accepted command exist. Its outcome names the version of the last one. Many
/// commands change the same product, so the event of that version must be the command's own, unless
/// it is a command that may change nothing.
fn without_event(ledger: &Ledger, outcome: &Outcome) -> Option<Violation> {
    let (context, key) = (outcome.aggregate.as_str(), outcome.aggregate_id.as_str());
    let version = ledger.folds.version(context, key);
    if version.unwrap_or(0) < outcome.version {
        let what = format!(
            "{context}/{key}: version {} was accepted, events end at {version:?}",
            outcome.version
        );
        return Some(Violation::new('A', Damage::Torn, what));
    }
    let id = &outcome.command_id;
    let sent = ledger.commands.get(id)?;
    let cause = ledger.event_record(context, key, outcome.version).map(|record| record.command);
    if !WRITING.contains(&outcome.command_type.as_str()) || cause == Some(sent.correlation) {
        return None;
    }
    let what = format!(
        "command {id} was accepted with version {} of {context}/{key}, which is of {cause:?}",
        outcome.version
    );
    Some(Violation::new('A', Damage::Torn, what))
}

/// A: each record of a command causes at most one record of an outcome, because the first gets the
/// outcome and each repeat gets it again. An engine that decides a record twice writes more.
pub(super) fn surplus_outcomes(ledger: &Ledger) -> Vec<Violation> {
    let mut broken = Vec::new();
    for (id, seen) in &ledger.outcomes {
        // An outcome without a command is judged as such.
        let Some(sent) = ledger.commands.get(id) else { continue };
        if seen.records > sent.records {
            let what = format!(
                "command {id} is {} times in the log, and has {} records of outcomes",
                sent.records, seen.records
            );
            broken.push(Violation::new('A', Damage::Doubled, what));
        }
    }
    broken
}

/// A, for commands that can't be processed: each fails and is one dead letter, and nothing else
/// fails.
pub(super) fn failures(ledger: &Ledger, history: &History) -> Vec<Violation> {
    let mut broken = Vec::new();
    for id in ledger.commands.keys() {
        let outcomes = ledger.outcomes.get(id).map_or(&[][..], |seen| &seen.outcomes);
        let doomed = history.is_doomed(id);
        // No command is as old as the dedupe horizon.
        for outcome in outcomes.iter().filter(|outcome| outcome.code.as_deref() == Some("expired"))
        {
            broken.push(Violation::new(
                'A',
                Damage::Lost,
                format!("{id} was refused as too old: {outcome:?}"),
            ));
        }
        for outcome in
            outcomes.iter().filter(|outcome| (outcome.verdict == Verdict::Failed) != doomed)
        {
            let wanted = if doomed { "to fail" } else { "to be decided" };
            broken.push(Violation::new(
                'A',
                Damage::Torn,
                format!("{id} had {wanted}: {outcome:?}"),
            ));
        }
        match (doomed, ledger.dead.get(id).copied().unwrap_or(0)) {
            (true, 1) | (false, 0) => {}
            (true, 0) => {
                broken.push(Violation::new(
                    'A',
                    Damage::Lost,
                    format!("{id} failed, but is not a dead letter"),
                ));
            }
            (_, letters) => {
                let what = format!("{id} became {letters} dead letters");
                broken.push(Violation::new('A', Damage::Doubled, what));
            }
        }
    }
    broken
}

/// B, for dead letters: each is of a command. The suite sends no event or follow-up that can't be
/// processed, and a dead letter without an id is of a record that the suite did not send.
pub(super) fn dead_letters(ledger: &Ledger) -> Vec<Violation> {
    let known = |id: &str| id.parse().is_ok_and(|id: Uuid| ledger.commands.contains_key(&id));
    let of_nothing = ledger.letters.iter().filter(|(id, _)| !known(id));
    let violations = of_nothing.map(|(id, at)| {
        Violation::new(
            'B',
            Damage::Doubled,
            format!("{at} is a dead letter of {id:?}, which is no command"),
        )
    });
    violations.collect()
}

#[cfg(test)]
mod tests {
    use schemas::stock::{ReceiveStock, StockReceived};

    use super::*;
    use crate::ledger::testing::{Log, accepted};

    fn receive() -> ReceiveStock {
        ReceiveStock { sku: "tea".to_owned(), quantity: 3 }
    }

    fn received(received: i64) -> StockReceived {
        StockReceived { sku: "tea".to_owned(), quantity: 3, received, free: received, held: 0 }
    }

    /// What the violations are, in order.
    fn letters(broken: &[Violation]) -> Vec<(char, Damage)> {
        broken.iter().map(|one| (one.invariant, one.damage)).collect()
    }

    #[test]
    fn command_that_the_suite_did_not_send_has_one_outcome_too() {
        let (mut log, nobody) = (Log::default(), History::default());
        log.command("stock.commands", "tea", 1, &receive());
        assert_eq!(outcomes(&log.ledger, &nobody), [], "it may be decided any moment");
        log.ledger.read_at_ms = DECIDED_MAX_MS + 1;
        assert_eq!(letters(&outcomes(&log.ledger, &nobody)), [('A', Damage::Lost)]);

        let refused = Outcome { verdict: Verdict::Refused, ..accepted(1, "", "tea", 0) };
        log.outcome("order.outcomes", &refused);
        assert_eq!(outcomes(&log.ledger, &nobody), []);
        log.outcome("order.outcomes", &Outcome { version: 1, ..refused });
        assert_eq!(letters(&outcomes(&log.ledger, &nobody)), [('A', Damage::Doubled)]);
    }

    #[test]
    fn command_that_the_suite_did_not_send_neither_fails_nor_expires() {
        let expired = Some("expired".to_owned());
        for (verdict, code, damage) in
            [(Verdict::Failed, None, Damage::Torn), (Verdict::Refused, expired, Damage::Lost)]
        {
            let mut log = Log::default();
            log.command("stock.commands", "tea", 1, &receive());
            log.outcome("order.outcomes", &accepted(1, "", "tea", 0));
            assert_eq!(failures(&log.ledger, &History::default()), []);

            let seen = log.ledger.outcomes.values_mut().next().expect("the outcome");
            seen.outcomes[0] = Outcome { verdict, code, ..accepted(1, "", "tea", 0) };
            let found = failures(&log.ledger, &History::default());
            assert_eq!(letters(&found), [('A', damage)]);
        }
    }

    #[test]
    fn accepted_version_that_another_command_has_written_is_torn() {
        let mut log = Log::default();
        log.command("stock.commands", "tea", 1, &receive());
        log.event("stock.events", "tea", 1, 11, 1, &received(3));
        let accepted = |version| accepted(1, ReceiveStock::SCHEMA.name, "tea", version);
        assert_eq!(without_event(&log.ledger, &accepted(1)), None);
        let missing = without_event(&log.ledger, &accepted(2)).expect("there is no version 2");
        assert_eq!((missing.invariant, missing.damage), ('A', Damage::Torn));

        log.event("stock.events", "tea", 2, 12, 2, &received(6));
        let foreign = without_event(&log.ledger, &accepted(2)).expect("it is another's");
        assert_eq!((foreign.invariant, foreign.damage), ('A', Damage::Torn));
        // A command that changes nothing names the version that it found.
        let unchanged = crate::ledger::testing::accepted(1, "millrace.Unchanged", "tea", 2);
        assert_eq!(without_event(&log.ledger, &unchanged), None);
    }

    #[test]
    fn only_a_command_that_may_change_nothing_names_the_version_of_another() {
        let mut log = Log::default();
        log.command("stock.commands", "tea", 1, &receive());
        log.event("stock.events", "tea", 1, 11, 2, &received(3));
        let is_torn =
            |name: &str| without_event(&log.ledger, &accepted(1, name, "tea", 1)).is_some();
        for name in [
            user::StartSession::SCHEMA.name,
            user::ChangePassword::SCHEMA.name,
            user::RehashPassword::SCHEMA.name,
            user::DeactivateUser::SCHEMA.name,
        ] {
            assert!(is_torn(name), "{name} always writes an event");
        }
        for name in [
            user::RefreshSession::SCHEMA.name,
            user::EndSession::SCHEMA.name,
            user::ChangeName::SCHEMA.name,
            user::ChangeEmail::SCHEMA.name,
            schemas::notification::MarkRead::SCHEMA.name,
        ] {
            assert!(!is_torn(name), "{name} may change nothing");
        }
    }

    #[test]
    fn command_with_more_outcomes_than_records_is_doubled() {
        let mut log = Log::default();
        let outcome = accepted(1, ReceiveStock::SCHEMA.name, "tea", 1);
        for _ in 0..2 {
            log.command("stock.commands", "tea", 1, &receive());
            log.outcome("order.outcomes", &outcome);
        }
        assert_eq!(surplus_outcomes(&log.ledger), [], "a repeat gets its outcome again");
        log.outcome("order.outcomes", &outcome);
        assert_eq!(letters(&surplus_outcomes(&log.ledger)), [('A', Damage::Doubled)]);
    }
}

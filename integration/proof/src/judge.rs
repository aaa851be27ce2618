//! The invariants by which the ledger is judged once the system is quiet. A violation that will
//! pass (an outcome that has not been written yet) and one that will stay look the same here: the
//! caller decides how long it waits.

use std::collections::{BTreeMap, HashMap, HashSet};

use schemas::{Codec, Verdict, notification, order, stock};
use uuid::Uuid;

use crate::{
    ledger::{Damage, Ledger, Violation},
    load::History,
};

/// All invariants that the topics alone can show: A to D and F.
pub fn topics(ledger: &Ledger, codec: &Codec, history: &History) -> Vec<Violation> {
    let mut broken = ledger.broken.clone();
    broken.extend(outcomes(ledger, history));
    broken.extend(failures(ledger, history));
    broken.extend(dead_letters(ledger));
    broken.extend(ledger.changelogs(codec));
    broken.extend(sums(ledger));
    broken.extend(notified_once(ledger));
    broken
}

/// A: every acknowledged command has exactly one outcome, and the events of an accepted one exist.
/// B: no outcome without a command.
fn outcomes(ledger: &Ledger, history: &History) -> Vec<Violation> {
    let mut broken = Vec::new();
    for id in history.acknowledged() {
        if !ledger.commands.contains_key(id) {
            broken.push(Violation::new(
                'A',
                Damage::Lost,
                format!("command {id} was acknowledged, but is not in the log"),
            ));
        }
        match ledger.outcomes.get(id).map_or(&[][..], |seen| &seen.outcomes) {
            [] => broken.push(Violation::new(
                'A',
                Damage::Lost,
                format!("command {id} has no outcome"),
            )),
            [_] => {}
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
            let (context, key) = (outcome.aggregate.as_str(), outcome.aggregate_id.as_str());
            let version = ledger.folds.version(context, key);
            if version.unwrap_or(0) < outcome.version {
                let what = format!(
                    "{context}/{key}: version {} was accepted, events end at {version:?}",
                    outcome.version
                );
                broken.push(Violation::new('A', Damage::Torn, what));
            }
        }
    }
    broken
}

/// A, for commands that can't be processed: each fails and is one dead letter, and nothing else
/// fails.
fn failures(ledger: &Ledger, history: &History) -> Vec<Violation> {
    let mut broken = Vec::new();
    for id in history.acknowledged() {
        let outcomes = ledger.outcomes.get(id).map_or(&[][..], |seen| &seen.outcomes);
        let doomed = history.is_doomed(id);
        // No command of the suite is as old as the dedupe horizon.
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
fn dead_letters(ledger: &Ledger) -> Vec<Violation> {
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

/// F: received = free + held by confirmed orders, nothing below zero, and every saga has ended.
fn sums(ledger: &Ledger) -> Vec<Violation> {
    let mut broken = Vec::new();
    let mut held: HashMap<&str, i64> = HashMap::new();
    for (key, (_, state)) in &ledger.folds.orders.aggregates {
        match state {
            Some(order::State::Confirmed(confirmed)) => {
                for line in &confirmed.lines {
                    *held.entry(&line.sku).or_default() += i64::from(line.quantity);
                }
            }
            Some(order::State::Placed(_)) => {
                broken.push(Violation::new(
                    'A',
                    Damage::Lost,
                    format!("order {key} was neither confirmed nor rejected"),
                ));
            }
            _ => {}
        }
    }
    for (sku, (_, state)) in &ledger.folds.stock.aggregates {
        let Some(stock::State::Product(product)) = state else { continue };
        let received: i64 =
            ledger.folds.stock.events.get(sku).into_iter().flatten().map(received).sum();
        let sold = held.get(sku.as_str()).copied().unwrap_or(0);
        let seen = (product.received, product.free + product.held, product.held);
        if seen != (received, received, sold) || product.free < 0 {
            let what =
                format!("{sku}: {product:?}; received {received}, confirmed orders hold {sold}");
            broken.push(Violation::new('F', Damage::Torn, what));
        }
    }
    broken
}

fn received(event: &stock::Event) -> i64 {
    match event {
        stock::Event::StockReceived(received) => i64::from(received.quantity),
        _ => 0,
    }
}

/// A, for consequences of commands: the customer is notified of each end of an order once.
fn notified_once(ledger: &Ledger) -> Vec<Violation> {
    let mut notified: BTreeMap<(Option<Uuid>, &str), usize> = BTreeMap::new();
    for event in ledger.folds.notifications.events.values().flatten() {
        if let notification::Event::NotificationRaised(raised) = event
            && raised.order_id.is_some()
        {
            *notified.entry((raised.order_id, raised.kind.as_str())).or_default() += 1;
        }
    }
    let mut broken = Vec::new();
    for (what, times) in notified.iter().filter(|(_, times)| **times > 1) {
        broken.push(Violation::new(
            'A',
            Damage::Doubled,
            format!("{what:?} was notified {times} times"),
        ));
    }
    for event in ledger.folds.orders.events.values().flatten() {
        let (id, kind) = match event {
            order::Event::OrderConfirmed(event) => (event.order_id, "ORDER_CONFIRMED"),
            order::Event::OrderRejected(event) => (event.order_id, "ORDER_REJECTED"),
            order::Event::OrderCancelled(event) => (event.order_id, "ORDER_CANCELLED"),
            _ => continue,
        };
        if !notified.contains_key(&(Some(id), kind)) {
            broken.push(Violation::new(
                'A',
                Damage::Lost,
                format!("{kind} of {id} was not notified"),
            ));
        }
    }
    broken
}

/// I: every record that a reader saw is in the log, and none is of an aborted transaction. `seen`
/// are the lines that kcat wrote before the log was read: topic, partition, offset, key and
/// headers.
pub fn live_reader(ledger: &Ledger, seen: &[String]) -> Vec<Violation> {
    let torn = |what: String| Violation::new('I', Damage::Torn, what);
    let (mut broken, mut read) = (Vec::new(), HashSet::new());
    for line in seen {
        let Some((at, rest)) = coordinates(line) else {
            broken.push(torn(format!("{line:?} is not a record")));
            continue;
        };
        match ledger.record_ids.get(&at) {
            Some(id) if rest.contains(id.as_str()) => {}
            Some(id) => broken.push(torn(format!("{at:?}: {rest} was read, but {id} is there"))),
            None => broken.push(torn(format!("{at:?}: {rest} was read, but it is not in the log"))),
        }
        if !read.insert(at) {
            broken.push(torn(format!("{line:?} was read twice")));
        }
    }
    broken
}

/// I: the reader misses no record of the log. `seen` are the lines that it wrote some time after
/// the log was read.
pub fn unread(ledger: &Ledger, seen: &[String]) -> Vec<Violation> {
    let read: HashSet<_> = seen.iter().filter_map(|line| Some(coordinates(line)?.0)).collect();
    let unread = ledger.record_ids.keys().filter(|at| !read.contains(*at));
    let lost =
        |at| Violation::new('I', Damage::Lost, format!("{at:?} is in the log, but was not read"));
    unread.map(lost).collect()
}

/// The topic, partition and offset of a line of the reader, and the rest of the line.
fn coordinates(line: &str) -> Option<((String, i32, i64), &str)> {
    let mut words = line.splitn(4, '\t');
    let (topic, partition, offset) =
        (words.next()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some(((topic.to_owned(), partition, offset), words.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.record_ids.insert(("order.outcomes".to_owned(), 1, 7), "id-7".to_owned());
        ledger
    }

    #[test]
    fn record_that_a_reader_has_not_seen_is_lost_until_it_has() {
        assert_eq!(unread(&ledger(), &[])[0].damage, Damage::Lost);
        assert_eq!(unread(&ledger(), &["order.outcomes\t1\t7\tid-7 ".to_owned()]), []);
    }

    #[test]
    fn record_that_is_not_in_the_log_or_is_read_twice_is_torn() {
        let good = "order.outcomes\t1\t7\tid-7 ".to_owned();
        assert_eq!(live_reader(&ledger(), std::slice::from_ref(&good)), []);
        assert_eq!(live_reader(&ledger(), &[good.clone(), good])[0].damage, Damage::Torn);
        for wrong in ["order.outcomes\t1\t8\tid-8 ", "order.outcomes\t1\t7\tid-8 ", "no record"] {
            assert_eq!(
                live_reader(&ledger(), &[wrong.to_owned()])[0].damage,
                Damage::Torn,
                "{wrong}"
            );
        }
    }
}

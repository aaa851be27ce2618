//! Invariant I: what a reader saw while faults happened is what the log has. It reads neither.

use std::collections::HashSet;

use crate::ledger::{Damage, Ledger, Violation};

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

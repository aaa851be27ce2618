//! Which programs may have ended: those that a fault has killed, stopped or ended. Every other end
//! is a violation. It asks nobody; the caller knows the state of a part.

use std::collections::BTreeSet;

use integration::stack::{PROGRAMS, PartStatus, Program};

use crate::ledger::{Damage, Violation};

/// The programs that may have ended.
#[derive(Debug, Default)]
pub(super) struct ExpectedEnds {
    expected: BTreeSet<String>,
}

impl ExpectedEnds {
    /// Begins with the state of all parts: those that have ended before may stay so.
    pub(super) fn since(parts: &[PartStatus]) -> Self {
        let ended = parts.iter().filter(|part| has_ended(part));
        Self { expected: ended.map(|part| part.name.clone()).collect() }
    }

    /// Notes that a part may have ended, until it is started again.
    pub(super) fn expect(&mut self, name: &str) {
        self.expected.insert(name.to_owned());
    }

    /// Notes that a part is started with `extra` in its environment. Some fault points end it.
    pub(super) fn started(&mut self, name: &str, extra: &[(&str, &str)]) {
        let ends =
            extra.iter().any(|(name, fault)| *name == "MILLRACE_FAULT" && ends_process(fault));
        if ends {
            self.expect(name);
        } else {
            self.expected.remove(name);
        }
    }

    /// The violation of H by a program that ended although no fault ended it. The next call does
    /// not return the same end again.
    pub(super) fn take_unexpected(&mut self, part: &PartStatus) -> Option<Violation> {
        if !has_ended(part) || !is_program(&part.name) || !self.expected.insert(part.name.clone()) {
            return None;
        }
        let how = part.ended.as_deref().unwrap_or("ended");
        let what = format!("{} has ended by itself: it {how}", part.name);
        Some(Violation::new('H', Damage::Late, what))
    }
}

/// Whether a part has run and runs no more. A container that ends with code 0 by itself is shown as
/// stopped.
fn has_ended(part: &PartStatus) -> bool {
    ["dead", "stopped"].contains(&part.state.as_str())
}

/// Whether a part is one of Millrace's own programs, and not a server.
pub(super) fn is_program(name: &str) -> bool {
    PROGRAMS.iter().flat_map(Program::instances).any(|instance| instance == name)
}

/// Whether a value of `MILLRACE_FAULT` ends the process that reaches the fault point. A stop does
/// not, nor does an abort of a transaction, nor does a panic of a decider, which fails only its
/// command.
fn ends_process(fault: &str) -> bool {
    !fault.ends_with(":stop") && !fault.starts_with("abort:") && !fault.starts_with("panic:")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str, state: &str) -> PartStatus {
        PartStatus {
            name: name.to_owned(),
            state: state.to_owned(),
            pid: None,
            address: String::new(),
            starts: 1,
            ended: Some("ended with code 134".to_owned()),
        }
    }

    #[test]
    fn program_that_nobody_has_ended_is_reported_once() {
        let mut ends = ExpectedEnds::default();
        ends.started("order-0", &[("MILLRACE_BROKERS", "127.0.0.1:9092")]);
        let found = ends.take_unexpected(&part("order-0", "dead")).expect("it has crashed");
        assert_eq!((found.invariant, found.damage), ('H', Damage::Late));
        assert!(found.what.contains("order-0") && found.what.contains("134"), "{}", found.what);
        assert_eq!(ends.take_unexpected(&part("order-0", "dead")), None);

        ends.started("order-0", &[]);
        assert!(ends.take_unexpected(&part("order-0", "dead")).is_some(), "it has crashed again");
    }

    #[test]
    fn program_that_a_fault_has_killed_or_ended_is_not_reported() {
        let mut ends = ExpectedEnds::default();
        ends.expect("user-0");
        ends.started("order-0", &[("MILLRACE_FAULT", "after-poll:3:panic")]);
        for (name, state) in [
            ("user-0", "stopped"),
            ("order-0", "dead"),
            ("order-1", "not started"),
            ("mongo", "dead"),
        ] {
            assert_eq!(ends.take_unexpected(&part(name, state)), None, "{name}");
        }
        assert!(ends.take_unexpected(&part("user-1", "stopped")).is_some(), "it ended with code 0");

        let mut ends = ExpectedEnds::since(&[part("user-1", "stopped"), part("user-0", "ready")]);
        assert_eq!(ends.take_unexpected(&part("user-1", "stopped")), None, "before the suite");
        assert!(ends.take_unexpected(&part("user-0", "dead")).is_some());
    }

    #[test]
    fn program_at_a_fault_point_that_does_not_end_it_is_reported() {
        for fault in ["before-outcomes:3:stop", "abort:7", "panic:some-key"] {
            let mut ends = ExpectedEnds::default();
            ends.started("order-0", &[("MILLRACE_FAULT", fault)]);
            assert!(ends.take_unexpected(&part("order-0", "dead")).is_some(), "{fault}");
        }
    }
}

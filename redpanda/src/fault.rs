//! Fault points: named places in the code where a test can make the process fail, to prove that
//! nothing is lost. Without `MILLRACE_FAULT` a fault point costs one load and does nothing.
//!
//! - `MILLRACE_FAULT=after-begin:3` ends the process, as `kill -9` does, when it reaches the fault
//!   point `after-begin` for the third time.
//! - `before-outcomes:3:stop` stops it there, as SIGSTOP does, until it receives SIGCONT.
//! - `after-poll:3:panic` panics there, so that the thread ends and the process continues.
//! - `abort:3` makes the third transaction fail and abort.
//! - `panic:KEY` makes every decision about the aggregate KEY panic.
//!
//! A session has these fault points, in the order of a transaction: `after-poll`, `after-begin`,
//! `after-send`, `after-offsets`, `before-commit`, `abort`, `end-sent` (EndTxn was sent, its answer
//! has not arrived), `after-commit`; also `in-rebalance` and `during-restore`. A projector has
//! `before-store` and `after-store`, and with outcomes `before-outcomes` (nothing is sent to
//! PostgreSQL yet) and `in-outcomes` (the position has moved, nothing is committed).

use std::sync::{
    OnceLock,
    atomic::{AtomicI64, Ordering},
};

/// The content of `MILLRACE_FAULT`.
struct PlannedFault {
    point: String,
    argument: String,
    /// How many more times the fault point is reached until it acts; counted down.
    left: AtomicI64,
    action: Action,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Die,
    Stop,
    Panic,
}

static PLANNED: OnceLock<Option<PlannedFault>> = OnceLock::new();

fn planned() -> Option<&'static PlannedFault> {
    PLANNED
        .get_or_init(|| std::env::var("MILLRACE_FAULT").ok().map(|text| PlannedFault::parse(&text)))
        .as_ref()
}

impl PlannedFault {
    fn parse(text: &str) -> Self {
        let mut words = text.split(':');
        let mut word = || words.next().unwrap_or_default().to_owned();
        let (point, argument, action) = (word(), word(), word());
        let left = AtomicI64::new(argument.parse().unwrap_or(1));
        let action = match &*action {
            "stop" => Action::Stop,
            "panic" => Action::Panic,
            _ => Action::Die,
        };
        Self { point, argument, left, action }
    }
}

/// Whether the fault point `name` is to fail at all.
pub(crate) fn is_planned(name: &str) -> bool {
    planned().is_some_and(|fault| fault.point == name)
}

/// Whether the fault `name` is planned for `subject`, every time.
pub fn is_about(name: &str, subject: &str) -> bool {
    planned().is_some_and(|fault| fault.point == name && fault.argument == subject)
}

/// Fails here if it is planned: ends the process, stops it, or panics.
pub fn point(name: &str) {
    if is_due(name) {
        match planned().map(|fault| fault.action) {
            Some(Action::Stop) => stop(name),
            Some(Action::Panic) => panic!("MILLRACE_FAULT: panicking at {name}"),
            _ => die(name),
        }
    }
}

/// Whether the fault point `name` is to fail now.
pub(crate) fn is_due(name: &str) -> bool {
    planned()
        .is_some_and(|fault| fault.point == name && fault.left.fetch_sub(1, Ordering::Relaxed) == 1)
}

/// Ends the process at once.
pub(crate) fn die(name: &str) -> ! {
    eprintln!("MILLRACE_FAULT: dying at {name}");
    std::process::abort();
}

/// Stops all threads of the process until it receives SIGCONT.
fn stop(name: &str) {
    eprintln!("MILLRACE_FAULT: stopping at {name}");
    let stopped = std::process::Command::new("kill")
        .args(["-STOP", &std::process::id().to_string()])
        .status();
    if let Err(error) = stopped {
        eprintln!("MILLRACE_FAULT: can't stop: kill: {error}");
    }
    // The signal may take a moment to arrive. This thread does nothing until then; the sleep ends
    // at once when SIGCONT arrives later than this.
    std::thread::sleep(std::time::Duration::from_secs(1));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_names_a_fault_point_a_count_and_an_action() {
        let fault = PlannedFault::parse("before-outcomes:3:stop");
        assert_eq!(
            (&*fault.point, fault.left.into_inner(), fault.action),
            ("before-outcomes", 3, Action::Stop)
        );
        let fault = PlannedFault::parse("after-poll");
        assert_eq!(
            (&*fault.point, fault.left.into_inner(), fault.action),
            ("after-poll", 1, Action::Die)
        );
        assert_eq!(PlannedFault::parse("after-poll:3:panic").action, Action::Panic);
        assert_eq!(PlannedFault::parse("panic:order-7").argument, "order-7");
    }
}

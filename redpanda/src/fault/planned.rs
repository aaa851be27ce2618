//! The fault points of a build with the feature `faults`: they follow `MILLRACE_FAULT`.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicI64, Ordering},
    },
    thread,
    time::Duration,
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

/// Panics, every time, if that is planned for the aggregate `key`.
pub fn panic_about(key: &str) {
    let is_planned = planned().is_some_and(|fault| fault.point == "panic" && fault.argument == key);
    assert!(!is_planned, "MILLRACE_FAULT: a panic was ordered");
}

/// Fails here if it is planned: ends the process, stops it, or panics.
pub fn point(name: &str) {
    point_after(name, || ());
}

/// Fails here if it is planned, after it has called `first`.
pub(crate) fn point_after(name: &str, first: impl FnOnce()) {
    if is_due(name) {
        first();
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

/// Ends the process after `wait`, while this thread continues, if the fault point is to fail now.
pub(crate) fn die_after(name: &'static str, wait: Duration) {
    if is_due(name) {
        thread::spawn(move || {
            thread::sleep(wait);
            die(name);
        });
    }
}

/// Ends the process at once.
fn die(name: &str) -> ! {
    eprintln!("MILLRACE_FAULT: dying at {name}");
    std::process::abort();
}

/// Stops all threads of the process until it receives SIGCONT.
fn stop(name: &str) {
    eprintln!("MILLRACE_FAULT: stopping at {name}");
    // The shell's own `kill`, because an image may have no such program.
    let stopped = std::process::Command::new("sh")
        .args(["-c", "kill -STOP \"$0\"", &std::process::id().to_string()])
        .status();
    if let Err(error) = stopped {
        eprintln!("MILLRACE_FAULT: can't stop: sh: {error}");
    }
    // The signal may take a moment to arrive. This thread does nothing until then; the sleep ends
    // at once when SIGCONT arrives later than this.
    thread::sleep(Duration::from_secs(1));
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

//! Places where a process can be made to die, for those who prove that nothing is lost then.
//!
//! `MILLRACE_FAULT=after-begin:3` ends the process, as `kill -9` does, at the third time that it
//! comes to the place `after-begin`; `before-outcomes:3:stop` stops it there, as SIGSTOP does,
//! until it gets SIGCONT; `after-poll:3:panic` panics there, so that the thread dies and the
//! process stays; `abort:3` lets the third transaction fail and be aborted; `panic:KEY` makes every
//! decision about the aggregate KEY panic. Without the variable a place costs one load.
//!
//! A session's places, in the order of a transaction: `after-poll`, `after-begin`, `after-send`,
//! `after-offsets`, `before-commit`, `abort`, `end-sent` (the wish to commit was sent, its answer
//! is not seen), `after-commit`; beside them `in-rebalance` and `during-restore`; a projector's:
//! `before-store` and `after-store`, and with outcomes `before-outcomes` (nothing is sent to
//! PostgreSQL yet) and `in-outcomes` (the position is moved, nothing committed).

use std::sync::{
    OnceLock,
    atomic::{AtomicI64, Ordering},
};

struct Order {
    place: String,
    argument: String,
    /// Times until it happens; counted down.
    left: AtomicI64,
    then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Die,
    Stop,
    Panic,
}

static ORDERED: OnceLock<Option<Order>> = OnceLock::new();

fn ordered() -> Option<&'static Order> {
    ORDERED
        .get_or_init(|| std::env::var("MILLRACE_FAULT").ok().map(|text| Order::parse(&text)))
        .as_ref()
}

impl Order {
    fn parse(text: &str) -> Self {
        let mut words = text.split(':');
        let mut word = || words.next().unwrap_or_default().to_owned();
        let (place, argument, action) = (word(), word(), word());
        let left = AtomicI64::new(argument.parse().unwrap_or(1));
        let then = match &*action {
            "stop" => Then::Stop,
            "panic" => Then::Panic,
            _ => Then::Die,
        };
        Self { place, argument, left, then }
    }
}

/// Whether dying at the place `name` is ordered at all.
pub(crate) fn is_ordered(name: &str) -> bool {
    ordered().is_some_and(|order| order.place == name)
}

/// Whether the fault `name` is ordered for `what`, every time.
pub fn is_about(name: &str, what: &str) -> bool {
    ordered().is_some_and(|order| order.place == name && order.argument == what)
}

/// Dies here, or stops, if it was ordered.
pub fn place(name: &str) {
    if is_due(name) {
        match ordered().map(|order| order.then) {
            Some(Then::Stop) => stop(name),
            Some(Then::Panic) => panic!("MILLRACE_FAULT: panicking at {name}"),
            _ => die(name),
        }
    }
}

/// Whether the fault `name` is to happen now.
pub(crate) fn is_due(name: &str) -> bool {
    ordered()
        .is_some_and(|order| order.place == name && order.left.fetch_sub(1, Ordering::Relaxed) == 1)
}

/// Ends the process at once.
pub(crate) fn die(name: &str) -> ! {
    eprintln!("MILLRACE_FAULT: dying at {name}");
    std::process::abort();
}

/// Stops the process, all threads of it, until somebody lets it go on.
fn stop(name: &str) {
    eprintln!("MILLRACE_FAULT: stopping at {name}");
    let stopped = std::process::Command::new("kill")
        .args(["-STOP", &std::process::id().to_string()])
        .status();
    if let Err(error) = stopped {
        eprintln!("MILLRACE_FAULT: can't stop: kill: {error}");
    }
    // The signal may take a moment. Until it has come, nothing goes on here; once it has, this is
    // over when it is woken.
    std::thread::sleep(std::time::Duration::from_secs(1));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_names_a_place_and_how_often_and_what_to_do() {
        let order = Order::parse("before-outcomes:3:stop");
        assert_eq!(
            (&*order.place, order.left.into_inner(), order.then),
            ("before-outcomes", 3, Then::Stop)
        );
        let order = Order::parse("after-poll");
        assert_eq!(
            (&*order.place, order.left.into_inner(), order.then),
            ("after-poll", 1, Then::Die)
        );
        assert_eq!(Order::parse("after-poll:3:panic").then, Then::Panic);
        assert_eq!(Order::parse("panic:order-7").argument, "order-7");
    }
}

//! A small bank, on which the engine's tests run. Money moves between accounts by a saga, so a
//! record that is lost or applied twice changes the sum. A gift is not acknowledged, so one account
//! can send another one several gifts before the first has arrived. Memos are never removed from an
//! account, so that a state can become too large.
#![allow(dead_code)]

mod records;

use std::time::{Duration, Instant};

use domain::{
    decider::{Decider, Decision, DecisionResult, Input, InputInfo, Reaction, Refusal},
    policy::Policy,
};
use engine::{Topology, driver::Driver};
use redpanda::memory::MemoryLog;
use schemas::{Codec, Message, Schema};
use uuid::Uuid;

pub use records::*;

/// Partitions of each of the bank's topics.
pub const PARTITIONS: i32 = 4;

/// The time after which a transfer without an acknowledgement is overdue.
pub const OVERDUE_MS: i64 = 60_000;

pub struct Account;

impl Decider for Account {
    const CONTEXT: &'static str = "account";
    type Command = Command;
    type FollowUp = FollowUp;
    type Event = Event;
    type State = Balance;
    /// The sum of the credits from one other account.
    type Child = Note;
    type Out = FollowUp;

    fn child_of_input(input: &Input<Command, FollowUp>) -> Option<String> {
        match input {
            Input::FollowUp(FollowUp::Credit(credit)) => Some(credit.from.clone()),
            _ => None,
        }
    }

    fn child_of_event(event: &Event) -> Option<String> {
        match event {
            Event::Credited(credited) => Some(credited.from.clone()),
            _ => None,
        }
    }

    fn decide(
        state: Option<&Balance>,
        _child: Option<&Note>,
        input: &Input<Command, FollowUp>,
        _info: &InputInfo<'_>,
    ) -> DecisionResult<Self> {
        let balance = state.map_or(0, |state| state.amount);
        Ok(match input {
            Input::Command(Command::Deposit(Deposit { amount })) => {
                Decision::event(Deposited { amount: *amount })
            }
            Input::Command(
                Command::Transfer(Transfer { amount, .. }) | Command::Give(Give { amount, .. }),
            ) if *amount > balance => {
                return Err(Refusal::new("overdrawn", format!("there are only {balance}")));
            }
            Input::Command(Command::Give(Give { to, amount })) => {
                Decision::event(Given { to: to.clone(), amount: *amount })
            }
            Input::Command(Command::Transfer(Transfer { to, amount })) => {
                Decision::pending(Sent { to: to.clone(), amount: *amount })
            }
            Input::Command(Command::Memo(Memo { text })) => {
                Decision::event(Noted { text: text.clone() })
            }
            // The bug is mended as soon as a memo says so.
            Input::Command(Command::Panic(Panic { why })) => {
                let is_mended = state.is_some_and(|state| state.memos.contains("mended"));
                assert!(is_mended, "{why}");
                Decision::event(Noted { text: why.clone() })
            }
            Input::FollowUp(FollowUp::Credit(Credit { amount, .. })) if amount % 1_000 == 666 => {
                panic!("unlucky")
            }
            Input::FollowUp(FollowUp::Credit(Credit { amount, .. }))
                if amount % 1_000 == 667 && balance == 0 =>
            {
                panic!("nothing in the account")
            }
            Input::FollowUp(FollowUp::Credit(Credit { from, amount })) => {
                Decision::event(Credited { from: from.clone(), amount: *amount })
            }
            Input::FollowUp(FollowUp::Gift(Gift { from, amount })) => {
                Decision::event(Received { from: from.clone(), amount: *amount })
            }
            Input::FollowUp(FollowUp::Acknowledge(Acknowledge { amount })) => {
                Decision::event(Arrived { amount: *amount })
            }
            Input::Timer(_) => Decision::event(Overdue { amount: 0 }),
        })
    }

    fn evolve(state: Option<Balance>, event: &Event) -> Option<Balance> {
        let (amount, mut memos) =
            state.map_or((0, String::new()), |state| (state.amount, state.memos));
        let change = match event {
            Event::Deposited(Deposited { amount })
            | Event::Credited(Credited { amount, .. })
            | Event::Received(Received { amount, .. }) => *amount,
            Event::Sent(Sent { amount, .. }) | Event::Given(Given { amount, .. }) => -amount,
            Event::Arrived(_) | Event::Overdue(_) => 0,
            Event::Noted(Noted { text }) => {
                memos.push_str(text);
                0
            }
        };
        Some(Balance { amount: amount + change, memos })
    }

    fn evolve_child(child: Option<Note>, event: &Event) -> Option<Note> {
        let before = child.map_or(0, |note| note.amount);
        match event {
            Event::Credited(Credited { amount, .. }) => Some(Note { amount: before + amount }),
            _ => Some(Note { amount: before }),
        }
    }
}

impl Policy for Account {
    fn react(
        _state: Option<&Balance>,
        event: &Event,
        info: &InputInfo<'_>,
    ) -> Vec<Reaction<FollowUp>> {
        let send = |key: &str, message: FollowUp| Reaction::send(key, message);
        match event {
            Event::Sent(Sent { to, amount }) => vec![
                send(to, Credit { from: info.key.to_owned(), amount: *amount }.into()),
                Reaction::set_timer("overdue", info.at_ms + OVERDUE_MS),
            ],
            Event::Given(Given { to, amount }) => {
                vec![send(to, Gift { from: info.key.to_owned(), amount: *amount }.into())]
            }
            Event::Credited(Credited { from, amount }) => {
                vec![send(from, Acknowledge { amount: *amount }.into())]
            }
            Event::Arrived(_) => {
                vec![Reaction::cancel_timer("overdue"), Reaction::Conclude(Ok(()))]
            }
            Event::Deposited(_) | Event::Overdue(_) | Event::Noted(_) | Event::Received(_) => {
                Vec::new()
            }
        }
    }
}

/// The aggregate that a newer version of the bank has beside accounts: the same rules in another
/// context.
pub struct Savings;

impl Decider for Savings {
    const CONTEXT: &'static str = "savings";
    type Command = Command;
    type FollowUp = FollowUp;
    type Event = Event;
    type State = Balance;
    type Child = Note;
    type Out = FollowUp;

    fn decide(
        state: Option<&Balance>,
        child: Option<&Note>,
        input: &Input<Command, FollowUp>,
        info: &InputInfo<'_>,
    ) -> DecisionResult<Self> {
        Account::decide(state, child, input, info)
    }

    fn evolve(state: Option<Balance>, event: &Event) -> Option<Balance> {
        Account::evolve(state, event)
    }
}

impl Policy for Savings {
    fn react(
        state: Option<&Balance>,
        event: &Event,
        info: &InputInfo<'_>,
    ) -> Vec<Reaction<FollowUp>> {
        Account::react(state, event, info)
    }
}

/// All schemas that the bank's processor writes, for a codec of its own.
pub fn schemas() -> Vec<&'static Schema> {
    let own = [
        Command::schemas(),
        FollowUp::schemas(),
        Event::schemas(),
        Balance::schemas(),
        Note::schemas(),
    ];
    own.concat()
}

/// A bank of one worker on a log of its own.
pub fn driver() -> Driver {
    driver_of(1)
}

/// A bank of several workers on a log of its own.
pub fn driver_of(workers: usize) -> Driver {
    let topics = ["commands", "followups", "events", "commands.dead", "followups.dead"];
    let topics = topics.map(|topic| format!("account.{topic}"));
    let names =
        topics.iter().map(String::as_str).chain(["bank.state", "bank.outcomes", "bank.operations"]);
    let log = MemoryLog::new(names.map(|topic| (topic, PARTITIONS)));
    let topology = Topology::new("bank", |_| Some(PARTITIONS)).aggregate::<Account>();
    Driver::new(log, topology, codec(1), workers)
}

/// A codec whose schema ids begin with `first`.
pub fn codec(first: u32) -> Codec {
    Codec::of(::schemas::all().iter().copied().chain(schemas()).zip(first..))
}

pub fn send(driver: &Driver, key: &str, id: u128, command: impl Into<Command>) -> Uuid {
    let id = Uuid::from_u128(id);
    driver.send("account.commands", key, id, "somebody", &command.into());
    id
}

/// The verdicts on `commands`. Asserts that each command has one outcome.
pub fn verdicts(driver: &Driver, commands: &[Uuid]) -> Vec<::schemas::Verdict> {
    let verdict = |id: &Uuid| {
        let outcomes = driver.outcomes(*id);
        assert_eq!(outcomes.len(), 1, "one outcome of {id}");
        outcomes[0].verdict
    };
    commands.iter().map(verdict).collect()
}

/// Steps until `done`, and panics if that takes more than twenty seconds.
pub fn step_until(driver: &mut Driver, what: &str, done: impl Fn(&Driver) -> bool) {
    let begun = Instant::now();
    while !done(driver) {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}: not within twenty seconds");
        driver.step(0).unwrap_or_else(|error| panic!("the worker ended: {error}"));
    }
}

//! Aggregates that are forgotten when their retention has passed, and what they still send.

use std::time::Duration;

use domain::{
    decider::{Decider, Decision, DecisionResult, Input, InputInfo, RETENTION, Reaction},
    policy::Policy,
};
use engine::Topology;
use redpanda::partition_of;
use uuid::Uuid;

use crate::bank::{Account, Balance, Command, Deposit, Event, FollowUp, Give, Given, Note};
use crate::support::{PARTITIONS, balances, bank_of, kept, send, steps};

/// The days after which an aggregate without a change is forgotten, and one more.
const DAYS: u64 = 91;

/// Savings that are given to ann when nobody has touched them for the time of retention.
struct Forgotten;

impl Decider for Forgotten {
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
        match (input, state) {
            (Input::Timer(name), Some(Balance { amount, .. })) if name == RETENTION => {
                Ok(Decision::event(Given { to: "ann".into(), amount: *amount }))
            }
            _ => Account::decide(state, child, input, info),
        }
    }

    fn evolve(state: Option<Balance>, event: &Event) -> Option<Balance> {
        Account::evolve(state, event)
    }

    fn is_finished(_state: &Balance) -> bool {
        true
    }
}

impl Policy for Forgotten {
    fn react(
        state: Option<&Balance>,
        event: &Event,
        info: &InputInfo<'_>,
    ) -> Vec<Reaction<FollowUp>> {
        Account::react(state, event, info)
    }
}

/// An account of the same task as `key`.
fn account_beside(key: &str) -> String {
    let partition = |key: &str| partition_of(key.as_bytes(), PARTITIONS);
    let mut accounts = (0..).map(|number| format!("account-{number}"));
    accounts.find(|account| partition(account) == partition(key)).unwrap()
}

#[test]
fn follow_up_of_an_aggregate_that_is_forgotten_arrives_once() {
    let topology = Topology::new("bank", |_| Some(PARTITIONS));
    let topology = topology.aggregate::<Account>().aggregate::<Forgotten>();
    let mut driver = bank_of(topology, 1);
    let deposit: Command = Deposit { amount: 7 }.into();
    driver.send("savings.commands", "old", Uuid::from_u128(1), "somebody", &deposit);
    driver.settle();
    assert_eq!(kept(&driver, "state/savings/old"), 1);

    driver.advance(Duration::from_secs(DAYS * 24 * 3600));
    let beside = account_beside("old");
    send(&driver, &beside, 2, Deposit { amount: 1 });
    driver.settle();
    assert_eq!(kept(&driver, "state/savings/old"), 0, "it is forgotten");
    assert_eq!(balances(&driver).get("ann"), Some(&7));

    driver.kill(0);
    driver.start(0);
    send(&driver, "ann", 3, Deposit { amount: 1 });
    driver.settle();
    assert_eq!(balances(&driver)["ann"], 8);
}

#[test]
fn follow_up_of_an_aggregate_that_is_forgotten_is_not_overtaken_by_a_later_one() {
    let topology = Topology::new("bank", |_| Some(PARTITIONS));
    let topology = topology.aggregate::<Account>().aggregate::<Forgotten>();
    let mut driver = bank_of(topology, 1);
    let old = |driver: &engine::driver::Driver, id, command: Command| {
        driver.send("savings.commands", "old", Uuid::from_u128(id), "somebody", &command);
    };
    old(&driver, 1, Deposit { amount: 7 }.into());
    driver.settle();
    driver.advance(Duration::from_secs(DAYS * 24 * 3600));
    driver.log.hold_commits(true);
    let beside = account_beside("old");
    send(&driver, &beside, 2, Deposit { amount: 1 });
    steps(&mut driver, 3);
    assert_eq!(driver.log.open_transactions(), 1);
    // The gift of the forgotten savings is in flight; the same key is used anew.
    old(&driver, 3, Deposit { amount: 2 }.into());
    old(&driver, 4, Give { to: "ann".into(), amount: 2 }.into());
    steps(&mut driver, 3);
    driver.log.hold_commits(false);
    driver.settle();

    let gifts = driver.read::<Event>("account.events").into_iter();
    let gift = |event| match event {
        Event::Received(gift) => Some(gift.amount),
        _ => None,
    };
    let gifts: Vec<_> = gifts.filter_map(|(_, event)| gift(event)).collect();
    assert_eq!(gifts, [7, 2]);
}

//! Properties of a stock under any sequence of inputs: no figure is negative, and the figures add
//! up.

use domain::stock::Stock;
use proptest::prelude::*;
use schemas::{
    Money,
    stock::{
        AddProduct, Child, Command, FollowUp, ReceiveStock, ReleaseStock, ReserveStock, State,
    },
};
use uuid::Uuid;

use crate::aggregate::{Aggregate, START_MS};

#[derive(Clone, Debug)]
enum Step {
    Command(Command),
    FollowUp(FollowUp),
}

fn step() -> impl Strategy<Value = Step> {
    let sku = || "cup".to_owned();
    let quantity = || prop_oneof![8 => 1..10, 1 => any::<i32>()];
    let order = || (0..6_u128).prop_map(Uuid::from_u128);
    // A release may be of another order of the id, or of an older version.
    let released = || prop_oneof![4 => Just(Some(START_MS)), 1 => Just(Some(1)), 1 => Just(None)];
    let price = Money { amount_minor: 1, currency: "EUR".into() };
    let add = Command::from(AddProduct { sku: sku(), name: "cup".into(), price });
    prop_oneof![
        1 => Just(Step::Command(add)),
        3 => quantity().prop_map(move |quantity| {
            Step::Command(ReceiveStock { sku: sku(), quantity }.into())
        }),
        6 => (order(), quantity()).prop_map(move |(order_id, quantity)| {
            let placed_at = Some(START_MS);
            Step::FollowUp(ReserveStock { sku: sku(), order_id, quantity, placed_at }.into())
        }),
        4 => (order(), released()).prop_map(move |(order_id, placed_at)| {
            Step::FollowUp(ReleaseStock { sku: sku(), order_id, placed_at }.into())
        }),
    ]
}

proptest! {
    #[test]
    fn received_is_free_plus_held_and_held_is_the_sum_of_reservations(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        let mut cup = Aggregate::<Stock>::new("cup");
        for step in steps {
            let then = match step {
                Step::Command(command) => cup.command(command),
                Step::FollowUp(FollowUp::ReserveStock(asked)) => {
                    let then = cup.follow_up(asked);
                    prop_assert_eq!(then.sent.len(), 1, "each request gets a reply");
                    then
                }
                Step::FollowUp(follow_up) => cup.follow_up(follow_up),
            };
            let Some(State::Product(product)) = &cup.state else {
                prop_assert!(then.events.is_empty());
                continue;
            };
            let quantity = |Child::Reservation(held): &Child| i64::from(held.quantity);
            let held: i64 = cup.children.values().map(quantity).sum();
            prop_assert!(product.free >= 0 && product.held >= 0, "{:?}", product);
            prop_assert_eq!(product.received, product.free + product.held);
            prop_assert_eq!(product.held, held);
        }
    }
}

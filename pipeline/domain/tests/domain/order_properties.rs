//! Properties of orders and stocks together, under any sequence of replies, deadlines and
//! cancellations that the log allows: follow-ups between two keys stay in order, as in one
//! partition; everything else may come in any order.

use std::collections::{BTreeMap, VecDeque};

use domain::{Out, order::Order, stock::Stock};
use proptest::prelude::*;
use schemas::{
    Money,
    order::{self, CancelOrder, Line, PlaceOrder},
    stock::{self, AddProduct, Child, ReceiveStock},
};
use uuid::Uuid;

use crate::aggregate::{Aggregate, Then};

const ORDERS: u128 = 4;
const SKUS: [&str; 3] = ["cup", "jug", "pot"];
const ANN: Uuid = Uuid::from_u128(1);

#[derive(Clone, Debug)]
enum Step {
    Place(u128, Vec<(usize, i32)>),
    Cancel(u128),
    Deadline(u128),
    Receive(usize, i32),
    /// Delivers the next message of one of the queues between two keys.
    Deliver(usize),
    /// Delivers the next message and keeps it in the queue, so that it is delivered twice.
    Double(usize),
}

/// The queue between two keys: order, product, and whether its messages go to the product.
type Way = (u128, String, bool);

struct World {
    orders: BTreeMap<u128, Aggregate<Order>>,
    stocks: BTreeMap<String, Aggregate<Stock>>,
    under_way: BTreeMap<Way, VecDeque<Out>>,
    answers: BTreeMap<u128, usize>,
}

impl World {
    /// A world with all products but the last; the second one's price is in another currency.
    fn new() -> Self {
        let mut stocks: BTreeMap<_, _> =
            SKUS.map(|sku| (sku.to_owned(), Aggregate::new(sku))).into();
        for (sku, currency) in SKUS.into_iter().zip(["EUR", "USD"]) {
            let price = Money { amount_minor: 100, currency: currency.into() };
            stocks.get_mut(sku).unwrap().command(AddProduct {
                sku: sku.into(),
                name: sku.into(),
                price,
            });
        }
        let orders = (0..ORDERS).map(|id| (id, Aggregate::new(Uuid::from_u128(id)))).collect();
        Self { orders, stocks, under_way: BTreeMap::new(), answers: BTreeMap::new() }
    }

    fn send<E>(&mut self, then: &Then<E>, order: u128, sku: Option<&str>) {
        for (_, key, message) in &then.sent {
            let way = match sku {
                Some(sku) => (order, sku.to_owned(), false),
                None => (order, key.clone(), true),
            };
            self.under_way.entry(way).or_default().extend(message.clone());
        }
    }

    fn order(&mut self, id: u128, act: impl FnOnce(&mut Aggregate<Order>) -> Then<order::Event>) {
        let then = act(self.orders.get_mut(&id).unwrap());
        *self.answers.entry(id).or_default() += usize::from(then.concluded.is_some());
        self.send(&then, id, None);
    }

    fn deliver(&mut self, choice: usize, keep: bool) -> bool {
        self.under_way.retain(|_, messages| !messages.is_empty());
        let ways = self.under_way.len().max(1);
        let Some(way) = self.under_way.keys().nth(choice % ways).cloned() else { return false };
        self.deliver_on(&way, keep);
        true
    }

    fn deliver_on(&mut self, way: &Way, keep: bool) {
        let messages = self.under_way.get_mut(way).unwrap();
        let message = match keep {
            true => messages.front().cloned().unwrap(),
            false => messages.pop_front().unwrap(),
        };
        let (id, sku, _) = way;
        match message {
            Out::Stock(asked) => {
                let then = self.stocks.get_mut(sku).unwrap().follow_up(asked);
                self.send(&then, *id, Some(sku));
            }
            Out::Order(answer) => self.order(*id, |order| order.follow_up(answer)),
            other => panic!("neither to a stock nor to an order: {other:?}"),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Place(id, lines) => {
                let line = |(sku, quantity): (usize, i32)| Line { sku: SKUS[sku].into(), quantity };
                let lines = lines.into_iter().map(line).collect();
                let place = PlaceOrder { order_id: Uuid::from_u128(id), user_id: ANN, lines };
                self.order(id, |order| order.command(place));
            }
            Step::Cancel(id) => {
                let cancel = CancelOrder {
                    order_id: Uuid::from_u128(id),
                    user_id: ANN,
                    expected_version: None,
                };
                self.order(id, |order| order.command(cancel));
            }
            Step::Deadline(id) => self.order(id, |order| order.timer("deadline")),
            Step::Receive(sku, quantity) => {
                let receive = ReceiveStock { sku: SKUS[sku].into(), quantity };
                self.stocks.get_mut(SKUS[sku]).unwrap().command(receive);
            }
            Step::Deliver(choice) => drop(self.deliver(choice, false)),
            Step::Double(choice) => drop(self.deliver(choice, true)),
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let lines = prop::collection::vec((prop_oneof![8 => 0..1_usize, 2 => 0..3_usize], 1..5), 1..4);
    prop_oneof![
        3 => (0..ORDERS, lines).prop_map(|(id, lines)| Step::Place(id, lines)),
        1 => (0..ORDERS).prop_map(Step::Cancel),
        1 => (0..ORDERS).prop_map(Step::Deadline),
        2 => (0..SKUS.len(), 1..8).prop_map(|(sku, quantity)| Step::Receive(sku, quantity)),
        8 => (0..16_usize).prop_map(Step::Deliver),
        1 => (0..16_usize).prop_map(Step::Double),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn every_order_ends_and_holds_its_lines_only_if_confirmed(
        steps in prop::collection::vec(step(), 1..80)
    ) {
        let mut world = World::new();
        let placed = |world: &World| {
            let placed = |order: &Aggregate<Order>| order.state.is_some();
            world.orders.iter().filter(|(_, o)| placed(o)).map(|(id, _)| *id).collect::<Vec<_>>()
        };
        for step in steps {
            world.step(step);
        }
        while world.deliver(0, false) {}

        for id in placed(&world) {
            let order = &world.orders[&id];
            let state = &order.state;
            prop_assert!(!order.pending, "all stocks have replied, so the order has ended: {state:?}");
            prop_assert!(order.timers.is_empty());
            prop_assert_eq!(world.answers[&id], 1, "the command ends once");

            let held: BTreeMap<_, _> = world
                .stocks
                .iter()
                .filter_map(|(sku, stock)| Some((sku.clone(), stock.children.get(&order.key)?)))
                .map(|(sku, Child::Reservation(held))| (sku, held.quantity))
                .collect();
            let wanted: BTreeMap<_, _> = match order.state.as_ref().unwrap() {
                order::State::Confirmed(confirmed) => {
                    confirmed.lines.iter().map(|line| (line.sku.clone(), line.quantity)).collect()
                }
                order::State::Rejected(_) | order::State::Cancelled(_) => BTreeMap::new(),
                order::State::Placed(_) => {
                    return Err(TestCaseError::fail("an order without an end"));
                }
            };
            prop_assert_eq!(held, wanted, "{:?}", order.state);
        }
        for stock in world.stocks.values() {
            let Some(stock::State::Product(product)) = &stock.state else { continue };
            prop_assert!(product.free >= 0 && product.received == product.free + product.held);
        }
    }
}

//! What may happen to a product's stock.

use schemas::stock::{
    AddProduct, Command, Event, FollowUp, Member, ProductAdded, ReceiveStock, ReleaseStock,
    ReserveStock, Shortage, State, StockReceived, StockRefused, StockReleased, StockReserved,
    state::{Product, Reservation},
};

use super::policy;
use crate::{
    Out,
    decider::{Context, Decider, Decision, Input, Reaction},
    refusals, rules,
};

/// The stock of one product, keyed by its SKU. Its members are what single orders hold, keyed by
/// order id.
#[derive(Debug)]
pub struct Stock;

impl Decider for Stock {
    const CONTEXT: &'static str = "stock";
    type Command = Command;
    type FollowUp = FollowUp;
    type Event = Event;
    type State = State;
    type Member = Member;
    type Out = Out;

    fn member(input: &Input<Command, FollowUp>) -> Option<String> {
        match input {
            Input::FollowUp(FollowUp::ReserveStock(asked)) => Some(asked.order_id.to_string()),
            Input::FollowUp(FollowUp::ReleaseStock(asked)) => Some(asked.order_id.to_string()),
            Input::Command(_) | Input::Timer(_) => None,
        }
    }

    fn member_of(event: &Event) -> Option<String> {
        match event {
            Event::StockReserved(reserved) => Some(reserved.order_id.to_string()),
            Event::StockReleased(released) => Some(released.order_id.to_string()),
            Event::ProductAdded(_) | Event::StockReceived(_) | Event::StockRefused(_) => None,
        }
    }

    fn decide(
        state: Option<&State>,
        member: Option<&Member>,
        input: &Input<Command, FollowUp>,
        context: &Context<'_>,
    ) -> Decision<Event, Out> {
        let product = state.map(|State::Product(product)| product);
        let held = member.map(|Member::Reservation(reservation)| reservation);
        match input {
            Input::Command(Command::AddProduct(add)) => add_product(product, add, context),
            Input::Command(Command::ReceiveStock(receive)) => {
                receive_stock(product, receive, context)
            }
            Input::FollowUp(FollowUp::ReserveStock(reserve)) => {
                reserve_stock(product, held, reserve)
            }
            Input::FollowUp(FollowUp::ReleaseStock(release)) => {
                release_stock(product, held, release)
            }
            Input::Timer(_) => Decision::nothing(),
        }
    }

    fn evolve(state: Option<State>, event: &Event) -> Option<State> {
        if let Event::ProductAdded(added) = event {
            return Some(State::Product(Product {
                sku: added.sku.clone(),
                name: added.name.clone(),
                price: added.price.clone(),
                received: 0,
                free: 0,
                held: 0,
                added_at: added.added_at,
            }));
        }
        let State::Product(product) = state?;
        let (received, free, held) = match event {
            Event::StockReceived(e) => (e.received, e.free, e.held),
            Event::StockReserved(e) => (e.received, e.free, e.held),
            Event::StockRefused(e) => (e.received, e.free, e.held),
            Event::StockReleased(e) => (e.received, e.free, e.held),
            Event::ProductAdded(_) => (product.received, product.free, product.held),
        };
        Some(State::Product(Product { received, free, held, ..product }))
    }

    fn evolve_member(_member: Option<Member>, event: &Event) -> Option<Member> {
        match event {
            Event::StockReserved(reserved) => Some(Member::Reservation(Reservation {
                sku: reserved.sku.clone(),
                order_id: reserved.order_id,
                quantity: reserved.quantity,
                unit_price: reserved.unit_price.clone(),
            })),
            _ => None,
        }
    }

    /// The order that holds it is forgotten by then, so nobody can release it any more: the goods
    /// are the customer's, and the product's figures still count them as held.
    fn is_settled(_member: &Member) -> bool {
        true
    }

    fn react(_state: Option<&State>, event: &Event, _context: &Context<'_>) -> Vec<Reaction<Out>> {
        policy::react(event)
    }
}

fn add_product(
    product: Option<&Product>,
    add: &AddProduct,
    context: &Context<'_>,
) -> Decision<Event, Out> {
    let valid = rules::key("sku", &add.sku, context.key)
        .and_then(|()| rules::sku(&add.sku))
        .and_then(|()| rules::name(&add.name))
        .and_then(|()| rules::price(&add.price));
    if let Err(refusal) = valid {
        return Decision::refuse(refusal.code, refusal.detail);
    }
    if product.is_some() {
        return Decision::refuse(
            refusals::ALREADY_EXISTS,
            format!("there is a product {} already", add.sku),
        );
    }
    let AddProduct { sku, name, price } = add.clone();
    Decision::accept([ProductAdded { sku, name, price, added_at: context.at_ms }.into()])
}

fn receive_stock(
    product: Option<&Product>,
    receive: &ReceiveStock,
    context: &Context<'_>,
) -> Decision<Event, Out> {
    let Some(product) = product else {
        return Decision::refuse(
            refusals::NOT_FOUND,
            format!("there is no product {}", context.key),
        );
    };
    let valid = rules::key("sku", &receive.sku, context.key)
        .and_then(|()| rules::quantity(receive.quantity));
    if let Err(refusal) = valid {
        return Decision::refuse(refusal.code, refusal.detail);
    }
    let more = i64::from(receive.quantity);
    let Some(received) = product.received.checked_add(more) else {
        return Decision::refuse(refusals::INVALID, "quantity: more than can be counted");
    };
    Decision::accept([StockReceived {
        sku: product.sku.clone(),
        quantity: receive.quantity,
        received,
        free: product.free + more,
        held: product.held,
    }
    .into()])
}

fn reserve_stock(
    product: Option<&Product>,
    held: Option<&Reservation>,
    reserve: &ReserveStock,
) -> Decision<Event, Out> {
    let Some(product) = product else {
        // A key that has no product gets no event: only the answer.
        return Decision::nothing().with(policy::refusal(reserve, Shortage::UnknownSku));
    };
    if let Some(held) = held {
        // Asked again: what is held is the answer.
        return Decision::nothing().with(policy::grant(held));
    }
    let asked = i64::from(reserve.quantity);
    let (sku, order_id, quantity) = (product.sku.clone(), reserve.order_id, reserve.quantity);
    let received = product.received;
    if asked < 1 || asked > product.free {
        let (free, held, reason) = (product.free, product.held, Shortage::Insufficient);
        return Decision::accept([StockRefused {
            sku,
            order_id,
            quantity,
            reason,
            received,
            free,
            held,
        }
        .into()]);
    }
    let (free, held, unit_price) =
        (product.free - asked, product.held + asked, product.price.clone());
    Decision::accept([
        StockReserved { sku, order_id, quantity, unit_price, received, free, held }.into()
    ])
}

fn release_stock(
    product: Option<&Product>,
    held: Option<&Reservation>,
    release: &ReleaseStock,
) -> Decision<Event, Out> {
    // What is not held can't be released: released already, or never granted.
    let (Some(product), Some(reservation)) = (product, held) else { return Decision::nothing() };
    let quantity = i64::from(reservation.quantity);
    Decision::accept([StockReleased {
        sku: product.sku.clone(),
        order_id: release.order_id,
        quantity: reservation.quantity,
        received: product.received,
        free: product.free + quantity,
        held: product.held - quantity,
    }
    .into()])
}

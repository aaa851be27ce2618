//! Decides on a product's stock. It never sees an order, only what the order asks for.

use schemas::stock::{
    AddProduct, Child, Command, Event, FollowUp, ProductAdded, ReceiveStock, ReleaseStock,
    ReserveStock, Shortage, State, StockReceived, StockRefused, StockReleased, StockReserved,
    state::{Product, Reservation},
};

use super::{Stock, policy};
use crate::{
    Out,
    decider::{Decider, Decision, DecisionResult, Input, InputInfo, Refusal},
    refusals, rules,
};

impl Decider for Stock {
    const CONTEXT: &'static str = "stock";
    type Command = Command;
    type FollowUp = FollowUp;
    type Event = Event;
    type State = State;
    type Child = Child;
    type Out = Out;

    fn child_of_input(input: &Input<Command, FollowUp>) -> Option<String> {
        match input {
            Input::FollowUp(FollowUp::ReserveStock(asked)) => Some(asked.order_id.to_string()),
            Input::FollowUp(FollowUp::ReleaseStock(asked)) => Some(asked.order_id.to_string()),
            Input::Command(_) | Input::Timer(_) => None,
        }
    }

    fn child_of_event(event: &Event) -> Option<String> {
        match event {
            Event::StockReserved(reserved) => Some(reserved.order_id.to_string()),
            Event::StockReleased(released) => Some(released.order_id.to_string()),
            Event::ProductAdded(_) | Event::StockReceived(_) | Event::StockRefused(_) => None,
        }
    }

    fn decide(
        state: Option<&State>,
        child: Option<&Child>,
        input: &Input<Command, FollowUp>,
        info: &InputInfo<'_>,
    ) -> DecisionResult<Self> {
        let product = state.map(|State::Product(product)| product);
        let held = child.map(|Child::Reservation(reservation)| reservation);
        match input {
            Input::Command(Command::AddProduct(add)) => add_product(product, add, info),
            Input::Command(Command::ReceiveStock(receive)) => receive_stock(product, receive, info),
            Input::FollowUp(FollowUp::ReserveStock(reserve)) => {
                reserve_stock(product, held, reserve)
            }
            Input::FollowUp(FollowUp::ReleaseStock(release)) => {
                release_stock(product, held, release)
            }
            Input::Timer(_) => Ok(Decision::nothing()),
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

    fn evolve_child(_child: Option<Child>, event: &Event) -> Option<Child> {
        match event {
            Event::StockReserved(reserved) => Some(Child::Reservation(Reservation {
                sku: reserved.sku.clone(),
                order_id: reserved.order_id,
                quantity: reserved.quantity,
                unit_price: reserved.unit_price.clone(),
                placed_at: reserved.placed_at,
            })),
            _ => None,
        }
    }

    /// The engine has forgotten the order that holds the reservation by then, so no follow-up can
    /// release it any more: the goods are the customer's, and the product's figures still count
    /// them as held.
    fn is_child_finished(_child: &Child) -> bool {
        true
    }
}

fn add_product(
    product: Option<&Product>,
    add: &AddProduct,
    info: &InputInfo<'_>,
) -> DecisionResult<Stock> {
    rules::key("sku", &add.sku, info.key)?;
    rules::sku(&add.sku)?;
    rules::name(&add.name)?;
    rules::price(&add.price)?;
    if product.is_some() {
        let detail = format!("there is a product {} already", add.sku);
        return Err(Refusal::new(refusals::ALREADY_EXISTS, detail));
    }
    let AddProduct { sku, name, price } = add.clone();
    Ok(Decision::event(ProductAdded { sku, name, price, added_at: info.at_ms }))
}

fn receive_stock(
    product: Option<&Product>,
    receive: &ReceiveStock,
    info: &InputInfo<'_>,
) -> DecisionResult<Stock> {
    let product = product.ok_or_else(|| {
        Refusal::new(refusals::NOT_FOUND, format!("there is no product {}", info.key))
    })?;
    rules::key("sku", &receive.sku, info.key)?;
    rules::quantity(receive.quantity)?;
    let more = i64::from(receive.quantity);
    let received = product
        .received
        .checked_add(more)
        .ok_or_else(|| Refusal::new(refusals::INVALID, "quantity: more than can be counted"))?;
    Ok(Decision::event(StockReceived {
        sku: product.sku.clone(),
        quantity: receive.quantity,
        received,
        free: product.free + more,
        held: product.held,
    }))
}

fn reserve_stock(
    product: Option<&Product>,
    held: Option<&Reservation>,
    reserve: &ReserveStock,
) -> DecisionResult<Stock> {
    let Some(product) = product else {
        // A key without a product gets no event, only the reply.
        return Ok(Decision::nothing().with(policy::refusal(reserve, Shortage::UnknownSku)));
    };
    // An earlier order of this id is forgotten before its reservation. What that holds is sold, and
    // the product still counts it as held.
    if let Some(held) = held.filter(|held| held.placed_at == reserve.placed_at) {
        // A repeated request gets the reservation that exists.
        return Ok(Decision::nothing().with(policy::grant(held)));
    }
    let quantity = i64::from(reserve.quantity);
    if quantity < 1 || quantity > product.free {
        return Ok(Decision::event(StockRefused {
            sku: product.sku.clone(),
            order_id: reserve.order_id,
            quantity: reserve.quantity,
            reason: Shortage::Insufficient,
            received: product.received,
            free: product.free,
            held: product.held,
            placed_at: reserve.placed_at,
        }));
    }
    Ok(Decision::event(StockReserved {
        sku: product.sku.clone(),
        order_id: reserve.order_id,
        quantity: reserve.quantity,
        unit_price: product.price.clone(),
        received: product.received,
        free: product.free - quantity,
        held: product.held + quantity,
        placed_at: reserve.placed_at,
    }))
}

fn release_stock(
    product: Option<&Product>,
    held: Option<&Reservation>,
    release: &ReleaseStock,
) -> DecisionResult<Stock> {
    // Without a reservation there is nothing to release: it was released already, or never granted.
    // That of another order of this id is not released: its goods may be sold.
    let reservation = held.filter(|held| is_of(release, held));
    let (Some(product), Some(reservation)) = (product, reservation) else {
        return Ok(Decision::nothing());
    };
    let quantity = i64::from(reservation.quantity);
    Ok(Decision::event(StockReleased {
        sku: product.sku.clone(),
        order_id: release.order_id,
        quantity: reservation.quantity,
        received: product.received,
        free: product.free + quantity,
        held: product.held - quantity,
    }))
}

/// Whether a release is for the order of this reservation. Records of older versions do not say
/// which one of an id it is.
fn is_of(release: &ReleaseStock, held: &Reservation) -> bool {
    release.placed_at.zip(held.placed_at).is_none_or(|(released, held)| released == held)
}

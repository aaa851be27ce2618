//! Events as the services write them.

use schemas::{
    Money, Outcome, Verdict,
    notification::{Kind, NotificationRaised, NotificationRead},
    order::{Line, OrderCancelled, OrderConfirmed, OrderPlaced, PricedLine},
    stock::{ProductAdded, StockReceived},
    user::{RegistrationStarted, Role, UserRegistered},
};
use uuid::Uuid;

use crate::support::Bench;

pub(crate) fn uuid(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Versions 1 and 2 of a user.
pub(crate) fn registered(bench: &Bench, user_id: Uuid, fingerprint: &str) {
    let (email, name) = ("ada@example.org".to_owned(), "Ada".to_owned());
    let email_fingerprint = fingerprint.to_owned();
    let started = RegistrationStarted {
        user_id,
        email_fingerprint: email_fingerprint.clone(),
        email: email.clone(),
        name: name.clone(),
        role: Role::User,
        started_at: 1,
    };
    bench.append("user.events", &user_id.to_string(), 1, &started);
    let registered = UserRegistered {
        user_id,
        email,
        email_fingerprint,
        name,
        role: Role::User,
        registered_at: 2,
    };
    bench.append("user.events", &user_id.to_string(), 2, &registered);
}

/// Version 1 of an order.
pub(crate) fn placed(bench: &Bench, order_id: Uuid, user_id: Uuid, placed_at: i64) -> (i32, i64) {
    let lines = vec![Line { sku: "tea".to_owned(), quantity: 2 }];
    bench.append(
        "order.events",
        &order_id.to_string(),
        1,
        &OrderPlaced { order_id, user_id, lines, placed_at },
    )
}

pub(crate) fn confirmed(bench: &Bench, order_id: Uuid, user_id: Uuid, version: i64) {
    let money = |amount_minor| Money { amount_minor, currency: "EUR".to_owned() };
    let lines = vec![PricedLine { sku: "tea".to_owned(), quantity: 2, unit_price: money(450) }];
    let confirmed =
        OrderConfirmed { order_id, user_id, lines, total: money(900), confirmed_at: 100 };
    bench.append("order.events", &order_id.to_string(), version, &confirmed);
}

pub(crate) fn cancelled(bench: &Bench, order_id: Uuid, user_id: Uuid, version: i64) {
    let cancelled =
        OrderCancelled { order_id, user_id, reason: "by_customer".to_owned(), cancelled_at: 101 };
    bench.append("order.events", &order_id.to_string(), version, &cancelled);
}

/// Version 1 of a product.
pub(crate) fn product(bench: &Bench, sku: &str) {
    let price = Money { amount_minor: 450, currency: "EUR".to_owned() };
    let added = ProductAdded { sku: sku.to_owned(), name: "Tea".to_owned(), price, added_at: 1 };
    bench.append("stock.events", sku, 1, &added);
}

/// Five more pieces.
pub(crate) fn received(bench: &Bench, sku: &str, version: i64) {
    let pieces = 5 * (version - 1);
    let received =
        StockReceived { sku: sku.to_owned(), quantity: 5, received: pieces, free: pieces, held: 0 };
    bench.append("stock.events", sku, version, &received);
}

/// Version 1 of a notification.
pub(crate) fn raised(bench: &Bench, notification_id: Uuid, user_id: Uuid) {
    let raised = NotificationRaised {
        notification_id,
        user_id,
        kind: Kind::OrderConfirmed,
        title: "Confirmed".to_owned(),
        body: "Your order is confirmed.".to_owned(),
        order_id: Some(uuid(9)),
        raised_at: 7,
    };
    bench.append("notification.events", &notification_id.to_string(), 1, &raised);
}

/// Version 2 of a notification.
pub(crate) fn read(bench: &Bench, notification_id: Uuid, user_id: Uuid) {
    let read = NotificationRead { notification_id, user_id, read_at: 8 };
    bench.append("notification.events", &notification_id.to_string(), 2, &read);
}

/// Accepted, or refused with a code.
pub(crate) fn outcome(bench: &Bench, command_id: Uuid, code: Option<&str>) {
    let verdict = if code.is_some() { Verdict::Refused } else { Verdict::Accepted };
    let outcome = Outcome { verdict, code: code.map(str::to_owned), ..accepted(command_id) };
    bench.append("order.outcomes", &command_id.to_string(), 1, &outcome);
}

/// The outcome of an accepted command.
pub(crate) fn accepted(command_id: Uuid) -> Outcome {
    Outcome {
        command_id,
        command_type: "millrace.order.PlaceOrder".to_owned(),
        verdict: Verdict::Accepted,
        code: None,
        detail: None,
        aggregate: "order".to_owned(),
        aggregate_id: "1".to_owned(),
        version: 1,
        principal: "p".to_owned(),
        fingerprint: None,
        decided_at: 1,
    }
}

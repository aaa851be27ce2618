//! The commands that tests send. It sends none itself.

use schemas::{
    order::{CancelOrder, Line, PlaceOrder},
    user::{RegisterUser, Role},
};
use uuid::Uuid;

pub(crate) const ANN: Uuid = Uuid::from_u128(1);

pub(crate) fn register(number: u128, address: &str) -> RegisterUser {
    RegisterUser {
        user_id: Uuid::from_u128(number),
        email: format!("{address}@example.org"),
        email_fingerprint: address.into(),
        name: format!("User {number}"),
        password_hash: format!("hash of {number}"),
        role: Role::User,
    }
}

pub(crate) fn place(number: u128, lines: &[(&str, i32)]) -> PlaceOrder {
    let line = |(sku, quantity): &(&str, i32)| Line { sku: (*sku).into(), quantity: *quantity };
    let (order_id, lines) = (Uuid::from_u128(number), lines.iter().map(line).collect());
    PlaceOrder { order_id, user_id: ANN, lines }
}

pub(crate) fn cancel(number: u128) -> CancelOrder {
    CancelOrder { order_id: Uuid::from_u128(number), user_id: ANN, expected_version: None }
}

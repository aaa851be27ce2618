//! The bounds of texts and numbers. Records can also come from `rpk`, so deciders check what the
//! gateway has checked.

use crate::decider::Refusal;
use crate::refusals::INVALID;
use schemas::Money;

/// The most lines that an order may have.
pub const LINES_MAX: usize = 50;
/// The most of one product that an order may have, or that may arrive at once.
pub const QUANTITY_MAX: i32 = 1_000_000;

fn invalid(detail: impl Into<String>) -> Refusal {
    Refusal::new(INVALID, detail)
}

/// The id in a command is the one that it is sent to: else one thing's commands would change
/// another.
///
/// # Errors
/// When `value` is not the record's key.
pub fn key(field: &str, value: &str, key: &str) -> Result<(), Refusal> {
    match value == key {
        true => Ok(()),
        false => Err(invalid(format!("{field}: expected the record's key"))),
    }
}

/// A person's or a product's name.
///
/// # Errors
/// When it is empty, too long, or has control characters.
pub fn name(name: &str) -> Result<(), Refusal> {
    let length = name.chars().count();
    match (1..=100).contains(&length) && name.trim() == name && !name.chars().any(char::is_control)
    {
        true => Ok(()),
        false => Err(invalid("name: expected 1 to 100 characters without blanks around them")),
    }
}

/// An e-mail address: only its rough shape, because only a mail can prove it.
///
/// # Errors
/// When no mail could be sent to it.
pub fn email(email: &str) -> Result<(), Refusal> {
    let shaped = email.split_once('@').is_some_and(|(local, host)| {
        !local.is_empty()
            && host.contains('.')
            && !host.starts_with('.')
            && !host.ends_with('.')
            && !host.contains('@')
    });
    match shaped
        && email.len() <= 254
        && email.chars().all(|c| !c.is_whitespace() && !c.is_control())
    {
        true => Ok(()),
        false => Err(invalid(
            "email: expected an address like name@example.org of at most 254 characters",
        )),
    }
}

/// A stock keeping unit.
///
/// # Errors
/// When it has other characters or another length.
pub fn sku(sku: &str) -> Result<(), Refusal> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match (1..=64).contains(&sku.len()) && sku.chars().all(allowed) {
        true => Ok(()),
        false => Err(invalid("sku: expected 1 to 64 characters of A-Z, a-z, 0-9, -, _ and .")),
    }
}

/// A quantity of goods.
///
/// # Errors
/// When it is not from 1 to [`QUANTITY_MAX`].
pub fn quantity(quantity: i32) -> Result<(), Refusal> {
    match (1..=QUANTITY_MAX).contains(&quantity) {
        true => Ok(()),
        false => Err(invalid(format!("quantity: expected 1 to {QUANTITY_MAX}"))),
    }
}

/// A price.
///
/// # Errors
/// When it is negative or its currency is no ISO 4217 code.
pub fn price(price: &Money) -> Result<(), Refusal> {
    let currency =
        price.currency.len() == 3 && price.currency.chars().all(|c| c.is_ascii_uppercase());
    match price.amount_minor >= 0 && currency {
        true => Ok(()),
        false => Err(invalid(
            "price: expected 0 or more minor units and a currency of three capitals, like EUR",
        )),
    }
}

//! The bounds of texts and numbers, as refusals. [`schemas::bounds`] holds the bounds themselves,
//! because the gateway checks the same ones; deciders check again, because records can also come
//! from `rpk`.

use schemas::{
    Money,
    bounds::{self, PRICE_MINOR_MAX},
};

use crate::decider::Refusal;
use crate::refusals::INVALID;

pub use schemas::bounds::{ORDER_LINES_MAX as LINES_MAX, QUANTITY_MAX};

fn check(is_valid: bool, detail: impl Into<String>) -> Result<(), Refusal> {
    match is_valid {
        true => Ok(()),
        false => Err(Refusal::new(INVALID, detail)),
    }
}

/// Checks that the id in a command is the record's key; otherwise a command for one aggregate could
/// change another.
///
/// # Errors
/// Returns a refusal when `value` is not the record's key.
pub fn key(field: &str, value: &str, key: &str) -> Result<(), Refusal> {
    check(value == key, format!("{field}: expected the record's key"))
}

/// Checks the name of a person or product.
///
/// # Errors
/// Returns a refusal when it is empty, too long, or has control characters.
pub fn name(name: &str) -> Result<(), Refusal> {
    check(bounds::is_name(name), "name: expected 1 to 100 characters without blanks around them")
}

/// Checks the shape of an e-mail address.
///
/// # Errors
/// Returns a refusal when no mail could be sent to it.
pub fn email(email: &str) -> Result<(), Refusal> {
    let expected = "email: expected an address like name@example.org of at most 254 characters";
    check(bounds::is_email(email), expected)
}

/// Checks a stock-keeping unit.
///
/// # Errors
/// Returns a refusal when it has other characters or another length.
pub fn sku(sku: &str) -> Result<(), Refusal> {
    let expected = "sku: expected 1 to 64 characters of A-Z, a-z, 0-9, -, _ and ., not only dots";
    check(bounds::is_sku(sku), expected)
}

/// Checks a number of pieces.
///
/// # Errors
/// Returns a refusal when it is not from 1 to [`QUANTITY_MAX`].
pub fn quantity(quantity: i32) -> Result<(), Refusal> {
    check(bounds::is_quantity(quantity), format!("quantity: expected 1 to {QUANTITY_MAX}"))
}

/// Checks a price.
///
/// # Errors
/// Returns a refusal when it is negative or above [`PRICE_MINOR_MAX`], or when its currency is no
/// ISO 4217 code.
pub fn price(price: &Money) -> Result<(), Refusal> {
    let is_valid =
        bounds::is_price_minor(price.amount_minor) && bounds::is_currency(&price.currency);
    let expected = format!("0 to {PRICE_MINOR_MAX} minor units and a currency like EUR");
    check(is_valid, format!("price: expected {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price_of(amount_minor: i64) -> Result<(), Refusal> {
        price(&Money { amount_minor, currency: "EUR".into() })
    }

    #[test]
    fn price_is_refused_below_zero_and_above_the_maximum() {
        assert_eq!((price_of(0), price_of(PRICE_MINOR_MAX)), (Ok(()), Ok(())));
        for wrong in [-1, PRICE_MINOR_MAX + 1] {
            assert_eq!(price_of(wrong).map_err(|refusal| refusal.code), Err(INVALID));
        }
    }

    #[test]
    fn sku_of_only_dots_and_host_without_a_dot_are_refused() {
        assert!(sku("..").is_err() && sku("rye.flour").is_ok());
        assert!(email("ada@example").is_err() && email("ada@example.org").is_ok());
    }
}

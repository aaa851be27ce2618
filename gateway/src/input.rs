//! What people type, brought into one form and held to bounds before it goes anywhere.

use crate::{problem::Problem, reads::Cursor};

/// The longest e-mail address, RFC 5321.
const EMAIL_MAX: usize = 254;
const NAME_MAX: usize = 100;
const SKU_MAX: usize = 64;
/// Pieces in one line, or received at once.
pub const QUANTITY_MAX: i64 = 1_000_000;
/// A thousand million in minor units: no sum of an order overflows.
pub const PRICE_MAX: i64 = 1_000_000_000;

/// An e-mail address in the one form under which it is claimed: trimmed and in lower case.
///
/// # Errors
/// The problem to answer with, if it can't be one. Whether it exists only a mail could tell.
pub fn email(text: &str) -> Result<String, Problem> {
    let email = text.trim().to_lowercase();
    let wrong = || Problem::field("email", "an address such as ada@example.org");
    let (local, host) = email.rsplit_once('@').ok_or_else(wrong)?;
    let odd = |c: char| c.is_whitespace() || c.is_control() || "<>(),;:\\\"[]".contains(c);
    let host_fine =
        !host.is_empty() && !host.starts_with('.') && !host.ends_with('.') && !host.contains("..");
    if email.len() > EMAIL_MAX || local.is_empty() || local.contains('@') || !host_fine || email.contains(odd)
    {
        return Err(wrong());
    }
    Ok(email)
}

/// The name of a person or product.
///
/// # Errors
/// The problem to answer with, if it can't be one.
pub fn name(text: &str) -> Result<String, Problem> {
    let name = text.trim();
    if name.is_empty() || name.chars().count() > NAME_MAX || name.contains(char::is_control) {
        return Err(Problem::field("name", format!("1 to {NAME_MAX} characters on one line")));
    }
    Ok(name.to_owned())
}

/// Whether this can be a stock-keeping unit.
pub fn is_sku(text: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=SKU_MAX).contains(&text.len()) && text.bytes().all(fine)
}

/// A stock-keeping unit.
///
/// # Errors
/// The problem to answer with, if it can't be one.
pub fn sku(text: &str) -> Result<String, Problem> {
    let wrong = || Problem::field("sku", format!("1 to {SKU_MAX} of A-Z a-z 0-9 - _ ."));
    is_sku(text).then(|| text.to_owned()).ok_or_else(wrong)
}

/// Where a list of orders or notifications goes on: `next` of the page before.
///
/// # Errors
/// The problem to answer with, if it was never given out.
pub fn cursor(text: &str) -> Result<Cursor, Problem> {
    text.parse().map_err(|_| not_ours())
}

/// Where the list of products goes on: a SKU.
///
/// # Errors
/// The problem to answer with, if it was never given out.
pub fn product_cursor(text: String) -> Result<String, Problem> {
    if is_sku(&text) { Ok(text) } else { Err(not_ours()) }
}

fn not_ours() -> Problem {
    Problem::field("cursor", "`next` of the page before")
}

/// A number of pieces.
///
/// # Errors
/// The problem to answer with, if it is out of bounds.
pub fn quantity(quantity: i64) -> Result<i32, Problem> {
    let wrong = || Problem::field("quantity", format!("1 to {QUANTITY_MAX}"));
    i32::try_from(quantity)
        .ok()
        .filter(|pieces| (1..=QUANTITY_MAX).contains(&i64::from(*pieces)))
        .ok_or_else(wrong)
}

/// A price in minor units.
///
/// # Errors
/// The problem to answer with, if it is out of bounds.
pub fn price(minor: i64) -> Result<i64, Problem> {
    let wrong = || Problem::field("price_minor", format!("1 to {PRICE_MAX}, in minor units"));
    (1..=PRICE_MAX).contains(&minor).then_some(minor).ok_or_else(wrong)
}

/// A currency, ISO 4217.
///
/// # Errors
/// The problem to answer with, if it can't be one.
pub fn currency(text: &str) -> Result<String, Problem> {
    let fine = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    fine.then(|| text.to_owned())
        .ok_or_else(|| Problem::field("currency", "three capital letters, such as EUR"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_form() {
        assert_eq!(email(" Ada@Example.ORG ").expect("an address"), "ada@example.org");
        for wrong in
            ["", "ada", "@example.org", "ada@", "a b@example.org", "a@b@c.org", "ada@.org", "a\n@b.org"]
        {
            assert!(email(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn numbers_and_names_are_bounded() {
        assert!(quantity(0).is_err() && quantity(1_000_001).is_err() && quantity(1).is_ok());
        assert!(price(0).is_err() && price(PRICE_MAX).is_ok());
        assert!(sku("rye-flour-1kg").is_ok() && sku("a/b").is_err() && sku("").is_err());
        assert!(currency("EUR").is_ok() && currency("eur").is_err());
        assert!(name("  ").is_err() && name("a\nb").is_err());
    }
}

//! The bounds of texts and numbers in commands, once for everyone who checks them: the domain
//! refuses a command outside them, because records can also come from `rpk`; the gateway refuses
//! the request before it becomes a command. The deadlines of sagas are here too: the domain sets
//! timers by them, and traces show them. These are numbers and predicates only: they know neither
//! refusals nor HTTP.

/// Lines of an order, at most.
pub const ORDER_LINES_MAX: usize = 50;
/// Pieces in one line of an order, or received at once, at most.
pub const QUANTITY_MAX: i32 = 1_000_000;
/// The highest price in minor units. With [`ORDER_LINES_MAX`] and [`QUANTITY_MAX`], an order's
/// total fits into 64 bits.
pub const PRICE_MINOR_MAX: i64 = 1_000_000_000;
/// The highest total of an order in minor units: the largest integer up to which each is exact as
/// a number of JSON that is read into 64-bit floating point, as browsers do (RFC 8259, section 6).
pub const TOTAL_MINOR_MAX: i64 = (1 << 53) - 1;
/// The longest name, in characters.
pub const NAME_CHARS_MAX: usize = 100;
/// The longest e-mail address in bytes (RFC 5321).
pub const EMAIL_BYTES_MAX: usize = 254;
/// The longest stock-keeping unit, in bytes.
pub const SKU_BYTES_MAX: usize = 64;

/// How long the stocks may take together to reply to an order, in milliseconds from its command.
pub const ORDER_DEADLINE_MS: i64 = 30_000;
/// How long the claim of an e-mail address may take, in milliseconds from the command.
pub const CLAIM_DEADLINE_MS: i64 = 30_000;

/// Whether this is the name of a person or product: 1 to [`NAME_CHARS_MAX`] characters without
/// control characters and without white space at either end.
pub fn is_name(name: &str) -> bool {
    (1..=NAME_CHARS_MAX).contains(&name.chars().count())
        && name.trim() == name
        && !name.chars().any(char::is_control)
}

/// Whether this has the shape of an e-mail address whose host has a dot. Whether it exists, only a
/// mail to it can prove.
pub fn is_email(email: &str) -> bool {
    let Some((local, host)) = email.split_once('@') else { return false };
    let is_host =
        host.contains('.') && !host.starts_with('.') && !host.ends_with('.') && !host.contains('@');
    !local.is_empty()
        && is_host
        && email.len() <= EMAIL_BYTES_MAX
        && !email.chars().any(|c| c.is_whitespace() || c.is_control())
}

/// Whether this is a stock-keeping unit: 1 to [`SKU_BYTES_MAX`] of A-Z, a-z, 0-9, `-`, `_` and `.`,
/// but not `.` or `..`, which clients and load balancers remove from a path.
pub fn is_sku(sku: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=SKU_BYTES_MAX).contains(&sku.len())
        && sku.bytes().all(is_allowed)
        && ![".", ".."].contains(&sku)
}

/// Whether a number of pieces is from 1 to [`QUANTITY_MAX`].
pub fn is_quantity(pieces: i32) -> bool {
    (1..=QUANTITY_MAX).contains(&pieces)
}

/// Whether a price in minor units is from 0 (a gift) to [`PRICE_MINOR_MAX`].
pub fn is_price_minor(minor: i64) -> bool {
    (0..=PRICE_MINOR_MAX).contains(&minor)
}

/// Whether this has the shape of an ISO 4217 code: three capital letters.
pub fn is_currency(code: &str) -> bool {
    code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn email_needs_a_local_part_and_a_host_with_an_inner_dot() {
        for fine in ["ada@example.org", "a.b+c@x.co.uk", "jos\u{e9}@x.org"] {
            assert!(is_email(fine), "{fine}");
        }
        let long = format!("{}@example.org", "a".repeat(EMAIL_BYTES_MAX));
        let wrong = ["", "ada", "@x.org", "ada@example", "ada@.org", "ada@org.", "a@b@c.org"];
        for wrong in wrong.into_iter().chain(["a b@x.org", "a\n@x.org", long.as_str()]) {
            assert!(!is_email(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn name_has_1_to_100_characters_and_no_control_characters() {
        assert!(is_name("Ada L.") && is_name(&"\u{e9}".repeat(100)));
        for wrong in ["", " Ada", "Ada\n", "A\tda", &"n".repeat(101)] {
            assert!(!is_name(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn sku_is_one_path_segment_that_no_client_removes() {
        assert!(is_sku("rye-flour_1.kg") && is_sku(&"a".repeat(64)));
        for wrong in ["", ".", "..", "a/b", "a b", "\u{e9}", &"a".repeat(65)] {
            assert!(!is_sku(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn numbers_are_within_their_bounds() {
        assert!(is_quantity(1) && is_quantity(QUANTITY_MAX));
        assert!(!is_quantity(0) && !is_quantity(QUANTITY_MAX + 1));
        assert!(is_price_minor(0) && is_price_minor(PRICE_MINOR_MAX));
        assert!(!is_price_minor(-1) && !is_price_minor(PRICE_MINOR_MAX + 1));
        assert!(is_currency("EUR") && !is_currency("eur") && !is_currency("EURO"));
    }

    #[test]
    fn total_of_the_largest_order_fits_into_64_bits() {
        let lines = i64::try_from(ORDER_LINES_MAX).expect("a small number");
        let pieces = lines.checked_mul(i64::from(QUANTITY_MAX)).expect("pieces");
        assert!(pieces.checked_mul(PRICE_MINOR_MAX).is_some());
    }
}

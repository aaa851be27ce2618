//! What people type, brought into one form and held to bounds before it goes anywhere.

use email_address::{EmailAddress, Options};
use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{DefaultIgnorableCodePoint, GeneralCategory},
};
use unicode_normalization::UnicodeNormalization;

use crate::{problem::Problem, reads::Cursor};

/// The longest e-mail address, RFC 5321.
const EMAIL_MAX: usize = 254;
const NAME_MAX: usize = 100;
const SKU_MAX: usize = 64;
/// Pieces in one line, or received at once.
pub const QUANTITY_MAX: i64 = 1_000_000;
/// A thousand million in minor units: no sum of an order overflows.
pub const PRICE_MAX: i64 = 1_000_000_000;

/// An e-mail address in the one form under which it is claimed: trimmed, in lower case and in
/// Unicode's composed form, its host as DNS has it (UTS 46).
///
/// # Errors
/// The problem to answer with, if it can't be one. Whether it exists only a mail could tell.
pub fn email(text: &str) -> Result<String, Problem> {
    let wrong = || Problem::field("email", "an address such as ada@example.org");
    let text = text.trim();
    if text.contains(is_invisible) {
        return Err(Problem::field("email", "an address without invisible characters"));
    }
    let (local, host) = text.rsplit_once('@').ok_or_else(wrong)?;
    let local: String = local.nfc().collect::<String>().to_lowercase().nfc().collect();
    let host = idna::domain_to_ascii_strict(host).map_err(|_| wrong())?;
    let email = format!("{local}@{host}");
    let bare = Options::default().without_display_text().without_domain_literal();
    let is_address = EmailAddress::parse_with_options(&email, bare).is_ok();
    // A quoted local part is an address that no one has.
    if !is_address || local.contains('"') || email.len() > EMAIL_MAX {
        return Err(wrong());
    }
    Ok(email)
}

/// The name of a person or product: trimmed, in Unicode's composed form.
///
/// # Errors
/// The problem to answer with, if it can't be one.
pub fn name(text: &str) -> Result<String, Problem> {
    let name: String = text.trim().nfc().collect();
    // A line's end is no space that may stand around a name.
    let visible = is_visible(text) && is_visible(&name);
    if name.is_empty() || name.chars().count() > NAME_MAX || !visible {
        let detail = format!("1 to {NAME_MAX} characters on one line, none of them invisible");
        return Err(Problem::field("name", detail));
    }
    Ok(name)
}

/// What joins letters (Persian, Hindi) or makes an emoji: the zero-width non-joiner and joiner, and
/// the variation selector.
const JOINERS: [char; 3] = ['\u{200c}', '\u{200d}', '\u{fe0f}'];

/// Whether all characters can be seen; a joiner can between two that it joins.
fn is_visible(text: &str) -> bool {
    let mut before = ' ';
    let each = text.chars().all(|c| {
        let joins = JOINERS.contains(&c)
            && !before.is_ascii()
            && (!is_invisible(before) || before == JOINERS[2]);
        before = c;
        joins || !is_invisible(c)
    });
    each && !text.ends_with(&JOINERS[..2])
}

/// Control characters, what turns the direction of text, and everything else that shows nothing.
fn is_invisible(c: char) -> bool {
    use GeneralCategory::{Control, Format, LineSeparator, ParagraphSeparator, PrivateUse};
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        || matches!(category, Control | Format | LineSeparator | ParagraphSeparator | PrivateUse)
}

/// Whether this can be a stock-keeping unit.
pub fn is_sku(text: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    // Dots alone are no name in a path: clients and balancers take them away.
    ![".", ".."].contains(&text) && (1..=SKU_MAX).contains(&text.len()) && text.bytes().all(fine)
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
        let one = email("x@b\u{fc}cher.example").expect("an address");
        assert_eq!(one, "x@xn--bcher-kva.example");
        for same in
            ["x@bu\u{308}cher.example", "X@XN--BCHER-KVA.example", "x@B\u{dc}CHER\u{3002}example"]
        {
            assert_eq!(email(same).expect("an address"), one, "{same}");
        }
        assert_eq!(
            email("Jose\u{301}@x.org").expect("one"),
            email("jos\u{e9}@x.org").expect("the same")
        );
        for fine in ["a.b+c@x.org", "o'neil@x.co.uk", "a@1.example"] {
            assert!(email(fine).is_ok(), "{fine}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for wrong in [
            "",
            "ada",
            "@example.org",
            "ada@",
            "a b@example.org",
            "a@b@c.org",
            "ada@.org",
            "a\n@b.org",
            ".a@x.org",
            "a.@x.org",
            "a..b@x.org",
            "a@-x.org",
            "a@x-.org",
            "a@x..org",
            "a@x.org.",
            "a@x_y.org",
            "a@[127.0.0.1]",
            "\"a b\"@x.org",
            "Ada <a@x.org>",
            "a\u{ad}b@x.org",
            "a@x\u{200b}.org",
            "a\u{202e}b@x.org",
            "a@x\u{2066}.org",
        ] {
            assert!(email(wrong).is_err(), "{wrong:?}");
        }
        assert!(email(&format!("{}@x.org", "a".repeat(65))).is_err());
    }

    #[test]
    fn names_can_be_seen() {
        for fine in [
            "Ada L.",
            "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}",
            "\u{2764}\u{fe0f}\u{200d}\u{1f525}",
            "O\u{2019}Neil",
        ] {
            assert!(name(fine).is_ok(), "{fine:?}");
        }
        for wrong in [
            "  ",
            "a\nb",
            "ab\n",
            "\tab",
            "a\u{202e}b",
            "a\u{2066}b",
            "a\u{ad}b",
            "a\u{200b}b",
            "Ada\u{200d}",
            "\u{200d}",
            "\u{3164}",
            "a\u{2028}b",
            "a\u{e0041}b",
            "\u{e9}\u{200c}\u{200d}\u{e9}",
            "\u{e9}\u{200d}",
        ] {
            assert!(name(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(name("Jose\u{301}").expect("a name"), "Jos\u{e9}");
    }

    #[test]
    fn numbers_and_names_are_bounded() {
        assert!(quantity(0).is_err() && quantity(1_000_001).is_err() && quantity(1).is_ok());
        assert!(price(0).is_err() && price(PRICE_MAX).is_ok());
        assert!(sku("rye-flour-1kg").is_ok() && sku("a/b").is_err() && sku("..").is_err());
        assert!(currency("EUR").is_ok() && currency("eur").is_err());
        assert!(name("  ").is_err() && name("a\nb").is_err());
    }
}

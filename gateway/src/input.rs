//! Texts and numbers of requests: normalizes them and checks their bounds. [`schemas::bounds`]
//! holds the rules that the domain shares; what is checked here besides keeps names and addresses
//! readable, and needs Unicode tables that the domain does not have.

use std::str::FromStr;

use email_address::{EmailAddress, Options};
use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{DefaultIgnorableCodePoint, GeneralCategory, NoncharacterCodePoint},
};
use schemas::bounds::{self, NAME_CHARS_MAX, PRICE_MINOR_MAX, QUANTITY_MAX, SKU_BYTES_MAX};
use unicode_normalization::UnicodeNormalization;

use crate::problem::Problem;

/// An e-mail address in the normal form under which it is claimed: trimmed, in lower case, in
/// Unicode's composed form, its host as DNS has it (UTS 46).
///
/// # Errors
/// Returns a 400 problem when the text is no e-mail address. Whether the address exists, only a
/// mail to it can prove.
pub fn email(text: &str) -> Result<String, Problem> {
    let invalid = || Problem::field("email", "expected an address such as ada@example.org");
    let text = text.trim();
    if text.contains(is_invisible) {
        let expected = "expected an address without invisible characters";
        return Err(Problem::field("email", expected));
    }
    let (local, host) = text.rsplit_once('@').ok_or_else(invalid)?;
    let local: String = local.nfc().collect::<String>().to_lowercase().nfc().collect();
    let host = idna::domain_to_ascii_strict(host).map_err(|_| invalid())?;
    let email = format!("{local}@{host}");
    let bare = Options::default().without_display_text().without_domain_literal();
    let is_address = EmailAddress::parse_with_options(&email, bare).is_ok();
    // A quoted local part is valid, but no real address has one.
    if !is_address || local.contains('"') || !bounds::is_email(&email) {
        return Err(invalid());
    }
    Ok(email)
}

/// The name of a person or product: trimmed, in Unicode's composed form.
///
/// # Errors
/// Returns a 400 problem when the name is empty, too long, or has invisible characters.
pub fn name(text: &str) -> Result<String, Problem> {
    let name: String = text.trim().nfc().collect();
    // The untrimmed text must be visible too: a line break is no blank around a name.
    if !bounds::is_name(&name) || !is_visible(text) || !is_visible(&name) {
        let expected = format!(
            "expected 1 to {NAME_CHARS_MAX} characters on one line, none of them invisible"
        );
        return Err(Problem::field("name", expected));
    }
    Ok(name)
}

/// Characters that join others, as in Persian and Hindi, or that make an emoji: the zero-width
/// non-joiner, the zero-width joiner, and the variation selector.
const JOINERS: [char; 3] = ['\u{200c}', '\u{200d}', '\u{fe0f}'];

/// Whether all characters are visible. A joiner counts as visible between two characters.
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

/// The blank Braille pattern. Unicode calls it a symbol, but it has no dots.
const BLANK_PATTERN: char = '\u{2800}';

/// Whether a character shows nothing: controls, characters that change the direction of text, line
/// separators, private use, the blank pattern, noncharacters, and everything that Unicode lets
/// programs ignore (`Default_Ignorable_Code_Point`), such as the fillers of Hangul.
fn is_invisible(c: char) -> bool {
    use GeneralCategory::{Control, Format, LineSeparator, ParagraphSeparator, PrivateUse};
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    c == BLANK_PATTERN
        || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        || CodePointSetData::new::<NoncharacterCodePoint>().contains(c)
        || matches!(category, Control | Format | LineSeparator | ParagraphSeparator | PrivateUse)
}

/// A stock-keeping unit.
///
/// # Errors
/// Returns a 400 problem when the text is invalid.
pub fn sku(text: &str) -> Result<String, Problem> {
    let expected = || format!("expected 1 to {SKU_BYTES_MAX} of A-Z a-z 0-9 - _ ., not only dots");
    valid("sku", bounds::is_sku(text), text.to_owned(), expected)
}

/// The most characters of a reason.
const REASON_CHARS_MAX: usize = 500;

/// Why an operator does something, in their words: trimmed, in Unicode's composed form.
///
/// # Errors
/// Returns a 400 problem when the reason is empty, too long, or has invisible characters.
pub fn reason(text: &str) -> Result<String, Problem> {
    let reason: String = text.trim().nfc().collect();
    let length = reason.chars().count();
    let is_valid = (1..=REASON_CHARS_MAX).contains(&length) && is_visible(&reason);
    let expected = || {
        format!("expected 1 to {REASON_CHARS_MAX} characters on one line, none of them invisible")
    };
    valid("reason", is_valid, reason, expected)
}

/// The cursor of a list: `next` of the previous page.
///
/// # Errors
/// Returns a 400 problem when no page can have had this cursor.
pub fn cursor<C: FromStr>(text: &str) -> Result<C, Problem> {
    text.parse().map_err(|_| unknown_cursor())
}

/// The cursor of the list of products: a SKU.
///
/// # Errors
/// Returns a 400 problem when no page can have had this cursor.
pub fn product_cursor(text: String) -> Result<String, Problem> {
    if bounds::is_sku(&text) { Ok(text) } else { Err(unknown_cursor()) }
}

fn unknown_cursor() -> Problem {
    Problem::field("cursor", "expected `next` of the previous page")
}

/// A number of pieces.
///
/// # Errors
/// Returns a 400 problem when the number is outside its bounds.
pub fn quantity(quantity: i64) -> Result<i32, Problem> {
    let pieces = i32::try_from(quantity).unwrap_or(0);
    let expected = || format!("expected 1 to {QUANTITY_MAX}");
    valid("quantity", bounds::is_quantity(pieces), pieces, expected)
}

/// A price in minor units.
///
/// # Errors
/// Returns a 400 problem when the price is outside its bounds.
pub fn price(minor: i64) -> Result<i64, Problem> {
    let expected = || format!("expected 0 to {PRICE_MINOR_MAX}, in minor units");
    valid("price_minor", bounds::is_price_minor(minor), minor, expected)
}

/// A currency by its ISO 4217 code.
///
/// # Errors
/// Returns a 400 problem when the text has another shape.
pub fn currency(text: &str) -> Result<String, Problem> {
    let expected = || "expected three capital letters, such as EUR".to_owned();
    valid("currency", bounds::is_currency(text), text.to_owned(), expected)
}

fn valid<T>(
    field: &str,
    is_valid: bool,
    value: T,
    expected: impl FnOnce() -> String,
) -> Result<T, Problem> {
    if is_valid { Ok(value) } else { Err(Problem::field(field, expected())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_address_have_one_normal_form() {
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
    fn text_that_is_no_address_is_refused() {
        for wrong in [
            "",
            "ada",
            "ada@example",
            "ada@localhost",
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
    fn name_with_an_invisible_character_is_refused() {
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
    fn blank_character_and_code_point_that_is_no_character_are_refused() {
        let blank = [
            '\u{2800}', '\u{34f}', '\u{115f}', '\u{1160}', '\u{17b4}', '\u{17b5}', '\u{3164}',
            '\u{ffa0}',
        ];
        let last_two = |plane: u32| [plane << 16 | 0xfffe, plane << 16 | 0xffff];
        let code_points = (0xfdd0..=0xfdef).chain((0..=16).flat_map(last_two));
        let none = code_points.map(|code| char::from_u32(code).expect("a code point"));
        for wrong in blank.into_iter().chain(none) {
            let texts = [wrong.to_string(), format!("a{wrong}b")];
            assert!(texts.iter().all(|text| name(text).is_err()), "{wrong:?}");
            assert!(email(&format!("a{wrong}b@x.org")).is_err(), "{wrong:?}");
        }
        assert!(name("\u{2801}\u{2803}").is_ok(), "a name in Braille");
    }

    #[test]
    fn value_outside_its_bounds_is_refused() {
        assert!(quantity(0).is_err() && quantity(1_000_001).is_err() && quantity(1).is_ok());
        assert!(price(0).is_ok() && price(PRICE_MINOR_MAX).is_ok());
        assert!(price(-1).is_err() && price(PRICE_MINOR_MAX + 1).is_err());
        assert!(sku("rye-flour-1kg").is_ok() && sku("a/b").is_err() && sku("..").is_err());
        assert!(currency("EUR").is_ok() && currency("eur").is_err());
        assert!(name("  ").is_err() && name("a\nb").is_err());
    }
    #[test]
    fn normalized_values_meet_the_rules_of_the_domain() {
        for text in [" Ada@Example.ORG ", "x@b\u{fc}cher.example", "a.b+c@1.x"] {
            assert!(bounds::is_email(&email(text).expect("an address")), "{text}");
        }
        for text in [" Ada L. ", "\u{2764}\u{fe0f}\u{200d}\u{1f525}", "Jose\u{301}"] {
            assert!(bounds::is_name(&name(text).expect("a name")), "{text}");
        }
    }
}

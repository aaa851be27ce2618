//! The value of a record that an operator has edited as JSON: checked by its schema and by the
//! bounds of its fields, then written. What people do not see is taken from the value before.

use serde_json::Value;

use crate::{
    all::named,
    bounds::{
        ORDER_LINES_MAX, is_currency, is_email, is_name, is_price_minor, is_quantity, is_sku,
    },
    codec::Codec,
    json::{Converter, MISSING, Misfit},
    personal::{is_hidden, is_masked, restore},
    shown::VALUE_BYTES_MAX,
};

/// A rule for all fields of one name: whether a value is within its bounds, and what is expected.
type Rule = (&'static str, fn(&Value) -> bool, &'static str);

/// The rules of [`crate::bounds`] by the names of fields. Of a value of another type, the schema
/// says what it expects.
const RULES: [Rule; 8] = [
    ("email", |it| text(it, is_email), "expected an address such as ada@example.org"),
    ("name", |it| text(it, is_name), "expected 1 to 100 characters on one line"),
    ("sku", |it| text(it, is_sku), "expected 1 to 64 of A-Z a-z 0-9 - _ ., not only dots"),
    ("currency", |it| text(it, is_currency), "expected three capital letters, such as EUR"),
    ("quantity", |it| number(it, is_quantity), "expected 1 to 1000000"),
    ("price", is_price, "expected 0 to 1000000000 in minor units"),
    ("unit_price", is_price, "expected 0 to 1000000000 in minor units"),
    ("lines", is_lines, "expected 1 to 50 lines"),
];

fn text(value: &Value, is_valid: fn(&str) -> bool) -> bool {
    value.as_str().is_none_or(is_valid)
}

fn number(value: &Value, is_valid: fn(i32) -> bool) -> bool {
    value.as_i64().and_then(|number| i32::try_from(number).ok()).is_none_or(is_valid)
}

fn is_price(value: &Value) -> bool {
    value["amount_minor"].as_i64().is_none_or(is_price_minor)
}

fn is_lines(value: &Value) -> bool {
    value.as_array().is_none_or(|lines| (1..=ORDER_LINES_MAX).contains(&lines.len()))
}

/// Checks an edited value of the record called `name`, without knowing the value before: a masked
/// field may have any value, and a hash may be missing.
///
/// # Errors
/// Everything that does not fit, with its path.
pub fn check(name: &str, edited: &Value) -> Result<(), Vec<Misfit>> {
    let Some(schema) = named(name) else { return Err(unknown(name)) };
    // The schemas of this crate are valid, as its tests show.
    let Ok(converter) = Converter::new(schema.json, &[]) else { return Err(unknown(name)) };
    let mut misfits = converter.to_avro(edited).err().unwrap_or_default();
    misfits.retain(|it| it.why != MISSING || !is_hidden(last(&it.path)));
    misfits.extend(out_of_bounds(name, edited));
    let bytes = edited.to_string().len();
    if bytes > VALUE_BYTES_MAX {
        let why = format!("it has {bytes} bytes as JSON: expected at most {VALUE_BYTES_MAX}");
        misfits.push(Misfit { path: String::new(), why });
    }
    none(misfits)
}

/// Writes an edited value of the record called `name` in the wire format. The personal fields that
/// are still masked, and the hashes that are missing, are those of the value `before`.
///
/// # Errors
/// Everything that does not fit, with its path.
pub fn encode(
    codec: &Codec,
    name: &str,
    mut edited: Value,
    before: Option<&[u8]>,
) -> Result<Vec<u8>, Vec<Misfit>> {
    // A value that can't be read, or is another record, has nothing to take over.
    let datum = before.and_then(|bytes| codec.open(bytes).ok()).filter(|it| it.name() == name);
    if let Some(before) = datum.and_then(|datum| datum.json().ok()) {
        restore(&mut edited, &before, name);
    }
    let written = codec.write_json(name, &edited);
    let mut misfits = out_of_bounds(name, &edited);
    let masked = "it is masked, and has no value before: expected a value";
    walk(&edited, "", &mut |path, value| {
        if is_masked(name, last(path), value) {
            misfits.push(Misfit { path: path.to_owned(), why: masked.to_owned() });
        }
    });
    match written {
        Ok(bytes) => none(misfits).map(|()| bytes),
        Err(unfit) => Err([unfit, misfits].concat()),
    }
}

/// The misfit of a record that is not known here.
pub(crate) fn unknown(name: &str) -> Vec<Misfit> {
    let why = format!("there is no record {name:?} here");
    vec![Misfit { path: String::new(), why }]
}

fn none(misfits: Vec<Misfit>) -> Result<(), Vec<Misfit>> {
    if misfits.is_empty() { Ok(()) } else { Err(misfits) }
}

/// The fields whose values are outside their bounds.
fn out_of_bounds(name: &str, edited: &Value) -> Vec<Misfit> {
    let mut misfits = Vec::new();
    walk(edited, "", &mut |path, value| {
        let field = last(path);
        if is_masked(name, field, value) {
            return;
        }
        for (_, is_valid, expected) in RULES.iter().filter(|(rule, ..)| *rule == field) {
            if !is_valid(value) {
                misfits.push(Misfit { path: path.to_owned(), why: (*expected).to_owned() });
            }
        }
    });
    misfits
}

/// Calls `visit` with the path of each value below `value`.
fn walk(value: &Value, path: &str, visit: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                visit(&path, value);
                walk(value, &path, visit);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &format!("{path}[{index}]"), visit);
            }
        }
        _ => {}
    }
}

/// The name of the field at the end of a path.
fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::{
        Message as _, personal::MASK, shown::tests::registered, stock::ReserveStock, user::Event,
    };

    const REGISTERED: &str = "millrace.user.UserRegistered";
    const RESERVE: &str = "millrace.stock.ReserveStock";

    /// The value as an operator sees it, and edits its name.
    fn edited(email: &str) -> Value {
        json!({
            "user_id": Uuid::from_u128(1), "email": email, "name": "Ada L.", "role": "USER",
            "registered_at": 3,
        })
    }

    fn said(misfits: Result<impl Sized, Vec<Misfit>>) -> Vec<String> {
        misfits.err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn masked_fields_and_missing_hashes_are_those_of_the_value_before() {
        let (codec, mut before) = (Codec::local(), Vec::new());
        registered().encode(&codec, &mut before).expect("bytes");

        assert_eq!(check(REGISTERED, &edited(MASK)), Ok(()));
        let bytes = encode(&codec, REGISTERED, edited(MASK), Some(&before)).expect("fits");

        let Ok(Event::UserRegistered(after)) = Event::decode(&codec, &bytes) else {
            panic!("another record");
        };
        assert_eq!((&*after.email, &*after.name), ("ada@example.org", "Ada L."));
        assert_eq!(after.email_fingerprint, "f1");
    }

    #[test]
    fn masked_field_without_a_value_before_is_named() {
        let unreadable = encode(&Codec::local(), REGISTERED, edited(MASK), Some(b"poison"));
        assert_eq!(
            said(unreadable),
            [
                "email_fingerprint: it is missing, and has no default",
                "email: it is masked, and has no value before: expected a value",
            ]
        );
    }

    #[test]
    fn what_does_not_fit_the_schema_or_the_bounds_is_named_with_what_is_expected() {
        let order_id = Uuid::from_u128(7);
        let reserve =
            |quantity: Value| json!({ "sku": "a b", "order_id": order_id, "quantity": quantity });
        let expected_sku = "sku: expected 1 to 64 of A-Z a-z 0-9 - _ ., not only dots";
        assert_eq!(
            said(check(RESERVE, &reserve(json!(0)))),
            [expected_sku, "quantity: expected 1 to 1000000"]
        );
        assert_eq!(
            said(check(RESERVE, &reserve(json!("1")))),
            ["quantity: a whole number of 32 bits is expected, not \"1\"", expected_sku]
        );
        assert_eq!(
            said(encode(&Codec::local(), RESERVE, reserve(json!(-1)), None)),
            [expected_sku, "quantity: expected 1 to 1000000"]
        );
        assert_eq!(
            said(check("millrace.Nothing", &json!({}))),
            ["there is no record \"millrace.Nothing\" here"]
        );
        assert_eq!(
            said(check(RESERVE, &json!(1))),
            ["an object (millrace.stock.ReserveStock) is expected, not 1"]
        );
    }

    #[test]
    fn edited_value_is_the_record_that_the_program_reads() {
        let order_id = Uuid::from_u128(7);
        let edited = json!({ "sku": "tea", "order_id": order_id, "quantity": 2 });
        let codec = Codec::local();
        let bytes = encode(&codec, RESERVE, edited, None).expect("fits");
        let read = ReserveStock::decode(&codec, &bytes).expect("readable");
        assert_eq!((&*read.sku, read.order_id, read.quantity), ("tea", order_id, 2));
    }
}

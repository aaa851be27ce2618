//! Logical types: which there are, and what each stands on.

use jsonc_parser::ast::{Object, Value};

use super::model::{Kind, Logical};

/// The logical types of the specification that have no parameters, with the type that each stands
/// on. A uuid stands on a fixed of 16 bytes too, and a duration on one of 12.
const PLAIN: [(&str, &str); 13] = [
    ("big-decimal", "bytes"),
    ("uuid", "string"),
    ("date", "int"),
    ("time-millis", "int"),
    ("time-micros", "long"),
    ("timestamp-millis", "long"),
    ("timestamp-micros", "long"),
    ("timestamp-nanos", "long"),
    ("local-timestamp-millis", "long"),
    ("local-timestamp-micros", "long"),
    ("local-timestamp-nanos", "long"),
    ("duration", "fixed of 12 bytes"),
    ("decimal", "bytes or fixed"),
];

/// The logical type of this name on a type of this kind, or why readers ignore it.
pub(super) fn logical(name: &str, kind: &Kind, object: &Object<'_>) -> Result<Logical, String> {
    if name == "decimal" {
        return decimal(kind, object);
    }
    let Some((plain, base)) = PLAIN.iter().find(|(plain, _)| *plain == name) else {
        let near = PLAIN
            .iter()
            .map(|(plain, _)| (strsim::damerau_levenshtein(name, plain), plain))
            .min()
            .filter(|(distance, _)| *distance <= 3);
        let help = near.map(|(_, plain)| format!("; did you mean {plain:?}?")).unwrap_or_default();
        return Err(format!("there is no logical type {name:?}{help}"));
    };
    let fits = match (*plain, kind) {
        ("uuid", Kind::Fixed(fixed)) => fixed.size == 16,
        ("duration", Kind::Fixed(fixed)) => fixed.size == 12,
        (_, kind) => kind.word() == *base,
    };
    if fits {
        return Ok(Logical::Plain(plain));
    }
    let base = if *plain == "uuid" { "string or fixed of 16 bytes" } else { base };
    let stands = match kind {
        Kind::Fixed(fixed) => format!("fixed of {} bytes", fixed.size),
        kind => kind.word().to_owned(),
    };
    Err(format!("{plain} stands on {base}, not on {stands}"))
}

fn decimal(kind: &Kind, object: &Object<'_>) -> Result<Logical, String> {
    let number = |attribute| match object.get(attribute).map(|property| &property.value) {
        None => Ok(None),
        Some(Value::NumberLit(number))
            if number.value.bytes().all(|digit| digit.is_ascii_digit()) =>
        {
            Ok(number.value.parse::<u64>().ok())
        }
        Some(_) => Err(format!("a decimal's {attribute} is a whole number, not negative")),
    };
    let precision = match number("precision")? {
        None => return Err("a decimal needs a \"precision\"".to_owned()),
        Some(0) => return Err("a decimal's precision is at least 1".to_owned()),
        Some(precision) => precision,
    };
    let scale = number("scale")?.unwrap_or(0);
    if scale > precision {
        return Err(format!("a decimal's scale ({scale}) is at most its precision ({precision})"));
    }
    match kind {
        Kind::Bytes => Ok(Logical::Decimal { precision, scale }),
        Kind::Fixed(fixed) => {
            // The largest number of digits that always fits: floor(log10(2^(8 * size - 1) - 1)).
            let fits = ((8.0 * fixed.size as f64 - 1.0) * std::f64::consts::LOG10_2)
                .floor()
                .max(0.0) as u64;
            if precision <= fits {
                Ok(Logical::Decimal { precision, scale })
            } else {
                Err(format!(
                    "a decimal of {precision} digits does not fit {} bytes, which hold {fits}",
                    fixed.size
                ))
            }
        }
        kind => Err(format!("decimal stands on bytes or fixed, not on {}", kind.word())),
    }
}

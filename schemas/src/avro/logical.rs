//! Logical types: their names, and the types that each may stand on.

use jsonc_parser::ast::{Object, Value};

use super::{
    ignored::Ignored,
    model::{Kind, Logical},
};

/// The logical types of the specification that have no parameters, each with the type that it
/// stands on. A uuid may also stand on a fixed of 16 bytes, and a duration only on one of 12.
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
pub(super) fn logical(name: &str, kind: &Kind, object: &Object<'_>) -> Result<Logical, Ignored> {
    if name == "decimal" {
        return decimal(kind, object);
    }
    let Some((plain, base)) = PLAIN.iter().find(|(plain, _)| *plain == name) else {
        let near = PLAIN
            .iter()
            .map(|(plain, _)| (strsim::damerau_levenshtein(name, plain), *plain))
            .min()
            .filter(|(distance, _)| *distance <= 3);
        return Err(Ignored::Unknown { name: name.to_owned(), near: near.map(|(_, plain)| plain) });
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
    let found = match kind {
        Kind::Fixed(fixed) => format!("fixed of {} bytes", fixed.size),
        kind => kind.word().to_owned(),
    };
    Err(Ignored::Base { logical: plain, base, found })
}

fn decimal(kind: &Kind, object: &Object<'_>) -> Result<Logical, Ignored> {
    let number =
        |attribute: &'static str| match object.get(attribute).map(|property| &property.value) {
            None => Ok(None),
            Some(Value::NumberLit(number))
                if number.value.bytes().all(|digit| digit.is_ascii_digit()) =>
            {
                Ok(number.value.parse::<u64>().ok())
            }
            Some(_) => Err(Ignored::Parameter(attribute)),
        };
    let precision = match number("precision")? {
        None => return Err(Ignored::NoPrecision),
        Some(0) => return Err(Ignored::ZeroPrecision),
        Some(precision) => precision,
    };
    let scale = number("scale")?.unwrap_or(0);
    if scale > precision {
        return Err(Ignored::Scale { scale, precision });
    }
    match kind {
        Kind::Bytes => Ok(Logical::Decimal { precision, scale }),
        Kind::Fixed(fixed) => {
            let size = fixed.size;
            // The largest number of digits that always fits: floor(log10(2^(8 * size - 1) - 1)).
            let fits = ((8.0 * size as f64 - 1.0) * std::f64::consts::LOG10_2).floor().max(0.0);
            let fits = fits as u64;
            if precision > fits {
                return Err(Ignored::TooShort { precision, size, fits });
            }
            Ok(Logical::Decimal { precision, scale })
        }
        kind => Err(Ignored::Base {
            logical: "decimal",
            base: "bytes or fixed",
            found: kind.word().to_owned(),
        }),
    }
}

//! Which JSON values without parts are written as which types. It knows no arrays, no objects and
//! no unions.

use serde_json::Value;
use uuid::Uuid;

use super::kind::Kind;

/// Whether a value that is no array and no object is written as a type of this kind.
pub(super) fn is_leaf_of(kind: &Kind<'_>, json: &Value) -> bool {
    match kind {
        Kind::Null => json.is_null(),
        Kind::Boolean => json.is_boolean(),
        Kind::Int => json.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        Kind::Long => json.as_i64().is_some(),
        Kind::Float => {
            number(json).is_some_and(|double| !double.is_finite() || (double as f32).is_finite())
        }
        Kind::Double => number(json).is_some(),
        Kind::Bytes => bytes(json).is_some(),
        Kind::String => json.is_string(),
        Kind::Uuid => json.as_str().is_some_and(is_uuid),
        Kind::Fixed(fixed) => bytes(json).is_some_and(|bytes| bytes.len() == fixed.size),
        Kind::Enum(symbols) => {
            json.as_str().is_some_and(|symbol| symbols.iter().any(|one| one == symbol))
        }
        Kind::Array(_) | Kind::Map(_) | Kind::Union(_) | Kind::Record(_) => false,
    }
}

/// A floating-point number, or one of the three strings for those that JSON can't write.
pub(super) fn number(json: &Value) -> Option<f64> {
    match json.as_str() {
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        _ => json.as_f64(),
    }
}

/// The bytes of a string of the characters U+0000 to U+00FF; `None` for anything else.
pub(super) fn bytes(json: &Value) -> Option<Vec<u8>> {
    json.as_str()?.chars().map(|character| u8::try_from(character).ok()).collect()
}

/// Whether `text` is a UUID with hyphens. Other spellings would be other bytes.
pub(super) fn is_uuid(text: &str) -> bool {
    text.len() == 36 && Uuid::try_parse(text).is_ok()
}

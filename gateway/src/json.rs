//! JSON as the API accepts it (I-JSON, RFC 7493): each name occurs once in an object, a number with
//! an integral value is an integer, and a struct is an object. serde alone accepts arrays for
//! structs and distinguishes `1.0` from `1`.

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error},
};
use serde_json::{Map, Value};

/// Above this, a floating-point number does not tell one integer from the next.
const EXACT_MAX: f64 = 9_007_199_254_740_991.0;

/// Why a text is not the JSON object that was expected. The text is for the client.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// It is no I-JSON.
    #[error("{0}")]
    Syntax(String),
    /// It is JSON of another shape.
    #[error(transparent)]
    Shape(serde_json::Error),
}

/// A `T` that is written as an object, never as an array.
pub struct Object<T>(pub T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = Map::deserialize(deserializer)?;
        T::deserialize(Value::Object(fields)).map(Self).map_err(D::Error::custom)
    }
}

/// Reads an object.
///
/// # Errors
/// Returns an error when `bytes` are no I-JSON, or JSON of another shape.
pub fn object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    let mut value =
        schemas::json::parse(bytes).map_err(|error| JsonError::Syntax(error.to_string()))?;
    make_integral(&mut value);
    Object::deserialize(value).map(|Object(value)| value).map_err(JsonError::Shape)
}

/// Turns every number with an integral value into an integer, however it was written.
fn make_integral(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let exact = number.as_f64().filter(|it| it.fract() == 0.0 && it.abs() <= EXACT_MAX);
            if let Some(it) = exact {
                *number = (it as i64).into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(make_integral),
        Value::Object(fields) => fields.values_mut().for_each(make_integral),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Line {
        quantity: i64,
    }

    #[derive(Deserialize)]
    struct Order {
        lines: Vec<Object<Line>>,
    }

    fn quantity(text: &str) -> Option<i64> {
        object::<Line>(text.as_bytes()).ok().map(|line| line.quantity)
    }

    #[test]
    fn number_with_an_integral_value_is_an_integer() {
        for (text, expected) in [("1", 1), ("1.0", 1), ("1e3", 1000), ("-0.0", 0), ("2.50e1", 25)] {
            assert_eq!(quantity(&format!(r#"{{"quantity": {text}}}"#)), Some(expected), "{text}");
        }
        for text in ["1.5", "1e300", "9007199254740993.0", "\"1\"", "null"] {
            assert_eq!(quantity(&format!(r#"{{"quantity": {text}}}"#)), None, "{text}");
        }
    }

    #[test]
    fn array_in_place_of_an_object_is_refused_at_any_depth() {
        let lines = |text: &str| object::<Order>(text.as_bytes()).ok().map(|it| it.lines.len());
        assert_eq!(lines(r#"{"lines": [{"quantity": 1}]}"#), Some(1));
        assert_eq!(lines("[[[1]]]"), None);
        assert_eq!(lines(r#"{"lines": [[1]]}"#), None);
    }

    #[test]
    fn repeated_name_is_refused_at_any_depth() {
        assert_eq!(quantity(r#"{"quantity": 1, "quantity": 1}"#), None);
        assert_eq!(quantity(r#"{"quantity": 1, "x": {"a": 1, "a": 2}}"#), None);
    }
}

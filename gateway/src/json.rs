//! JSON as the API takes it (I-JSON, RFC 7493): a name occurs once in an object, an integer is one
//! by its value, and what has members is an object. serde alone takes arrays for structs and tells
//! `1.0` from `1`.

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error},
};
use serde_json::{Map, Value};

/// Above this, a floating-point number does not tell one integer from the next.
const EXACT_MAX: f64 = 9_007_199_254_740_991.0;

/// A `T`, written as an object and nothing else.
pub struct Object<T>(pub T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = Map::deserialize(deserializer)?;
        T::deserialize(Value::Object(members)).map(Self).map_err(D::Error::custom)
    }
}

/// Reads an object.
///
/// # Errors
/// What is wrong with it, for the client.
pub fn object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let mut value = schemas::json::parse(bytes).map_err(|error| error.to_string())?;
    whole(&mut value);
    Object::deserialize(value).map(|Object(value)| value).map_err(|error| error.to_string())
}

/// Turns every number that is an integer by its value into one, however it was written.
fn whole(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let exact = number.as_f64().filter(|it| it.fract() == 0.0 && it.abs() <= EXACT_MAX);
            if let Some(it) = exact {
                *number = (it as i64).into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole),
        Value::Object(members) => members.values_mut().for_each(whole),
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

    fn quantity(text: &str) -> Result<i64, String> {
        object::<Line>(text.as_bytes()).map(|line| line.quantity)
    }

    #[test]
    fn integers_are_integers_by_value() {
        for (text, expected) in [("1", 1), ("1.0", 1), ("1e3", 1000), ("-0.0", 0), ("2.50e1", 25)] {
            assert_eq!(quantity(&format!(r#"{{"quantity": {text}}}"#)), Ok(expected), "{text}");
        }
        for text in ["1.5", "1e300", "9007199254740993.0", "\"1\"", "null"] {
            assert!(quantity(&format!(r#"{{"quantity": {text}}}"#)).is_err(), "{text}");
        }
    }

    #[test]
    fn arrays_are_no_objects_at_any_depth() {
        let lines = |text: &str| object::<Order>(text.as_bytes()).map(|order| order.lines.len());
        assert_eq!(lines(r#"{"lines": [{"quantity": 1}]}"#).expect("an order"), 1);
        assert!(lines("[[[1]]]").is_err());
        assert!(lines(r#"{"lines": [[1]]}"#).is_err());
    }

    #[test]
    fn a_name_twice_is_refused_at_any_depth() {
        assert!(quantity(r#"{"quantity": 1, "quantity": 1}"#).is_err());
        assert!(quantity(r#"{"quantity": 1, "x": {"a": 1, "a": 2}}"#).is_err());
    }
}

//! JSON as the API takes it (I-JSON, RFC 7493): a name occurs once in an object, an integer is one
//! by its value, and what has members is an object. serde alone takes arrays for structs and tells
//! `1.0` from `1`.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, MapAccess, SeqAccess, Visitor},
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
pub fn object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    let Strict(value) = serde_json::from_slice(bytes)?;
    Object::deserialize(value).map(|Object(value)| value)
}

/// Any JSON in which no object has a name twice; integers are integers however they are written.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Strictly).map(Self)
    }
}

struct Strictly;

impl<'de> Visitor<'de> for Strictly {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        let exact = value.fract() == 0.0 && value.abs() <= EXACT_MAX;
        Ok(if exact { Value::from(value as i64) } else { value.into() })
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Strict(value))) = members.next_entry::<String, _>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom("an object has a name twice"));
            }
            object.insert(name, value);
        }
        Ok(object.into())
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
        object::<Line>(text.as_bytes()).map(|line| line.quantity).map_err(|error| error.to_string())
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

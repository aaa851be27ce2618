//! JSON text, read strictly. It knows no schema.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// Reads JSON in UTF-8. Unlike `serde_json`, it refuses an object with the same key twice, because
/// readers differ in which of the two values counts, and it names a byte order mark.
///
/// # Errors
/// If the text is no such JSON, with line and column.
pub fn parse(text: &[u8]) -> Result<Value, serde_json::Error> {
    if text.starts_with("\u{feff}".as_bytes()) {
        let why = "it begins with a byte order mark (U+FEFF), which JSON has not";
        return Err(serde_json::Error::custom(why));
    }
    serde_json::from_slice(text).map(|Unique(json)| json)
}

/// JSON in which no object has a key twice.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Self)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
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
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Unique(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if values.contains_key(&key) {
                return Err(A::Error::custom(format!("key {key:?} occurs twice in one object")));
            }
            let Unique(value) = entries.next_value()?;
            values.insert(key, value);
        }
        Ok(Value::Object(values))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::parse;

    #[test]
    fn json_without_repeated_keys_is_read_as_serde_json_reads_it() {
        let text = r#"{"a": [null, true, -1, 18446744073709551615, 0.5, "x"], "b": {"a": {}}, "c": 1e300}"#;
        let expected: serde_json::Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(parse(text.as_bytes()).expect("JSON"), expected);
        assert_eq!(parse(b"[]").expect("JSON"), json!([]));
    }

    #[test]
    fn repeated_key_is_refused_at_any_depth_with_its_place() {
        for text in [r#"{"a": 1, "a": 1}"#, r#"{"x": [{"b": {"a": 1, "\u0061": 2}}]}"#] {
            let error = parse(text.as_bytes()).expect_err(text).to_string();
            assert!(
                error.starts_with("key \"a\" occurs twice in one object at line 1 column "),
                "{error}"
            );
        }
    }

    #[test]
    fn byte_order_mark_is_named() {
        let error = parse("\u{feff}{}".as_bytes()).expect_err("a mark").to_string();
        assert!(error.contains("byte order mark"), "{error}");
    }
}

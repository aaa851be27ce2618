//! The values of the API's documents as text. A value that is missing is a dash, because an older
//! gateway may not know it.

use serde_json::Value;

/// What is shown for a value that is missing or empty.
const NONE: &str = "-";

/// A field as text.
pub(crate) fn text(of: &Value, field: &str) -> String {
    optional(of, field).unwrap_or_else(|| NONE.to_owned())
}

/// A field as text; `None` if it is missing, null or empty.
pub(crate) fn optional(of: &Value, field: &str) -> Option<String> {
    match &of[field] {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// A list in a field.
pub(crate) fn items<'a>(of: &'a Value, field: &str) -> &'a [Value] {
    of[field].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A number in a field; 0 if it is missing.
pub(crate) fn count(of: &Value, field: &str) -> u64 {
    of[field].as_u64().unwrap_or_default()
}

/// The last part of a record's type.
pub(crate) fn short_type(of: &Value) -> String {
    let full = optional(of, "type");
    full.map_or_else(|| NONE.to_owned(), |full| last_part(&full).to_owned())
}

fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// Where a record is: `topic[partition]@offset`.
pub(crate) fn place(of: &Value) -> String {
    let offset = optional(of, "offset").unwrap_or_else(|| "?".to_owned());
    format!("{}[{}]@{offset}", text(of, "topic"), text(of, "partition"))
}

/// A number of things, with their name.
pub(crate) fn pieces(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A value as text: a string without quotes.
pub(crate) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

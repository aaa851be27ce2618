//! The personal fields of records as JSON, which are masked, and the hashes, which nobody may see.
//! Which fields are personal is said by `pii` in their schemas.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use serde_json::Value;

/// What replaces a personal field.
pub const MASK: &str = "•••";
/// Fields that nobody may see.
const HIDDEN: [&str; 4] =
    ["refresh_hash", "password_hash", "email_fingerprint", "former_fingerprint"];

/// The names of the personal fields of each record, at any depth, by the record's full name.
static PERSONAL: LazyLock<BTreeMap<&'static str, BTreeSet<String>>> = LazyLock::new(|| {
    let personal = |json: &str| {
        let mut names = BTreeSet::new();
        if let Ok(schema) = serde_json::from_str(json) {
            collect(&schema, &mut names);
        }
        names
    };
    crate::all().iter().map(|schema| (schema.name, personal(schema.json))).collect()
});

fn collect(schema: &Value, names: &mut BTreeSet<String>) {
    match schema {
        Value::Array(parts) => parts.iter().for_each(|part| collect(part, names)),
        Value::Object(parts) => {
            if let (Some(Value::Bool(true)), Some(Value::String(name))) =
                (parts.get("pii"), parts.get("name"))
            {
                names.insert(name.clone());
            }
            parts.values().for_each(|part| collect(part, names));
        }
        _ => {}
    }
}

/// Removes hidden fields at any depth.
pub fn hide(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !is_hidden(name));
            fields.values_mut().for_each(hide);
        }
        Value::Array(parts) => parts.iter_mut().for_each(hide),
        _ => {}
    }
}

/// Masks the personal fields of a record of this full name, at any depth.
pub fn mask(value: &mut Value, name: &str) {
    if let Some(personal) = PERSONAL.get(name).filter(|personal| !personal.is_empty()) {
        mask_fields(value, personal);
    }
}

/// Whether nobody may see the fields of this name.
pub(crate) fn is_hidden(field: &str) -> bool {
    HIDDEN.contains(&field)
}

/// Whether this is a personal field of a record of this full name, and masked.
pub(crate) fn is_masked(name: &str, field: &str, value: &Value) -> bool {
    value == MASK && PERSONAL.get(name).is_some_and(|personal| personal.contains(field))
}

/// Puts back what people do not see: the personal fields that are still masked, and the hidden ones
/// that are missing. Items of an array are compared by their place, and not at all if their number
/// has changed.
pub(crate) fn restore(edited: &mut Value, before: &Value, name: &str) {
    match (edited, before) {
        (Value::Object(edited), Value::Object(before)) => {
            for (field, was) in before {
                match edited.get_mut(field) {
                    Some(value) if is_masked(name, field, value) => value.clone_from(was),
                    Some(value) => restore(value, was, name),
                    None if is_hidden(field) => {
                        edited.insert(field.clone(), was.clone());
                    }
                    None => {}
                }
            }
        }
        (Value::Array(edited), Value::Array(before)) if edited.len() == before.len() => {
            let pairs = edited.iter_mut().zip(before);
            pairs.for_each(|(edited, before)| restore(edited, before, name));
        }
        _ => {}
    }
}

fn mask_fields(value: &mut Value, personal: &BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if personal.contains(name) && !value.is_null() {
                    *value = MASK.into();
                } else {
                    mask_fields(value, personal);
                }
            }
        }
        Value::Array(parts) => parts.iter_mut().for_each(|part| mask_fields(part, personal)),
        _ => {}
    }
}

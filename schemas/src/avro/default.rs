//! Whether a field's default is a value of its type.

use serde_json::Value;

use super::{
    model::{Kind, TypeId},
    rule::{Invalid, Rule},
    schemas::Schemas,
};

/// Why a value is no default of a type, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(String);

/// Reports every default that does not fit its type.
pub(super) fn check(schemas: &Schemas, problems: &mut Vec<Invalid>) {
    let mut left = VALUES_MAX;
    for one in &schemas.types {
        let Kind::Record(record) = &one.kind else { continue };
        for field in &record.fields {
            let Some(default) = &field.default else { continue };
            if let Err(why) = fits(schemas, field.kind.id, &default.json, 0, &mut left) {
                problems.push(Invalid {
                    rule: Rule::Default,
                    path: field.name.clone(),
                    span: default.span,
                    message: format!(
                        "the default of {} is no value of its type: {why}",
                        field.name
                    ),
                    help: None,
                });
                if left == 0 {
                    return;
                }
            }
        }
    }
}

impl Schemas {
    /// Checks that `json` is a default of the type.
    ///
    /// # Errors
    /// If it is not, with the reason.
    pub fn fits(&self, id: TypeId, json: &Value) -> Result<(), Unfit> {
        let mut left = VALUES_MAX;
        fits(self, id, json, 0, &mut left)
    }

    /// Whether a default that fits the type has a byte above 7F in a bytes or fixed, which
    /// apache-avro reads as the two bytes of its UTF-8. A union's default is one of the first
    /// branch that it fits.
    pub fn has_high_byte(&self, id: TypeId, json: &Value) -> bool {
        match (&self.get(id).kind, json) {
            (Kind::Bytes | Kind::Fixed(_), Value::String(text)) => !text.is_ascii(),
            (Kind::Array(items), Value::Array(values)) => {
                values.iter().any(|value| self.has_high_byte(items.id, value))
            }
            (Kind::Map(values), Value::Object(entries)) => {
                entries.values().any(|value| self.has_high_byte(values.id, value))
            }
            (Kind::Union(branches), json) => {
                let branch = branches.iter().find(|branch| self.fits(branch.id, json).is_ok());
                branch.is_some_and(|branch| self.has_high_byte(branch.id, json))
            }
            // The fields that it lacks have defaults of their own.
            (Kind::Record(record), Value::Object(entries)) => record.fields.iter().any(|field| {
                let value = entries.get(&field.name);
                value.is_some_and(|value| self.has_high_byte(field.kind.id, value))
            }),
            _ => false,
        }
    }
}

/// A default that contains itself would never end.
const DEPTH_MAX: usize = 64;

/// The most values that are looked at, for all defaults of schemas that are parsed together.
/// Defaults in defaults multiply: 40 small records, each with two fields of the next one and the
/// default `{}`, have a trillion of them.
const VALUES_MAX: u32 = 1 << 20;

fn too_many() -> Unfit {
    Unfit(format!("with the defaults before and inside it, it has more than {VALUES_MAX} values"))
}

/// `left` is how many values may still be looked at.
fn fits(
    schemas: &Schemas,
    id: TypeId,
    json: &Value,
    depth: usize,
    left: &mut u32,
) -> Result<(), Unfit> {
    if depth > DEPTH_MAX {
        return Err(Unfit("it contains itself without end".to_owned()));
    }
    *left = left.checked_sub(1).ok_or_else(too_many)?;
    let expected = |what: &str| Err(Unfit(format!("{} is not {what}", short(json))));
    match (&schemas.get(id).kind, json) {
        (Kind::Null, Value::Null)
        | (Kind::Boolean, Value::Bool(_))
        | (Kind::Float | Kind::Double, Value::Number(_))
        | (Kind::String, Value::String(_)) => Ok(()),
        (Kind::Null, _) => expected("null"),
        (Kind::Boolean, _) => expected("true or false"),
        (Kind::Float | Kind::Double, _) => expected("a number"),
        (Kind::String, _) => expected("a string"),
        (Kind::Int, json) => match json.as_i64() {
            Some(number) if i32::try_from(number).is_ok() => Ok(()),
            _ => expected("a whole number of 32 bits"),
        },
        (Kind::Long, json) => match json.as_i64() {
            Some(_) => Ok(()),
            None => expected("a whole number of 64 bits"),
        },
        (Kind::Bytes, json) => match bytes(json) {
            Some(_) => Ok(()),
            None => expected("a string of characters up to U+00FF, one a byte"),
        },
        (Kind::Fixed(fixed), json) => match bytes(json) {
            Some(count) if count as u64 == fixed.size => Ok(()),
            _ => {
                expected(&format!("a string of {} characters up to U+00FF, one a byte", fixed.size))
            }
        },
        (Kind::Enum(one), json) => match json.as_str() {
            Some(symbol) if one.symbols.iter().any(|(known, _)| known == symbol) => Ok(()),
            _ => expected(&format!("a symbol of {}", one.name)),
        },
        (Kind::Array(items), json) => match json {
            Value::Array(values) => {
                values.iter().try_for_each(|value| fits(schemas, items.id, value, depth + 1, left))
            }
            _ => expected("an array"),
        },
        (Kind::Map(values), json) => match json {
            Value::Object(entries) => entries
                .values()
                .try_for_each(|value| fits(schemas, values.id, value, depth + 1, left)),
            _ => expected("an object"),
        },
        (Kind::Union(branches), json) => {
            for branch in branches {
                match fits(schemas, branch.id, json, depth + 1, left) {
                    Ok(()) => return Ok(()),
                    Err(_) if *left == 0 => return Err(too_many()),
                    Err(_) => {}
                }
            }
            let described: Vec<_> =
                branches.iter().map(|branch| schemas.describe(branch.id)).collect();
            expected(&format!("one of {}", described.join(", ")))
        }
        (Kind::Record(record), json) => {
            let Value::Object(entries) = json else {
                return expected(&format!("an object, as {} is", record.name));
            };
            for field in &record.fields {
                let value = entries
                    .get(&field.name)
                    .or(field.default.as_ref().map(|default| &default.json));
                match value {
                    Some(value) => fits(schemas, field.kind.id, value, depth + 1, left)
                        .map_err(|why| Unfit(format!("in {}, {why}", field.name)))?,
                    None => {
                        let name = &field.name;
                        let why = format!("{name} is missing in it, and has no default itself");
                        return Err(Unfit(why));
                    }
                }
            }
            Ok(())
        }
    }
}

/// The number of bytes that a string of the characters U+0000 to U+00FF stands for; `None` for
/// anything else.
fn bytes(json: &Value) -> Option<usize> {
    let text = json.as_str()?;
    text.chars().all(|one| u32::from(one) <= 0xFF).then(|| text.chars().count())
}

/// The value, cut to the length of a sentence.
fn short(json: &Value) -> String {
    let text = json.to_string();
    match text.char_indices().nth(40) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}

//! Which schemas a codec refuses, because the size or the depth of their values has no bound. It
//! reads no values.

use std::collections::HashMap;

use apache_avro::{
    Schema as Avro,
    schema::{Name, NamesRef},
};

/// How many parts a value of a schema may have at least. Records in records multiply: 40 small
/// ones, each with two fields of the next one, make a trillion.
const PARTS_MAX: u64 = 1 << 16;

/// A schema whose values have no bound but the stack or the clock.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unbounded {
    #[error("{0} contains itself")]
    Recursive(String),
    #[error("it has an array whose items take no bytes")]
    EmptyItems,
    #[error("each of its values has more than {} parts", PARTS_MAX)]
    TooManyParts,
}

/// Returns an error for schemas that contain themselves, for arrays of items without bytes, and for
/// schemas of too many parts.
pub(super) fn check<'a>(schema: &'a Avro, names: &NamesRef<'a>) -> Result<(), Unbounded> {
    if parts(schema, names, &mut HashMap::new()) > PARTS_MAX {
        return Err(Unbounded::TooManyParts);
    }
    bounded(schema, names, &mut Vec::new())
}

fn bounded<'a>(
    schema: &'a Avro,
    names: &NamesRef<'a>,
    within: &mut Vec<&'a Name>,
) -> Result<(), Unbounded> {
    match schema {
        Avro::Ref { name } if within.contains(&name) => Err(Unbounded::Recursive(name.to_string())),
        Avro::Record(record) => {
            within.push(&record.name);
            record.fields.iter().try_for_each(|field| bounded(&field.schema, names, within))?;
            within.pop();
            Ok(())
        }
        Avro::Array(array) if is_empty(&array.items, names) => Err(Unbounded::EmptyItems),
        Avro::Array(array) => bounded(&array.items, names, within),
        Avro::Map(map) => bounded(&map.types, names, within),
        Avro::Union(union) => {
            union.variants().iter().try_for_each(|branch| bounded(branch, names, within))
        }
        _ => Ok(()),
    }
}

/// How many parts every value of `schema` has at least: fields, and their fields.
fn parts<'a>(schema: &'a Avro, names: &NamesRef<'a>, known: &mut HashMap<&'a Name, u64>) -> u64 {
    match schema {
        Avro::Ref { name } => match known.get(name) {
            Some(count) => *count,
            None => names.get(name).map_or(1, |schema| parts(schema, names, known)),
        },
        Avro::Record(record) => {
            if let Some(count) = known.get(&record.name) {
                return *count;
            }
            // A record that contains itself ends the count here; `bounded` refuses it.
            known.insert(&record.name, 1);
            let fields = record.fields.iter().map(|field| parts(&field.schema, names, known));
            let count = fields.fold(1, u64::saturating_add);
            known.insert(&record.name, count);
            count
        }
        // The record's bytes bound how many items and branches are read; but each item is a type of
        // its own, which may multiply.
        Avro::Array(array) => parts(&array.items, names, known),
        Avro::Map(map) => parts(&map.types, names, known),
        Avro::Union(union) => {
            let branches = union.variants().iter().map(|branch| parts(branch, names, known));
            branches.max().unwrap_or(1)
        }
        _ => 1,
    }
}

/// Whether values of `schema` take no bytes. A record that contains itself without an end has been
/// refused before, and any other takes bytes.
fn is_empty(schema: &Avro, names: &NamesRef<'_>) -> bool {
    match schema {
        Avro::Null => true,
        Avro::Fixed(fixed) => fixed.size == 0,
        Avro::Record(record) => record.fields.iter().all(|field| is_empty(&field.schema, names)),
        Avro::Ref { name } => names.get(name).is_some_and(|schema| is_empty(schema, names)),
        _ => false,
    }
}

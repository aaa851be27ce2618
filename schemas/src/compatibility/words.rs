//! Parts of a schema in words, for problems and their fixes. Nothing is compared here.

use crate::avro::{Enum, Kind as Type, Schemas, TypeId};

/// The symbols and the default of an enum, in words.
pub(super) fn symbols(one: &Enum) -> String {
    let all: Vec<_> = one.symbols.iter().map(|(symbol, _)| symbol.as_str()).collect();
    match &one.default {
        Some(default) => format!("symbols {}, default {default}", all.join(", ")),
        None => format!("symbols {}, no default", all.join(", ")),
    }
}

/// A neutral default for the type; empty if there is none.
pub(super) fn example(schemas: &Schemas, id: TypeId) -> String {
    let one = schemas.get(id);
    let example = match &one.kind {
        _ if one.logical.is_some() => "",
        Type::Boolean => "false",
        Type::Int | Type::Long => "0",
        Type::Float | Type::Double => "0.0",
        Type::Bytes | Type::String => "\"\"",
        Type::Array(_) => "[]",
        Type::Map(_) => "{}",
        Type::Null | Type::Union(_) | Type::Enum(_) | Type::Record(_) | Type::Fixed(_) => "",
    };
    example.to_owned()
}

//! Parts of a schema in words, for problems and their fixes. Nothing is compared here.

use crate::avro::{Enum, Kind as Type, Schemas, TypeId};

/// The most symbols of an enum that are listed: each unknown symbol is a problem that lists them.
const SYMBOLS_MAX: usize = 100;

/// The symbols and the default of an enum, in words.
pub(super) fn symbols(one: &Enum) -> String {
    let first = one.symbols.iter().take(SYMBOLS_MAX).map(|(symbol, _)| symbol.as_str());
    let mut all = first.collect::<Vec<_>>().join(", ");
    if one.symbols.len() > SYMBOLS_MAX {
        all.push_str(&format!(" and {} more", one.symbols.len() - SYMBOLS_MAX));
    }
    match &one.default {
        Some(default) => format!("symbols {all}, default {default}"),
        None => format!("symbols {all}, no default"),
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

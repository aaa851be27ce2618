//! Avro's primitive types: their names, their kinds, and their ids.

use super::model::{Kind, TypeId};

/// The kinds of the primitive types, in the order of their ids in every list of types.
pub(super) static KINDS: [Kind; 8] = [
    Kind::Null,
    Kind::Boolean,
    Kind::Int,
    Kind::Long,
    Kind::Float,
    Kind::Double,
    Kind::Bytes,
    Kind::String,
];

/// The names of the primitive types.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(Kind::word)
}

/// The primitive type of this name.
pub(super) fn kind(name: &str) -> Option<Kind> {
    KINDS.iter().find(|kind| kind.word() == name).cloned()
}

/// The id of the primitive type of this name.
pub(super) fn index_of(name: &str) -> Option<TypeId> {
    names().position(|known| known == name).map(|index| TypeId(index as u32))
}

//! Which schemas a codec refuses, because the size or the depth of their values has no bound. It
//! reads no values.

use std::collections::HashMap;

use apache_avro::{
    Schema as Avro,
    schema::{FixedSchema, InnerDecimalSchema, Name, NamesRef, UuidSchema},
};

/// The longest string, byte string, fixed or array that is allocated because a record's bytes or
/// its schema announce one. Records are far smaller: the broker takes 1 MiB, and dead letters a
/// little more.
pub(super) const ALLOCATION_BYTES_MAX: usize = 16 << 20;

/// How many parts a value of a schema may have at least. Records in records multiply: 40 small
/// ones, each with two fields of the next one, make a trillion.
const PARTS_MAX: u64 = 1 << 16;

/// How many parts an item of an array or a map may have for each byte that it takes at least. The
/// bytes of a record bound only the number of items: items of one byte and thousands of parts would
/// be billions of parts in a record of 1 MiB. A usual record has one or two parts for each byte.
const PARTS_PER_BYTE_MAX: i64 = 8;

/// How deep records, arrays, maps and unions may nest, with those that a name refers to. A value is
/// read by recursion, and a thread's stack has 2 MiB.
const DEPTH_MAX: u32 = 64;

/// A schema whose values have no bound but the stack, the memory or the clock.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unbounded {
    #[error("{0} contains itself")]
    Recursive(String),
    #[error(
        "it has an array or a map whose items take no bytes, or have more than {} parts a byte",
        PARTS_PER_BYTE_MAX
    )]
    EmptyItems,
    #[error("each of its values has more than {} parts", PARTS_MAX)]
    TooManyParts,
    #[error("its types nest more than {} deep", DEPTH_MAX)]
    TooDeep,
    #[error("the fixed {name} has {size} bytes, and at most {} are read", ALLOCATION_BYTES_MAX)]
    TooLarge { name: String, size: usize },
}

/// Returns an error for schemas that contain themselves, that nest too deep, that have too many
/// parts or too large ones, and for arrays of items with too few bytes.
pub(super) fn check<'a>(schema: &'a Avro, names: &NamesRef<'a>) -> Result<(), Unbounded> {
    Measure { names, known: HashMap::new() }.size(schema).map(|_| ())
}

/// The size of a type's values. A union counts as its largest branch, an array as one item.
#[derive(Clone, Copy, Debug)]
struct Size {
    /// How many parts a value has at least: fields, and their fields.
    parts: u64,
    /// How many types nest in each other.
    depth: u32,
    /// How many parts a value has above [`PARTS_PER_BYTE_MAX`] for each byte that it takes at
    /// least; negative if it has fewer.
    surplus: i64,
}

impl Size {
    /// A value without parts that takes so many bytes at least.
    fn leaf(bytes: usize) -> Self {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let surplus = 1_i64.saturating_sub(bytes.saturating_mul(PARTS_PER_BYTE_MAX));
        Self { parts: 1, depth: 0, surplus }
    }

    /// Both together, in one value.
    fn and(self, other: Self) -> Self {
        Self {
            parts: self.parts.saturating_add(other.parts),
            depth: self.depth.max(other.depth),
            surplus: self.surplus.saturating_add(other.surplus),
        }
    }

    /// The larger of two branches.
    fn or(self, other: Self) -> Self {
        Self {
            parts: self.parts.max(other.parts),
            depth: self.depth.max(other.depth),
            surplus: self.surplus.max(other.surplus),
        }
    }

    /// The size of the type around it, which is one level higher.
    fn around(self) -> Result<Self, Unbounded> {
        if self.parts > PARTS_MAX {
            return Err(Unbounded::TooManyParts);
        }
        if self.depth >= DEPTH_MAX {
            return Err(Unbounded::TooDeep);
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

/// A walk through a schema, which looks at every type once.
struct Measure<'a, 'n> {
    names: &'n NamesRef<'a>,
    /// The sizes of records; `None` for those that the walk is in.
    known: HashMap<&'a Name, Option<Size>>,
}

impl<'a> Measure<'a, '_> {
    fn size(&mut self, schema: &'a Avro) -> Result<Size, Unbounded> {
        match schema {
            Avro::Ref { name } => match self.known.get(name) {
                Some(Some(size)) => Ok(*size),
                Some(None) => Err(Unbounded::Recursive(name.to_string())),
                // An enum or a fixed: a record is defined before a name refers to it.
                None => match self.names.get(name).copied() {
                    Some(schema) => self.size(schema),
                    None => Ok(Size::leaf(0)),
                },
            },
            Avro::Record(record) => {
                self.known.insert(&record.name, None);
                let mut size = Size::leaf(0);
                for field in &record.fields {
                    size = size.and(self.size(&field.schema)?);
                }
                let size = size.around()?;
                self.known.insert(&record.name, Some(size));
                Ok(size)
            }
            Avro::Array(array) => self.items(&array.items, 0),
            // Each value of a map has a key before it.
            Avro::Map(map) => self.items(&map.types, 1),
            Avro::Union(union) => {
                let mut size = Size { surplus: i64::MIN, ..Size::leaf(0) };
                for branch in union.variants() {
                    size = size.or(self.size(branch)?);
                }
                // The union is a part itself, and the branch's index takes a byte.
                let surplus = size.surplus.saturating_add(Size::leaf(1).surplus);
                Size { surplus, ..size }.around()
            }
            Avro::Null => Ok(Size::leaf(0)),
            Avro::Float => Ok(Size::leaf(4)),
            Avro::Double => Ok(Size::leaf(8)),
            Avro::Fixed(fixed) | Avro::Duration(fixed) | Avro::Uuid(UuidSchema::Fixed(fixed)) => {
                of_fixed(fixed)
            }
            Avro::Decimal(decimal) => match &decimal.inner {
                InnerDecimalSchema::Fixed(fixed) => of_fixed(fixed),
                InnerDecimalSchema::Bytes => Ok(Size::leaf(1)),
            },
            _ => Ok(Size::leaf(1)),
        }
    }

    /// The size of an array or a map whose items have so many bytes before them. Without items, it
    /// takes a byte. Each item is a type of its own, which may multiply.
    fn items(&mut self, items: &'a Avro, bytes_before: i64) -> Result<Size, Unbounded> {
        let size = self.size(items)?;
        if size.surplus > bytes_before * PARTS_PER_BYTE_MAX {
            return Err(Unbounded::EmptyItems);
        }
        Size { surplus: Size::leaf(1).surplus, ..size }.around()
    }
}

fn of_fixed(fixed: &FixedSchema) -> Result<Size, Unbounded> {
    if fixed.size > ALLOCATION_BYTES_MAX {
        let name = fixed.name.to_string();
        return Err(Unbounded::TooLarge { name, size: fixed.size });
    }
    Ok(Size::leaf(fixed.size))
}

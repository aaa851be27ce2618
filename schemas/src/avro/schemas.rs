//! Parsed schemas: all types in one list, by id and by name.

use std::collections::HashMap;

use super::model::{Kind, Name, Type, TypeId, Use};

/// The types of one or more texts that were parsed together.
#[derive(Clone, Debug)]
pub struct Schemas {
    pub(super) types: Vec<Type>,
    pub(super) roots: Vec<Option<Use>>,
    pub(super) names: HashMap<String, TypeId>,
}

impl Schemas {
    /// The type at `id`.
    pub fn get(&self, id: TypeId) -> &Type {
        &self.types[id.0 as usize]
    }

    /// The type that a text consists of, by its index; `None` if it could not be read.
    pub fn root(&self, source: usize) -> Option<Root<'_>> {
        let at = self.roots.get(source).copied().flatten()?;
        Some(Root { schemas: self, at })
    }

    /// The type with this full name.
    pub fn named(&self, full: &str) -> Option<TypeId> {
        self.names.get(full).copied()
    }

    /// All types with attributes or a definition of their own, in the order of the texts.
    pub fn types(&self) -> impl Iterator<Item = &Type> {
        self.types.iter().filter(|one| one.span.is_some())
    }

    /// The type in words, such as `array of uuid (string)`.
    pub fn describe(&self, id: TypeId) -> String {
        let one = self.get(id);
        let plain = match &one.kind {
            Kind::Array(items) => format!("array of {}", self.describe(items.id)),
            Kind::Map(values) => format!("map of {}", self.describe(values.id)),
            Kind::Union(branches) => {
                let branches: Vec<_> =
                    branches.iter().map(|branch| self.describe(branch.id)).collect();
                format!(
                    "union of {}",
                    if branches.is_empty() { "nothing".to_owned() } else { branches.join(", ") }
                )
            }
            Kind::Record(record) => format!("record {}", record.name),
            Kind::Enum(one) => format!("enum {}", one.name),
            Kind::Fixed(fixed) => format!("fixed {} ({} bytes)", fixed.name, fixed.size),
            kind => kind.word().to_owned(),
        };
        match one.logical {
            Some(logical) => format!("{logical} ({plain})"),
            None => plain,
        }
    }
}

/// A type and the texts that it is from.
#[derive(Clone, Copy, Debug)]
pub struct Root<'a> {
    /// All types that it may use.
    pub schemas: &'a Schemas,
    /// The type.
    pub at: Use,
}

impl<'a> Root<'a> {
    /// The type itself.
    pub fn kind(&self) -> &'a Kind {
        &self.schemas.get(self.at.id).kind
    }

    /// Its full name, if it has one.
    pub fn name(&self) -> Option<&'a Name> {
        self.kind().name()
    }
}

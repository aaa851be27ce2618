//! Finds every difference between two schemas. What it breaks is decided elsewhere.

use std::collections::HashSet;

use schemas::avro::{Field, Kind, Name, Root, Schemas, Span, Type, TypeId, Use};
use serde_json::Value;

use super::change::Change;

/// A walk through two schemas, side by side.
pub(super) struct Walk<'a> {
    old: &'a Schemas,
    new: &'a Schemas,
    seen: HashSet<(TypeId, TypeId)>,
    changes: Vec<Change>,
}

impl<'a> Walk<'a> {
    /// Every difference between two schemas.
    pub(super) fn changes(before: Root<'a>, after: Root<'a>) -> Vec<Change> {
        let mut walk = Self {
            old: before.schemas,
            new: after.schemas,
            seen: HashSet::new(),
            changes: Vec::new(),
        };
        walk.compare(before.at, after.at, "");
        walk.changes
    }

    fn say(
        &mut self,
        id: &'static str,
        path: &str,
        message: String,
        at: (Option<Span>, Option<Span>),
        kinds: &'static [schemas::compatibility::Kind],
    ) {
        let (old_at, new_at) = at;
        self.changes.push(Change { id, path: path.to_owned(), message, old_at, new_at, kinds });
    }

    fn compare(&mut self, old: Use, new: Use, path: &str) {
        use schemas::compatibility::Kind as Problem;
        let (before, after) = (self.old.get(old.id), self.new.get(new.id));
        let at = (Some(old.span), Some(new.span));
        let (was, is) = (self.old.describe(old.id), self.new.describe(new.id));
        if before.kind.word() != after.kind.word() {
            const KINDS: &[Problem] = &[
                Problem::TypeChanged,
                Problem::BranchUnknown,
                Problem::LogicalTypeChanged,
                Problem::BytesAsText,
                Problem::Rounded,
            ];
            return self.say("type-changed", path, format!("{was} is now {is}"), at, KINDS);
        }
        let is_logical_changed = before.logical != after.logical;
        if before.kind.name().is_none() {
            if is_logical_changed {
                let kinds = &[Problem::LogicalTypeChanged];
                self.say("type-changed", path, format!("{was} is now {is}"), at, kinds);
            }
            self.attributes(
                extra(before, is_logical_changed),
                extra(after, is_logical_changed),
                at,
                path,
            );
            return match (&before.kind, &after.kind) {
                (Kind::Array(old), Kind::Array(new)) => {
                    self.compare(*old, *new, &format!("{path}[]"))
                }
                (Kind::Map(old), Kind::Map(new)) => {
                    self.compare(*old, *new, &format!("{path}{{}}"))
                }
                (Kind::Union(old), Kind::Union(new)) => self.unions(old, new, at, path),
                _ => {}
            };
        }
        if !self.seen.insert((old.id, new.id)) {
            return;
        }
        let at = (before.kind.name_span(), after.kind.name_span());
        if let (Some(was), Some(is)) = (before.kind.name(), after.kind.name())
            && was != is
        {
            const KINDS: &[Problem] =
                &[Problem::NameChanged, Problem::NamespaceChanged, Problem::ReadByAlias];
            self.say("name-changed", path, format!("{was} is now called {is}"), at, KINDS);
        }
        if is_logical_changed {
            self.say(
                "type-changed",
                path,
                format!("{was} is now {is}"),
                at,
                &[Problem::LogicalTypeChanged],
            );
        }
        self.texts(before.kind.doc(), after.kind.doc(), at, path);
        let aliases = |kind: &Kind| {
            kind.aliases().iter().map(|(name, _)| name.clone()).collect::<Vec<Name>>()
        };
        if aliases(&before.kind) != aliases(&after.kind) {
            self.say("aliases-changed", path, "its aliases have changed".to_owned(), at, &[]);
        }
        self.attributes(
            extra(before, is_logical_changed),
            extra(after, is_logical_changed),
            at,
            path,
        );
        match (&before.kind, &after.kind) {
            (Kind::Record(old), Kind::Record(new)) => self.fields(&old.fields, &new.fields, path),
            (Kind::Enum(old), Kind::Enum(new)) => {
                for (symbol, span) in &new.symbols {
                    if !old.symbols.iter().any(|(known, _)| known == symbol) {
                        let at = (at.0, Some(*span));
                        self.say(
                            "symbol-added",
                            path,
                            format!("symbol {symbol} is new"),
                            at,
                            &[Problem::SymbolUnknown],
                        );
                    }
                }
                for (symbol, span) in &old.symbols {
                    if !new.symbols.iter().any(|(known, _)| known == symbol) {
                        let at = (Some(*span), at.1);
                        self.say(
                            "symbol-removed",
                            path,
                            format!("symbol {symbol} is gone"),
                            at,
                            &[Problem::SymbolUnknown],
                        );
                    }
                }
                if is_reordered(&old.symbols, &new.symbols, |(one, _), (other, _)| one == other) {
                    let message = "the symbols are in another order".to_owned();
                    self.say("symbols-reordered", path, message, at, &[]);
                }
                if old.default != new.default {
                    let told =
                        |default: &Option<String>| default.clone().unwrap_or("none".to_owned());
                    let message = format!(
                        "the default symbol was {}, and is now {}",
                        told(&old.default),
                        told(&new.default)
                    );
                    self.say("enum-default-changed", path, message, at, &[]);
                }
            }
            (Kind::Fixed(old), Kind::Fixed(new)) if old.size != new.size => {
                let message = format!("{} bytes are now {}", old.size, new.size);
                self.say("size-changed", path, message, at, &[Problem::SizeChanged]);
            }
            _ => {}
        }
    }

    fn unions(&mut self, old: &[Use], new: &[Use], at: (Option<Span>, Option<Span>), path: &str) {
        use schemas::compatibility::Kind as Problem;
        let word = |schemas: &Schemas, branch: &Use| {
            let kind = &schemas.get(branch.id).kind;
            kind.name().map_or(kind.word(), Name::full).to_owned()
        };
        let simple = |name: &str| name.rsplit('.').next().unwrap_or(name).to_owned();
        let names: Vec<String> = old.iter().map(|branch| word(self.old, branch)).collect();
        // By full names first. Of what is left, a type that kept its simple name has moved to
        // another namespace.
        let mut pairs: Vec<Option<usize>> = new
            .iter()
            .map(|branch| names.iter().position(|name| *name == word(self.new, branch)))
            .collect();
        for index in 0..new.len() {
            let branch = word(self.new, &new[index]);
            if pairs[index].is_none() {
                let is_left = |place: usize| !pairs.contains(&Some(place));
                pairs[index] = (0..old.len())
                    .find(|&place| is_left(place) && simple(&names[place]) == simple(&branch));
            }
        }
        let is_optional = old.len() == 2 && new.len() == 2;
        const KINDS: &[Problem] = &[Problem::BranchUnknown, Problem::BytesAsText, Problem::Rounded];
        for (branch, pair) in new.iter().zip(&pairs) {
            match pair {
                Some(place) if is_optional => self.compare(old[*place], *branch, path),
                Some(place) => {
                    let name = simple(&word(self.new, branch));
                    self.compare(old[*place], *branch, &format!("{path}|{name}"));
                }
                None => {
                    let message =
                        format!("{} is a new branch of the union", self.new.describe(branch.id));
                    self.say("branch-added", path, message, (at.0, Some(branch.span)), KINDS);
                }
            }
        }
        for (place, branch) in old.iter().enumerate() {
            if !pairs.contains(&Some(place)) {
                let message =
                    format!("{} is no branch of the union any more", self.old.describe(branch.id));
                self.say("branch-removed", path, message, (Some(branch.span), at.1), KINDS);
            }
        }
        if !pairs.iter().flatten().is_sorted() {
            let message = "the branches are in another order".to_owned();
            self.say("branches-reordered", path, message, at, &[]);
        }
    }

    fn fields(&mut self, old: &[Field], new: &[Field], path: &str) {
        use schemas::compatibility::Kind as Problem;
        let step =
            |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let mut kept = Vec::new();
        for field in new {
            let is_old_name = |name: &str| field.aliases.iter().any(|(alias, _)| alias == name);
            let by_name = old.iter().position(|other| other.name == field.name);
            let Some(index) =
                by_name.or_else(|| old.iter().position(|other| is_old_name(&other.name)))
            else {
                let default = field.default.as_ref();
                let default = default
                    .map_or("no default".to_owned(), |default| format!("default {}", default.json));
                let message =
                    format!("this field is new: {}, {default}", self.new.describe(field.kind.id));
                let kinds = &[Problem::FieldWithoutDefault, Problem::NullFieldAdded];
                self.say(
                    "field-added",
                    &step(&field.name),
                    message,
                    (None, Some(field.name_span)),
                    kinds,
                );
                continue;
            };
            kept.push(index);
            let other = &old[index];
            let path = step(&field.name);
            let at = (Some(other.name_span), Some(field.name_span));
            if other.name != field.name {
                let message = format!("field {} is now called {}", other.name, field.name);
                let kinds = &[Problem::ReadByAlias, Problem::FieldWithoutDefault];
                self.say("field-renamed", &path, message, at, kinds);
            }
            self.compare(other.kind, field.kind, &path);
            let json = |field: &Field| field.default.as_ref().map(|default| default.json.clone());
            if json(other) != json(field) {
                let told = |field| json(field).map_or("none".to_owned(), |json| json.to_string());
                let message =
                    format!("the default was {}, and is now {}", told(other), told(field));
                let at = (
                    other.default.as_ref().map_or(at.0, |default| Some(default.span)),
                    field.default.as_ref().map_or(at.1, |default| Some(default.span)),
                );
                self.say("default-changed", &path, message, at, &[]);
            }
            self.texts(other.doc.as_deref(), field.doc.as_deref(), at, &path);
            let aliases = |field: &Field| {
                field.aliases.iter().map(|(alias, _)| alias.clone()).collect::<Vec<_>>()
            };
            if aliases(other) != aliases(field) {
                self.say("aliases-changed", &path, "its aliases have changed".to_owned(), at, &[]);
            }
            if other.order != field.order {
                let message = format!("the order was {}, and is now {}", other.order, field.order);
                self.say("order-changed", &path, message, at, &[]);
            }
            let extra = |field: &Field| {
                field.extra.iter().map(|(name, value, _)| told(name, value)).collect()
            };
            self.attributes(extra(other), extra(field), at, &path);
        }
        if !kept.is_sorted() {
            let at = (
                old.first().map(|field| field.name_span),
                new.first().map(|field| field.name_span),
            );
            self.say(
                "fields-reordered",
                path,
                "the fields are in another order".to_owned(),
                at,
                &[],
            );
        }
        for (index, field) in old.iter().enumerate() {
            if !kept.contains(&index) {
                let message =
                    format!("this field is gone: it was {}", self.old.describe(field.kind.id));
                let kinds = &[Problem::FieldWithoutDefault, Problem::NullFieldAdded];
                self.say(
                    "field-removed",
                    &step(&field.name),
                    message,
                    (Some(field.name_span), None),
                    kinds,
                );
            }
        }
    }

    /// Compares attributes that Avro does not know, whatever their order.
    fn attributes(
        &mut self,
        mut old: Vec<String>,
        mut new: Vec<String>,
        at: (Option<Span>, Option<Span>),
        path: &str,
    ) {
        old.sort();
        new.sort();
        if old != new {
            let told =
                |all: Vec<String>| if all.is_empty() { "none".to_owned() } else { all.join(", ") };
            let message = format!("other attributes were {}, and are now {}", told(old), told(new));
            self.say("attributes-changed", path, message, at, &[]);
        }
    }

    fn texts(
        &mut self,
        old: Option<&str>,
        new: Option<&str>,
        at: (Option<Span>, Option<Span>),
        path: &str,
    ) {
        if old != new {
            self.say("doc-changed", path, "the doc has changed".to_owned(), at, &[]);
        }
    }
}

/// The attributes of a type that Avro does not know, each in words. Those of a logical type count
/// too, such as a decimal's scale of 0, unless it is told as a change of the type.
fn extra(one: &Type, is_logical_told: bool) -> Vec<String> {
    let is_told =
        |name: &str| is_logical_told && matches!(name, "logicalType" | "precision" | "scale");
    let all = one.extra.iter().filter(|(name, _)| !is_told(name));
    all.map(|(name, value)| told(name, value)).collect()
}

/// An attribute in words, the keys of objects in their alphabetical order.
fn told(name: &str, value: &Value) -> String {
    let mut value = value.clone();
    value.sort_all_objects();
    format!("{name}: {value}")
}

/// Whether what both lists hold is in another order.
fn is_reordered<T>(old: &[T], new: &[T], is_same: impl Fn(&T, &T) -> bool) -> bool {
    let places = new.iter().filter_map(|one| old.iter().position(|other| is_same(one, other)));
    !places.is_sorted()
}

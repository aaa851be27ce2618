//! A walk that finds every difference between two schemas. `fields` has the part for records. The
//! problems that a difference causes are found elsewhere.

use std::collections::HashSet;

use schemas::avro::{Kind, Name, Root, Schemas, Span, Type, TypeId, Use};
use serde_json::Value;

use super::change::Change;

/// A walk through two schemas, side by side.
pub(super) struct Walk<'a> {
    pub(super) old: &'a Schemas,
    pub(super) new: &'a Schemas,
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

    /// Adds a change.
    pub(super) fn say(
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

    /// Compares two types.
    pub(super) fn compare(&mut self, old: Use, new: Use, path: &str) {
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
        self.docs(before.kind.doc(), after.kind.doc(), at, path);
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
                    let text =
                        |default: &Option<String>| default.clone().unwrap_or("none".to_owned());
                    let message = format!(
                        "the default symbol was {}, and is now {}",
                        text(&old.default),
                        text(&new.default)
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

    /// Compares the branches of two unions.
    fn unions(&mut self, old: &[Use], new: &[Use], at: (Option<Span>, Option<Span>), path: &str) {
        use schemas::compatibility::Kind as Problem;
        let word = |schemas: &Schemas, branch: &Use| {
            let kind = &schemas.get(branch.id).kind;
            kind.name().map_or(kind.word(), Name::full).to_owned()
        };
        let simple = |name: &str| name.rsplit('.').next().unwrap_or(name).to_owned();
        let names: Vec<String> = old.iter().map(|branch| word(self.old, branch)).collect();
        // First by full names. Of the rest, a type with the same simple name has moved to another
        // namespace.
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

    /// Compares attributes that Avro does not define, whatever their order.
    pub(super) fn attributes(
        &mut self,
        mut old: Vec<String>,
        mut new: Vec<String>,
        at: (Option<Span>, Option<Span>),
        path: &str,
    ) {
        old.sort();
        new.sort();
        if old != new {
            let text =
                |all: Vec<String>| if all.is_empty() { "none".to_owned() } else { all.join(", ") };
            let message = format!("other attributes were {}, and are now {}", text(old), text(new));
            self.say("attributes-changed", path, message, at, &[]);
        }
    }

    /// Compares docs.
    pub(super) fn docs(
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

/// The attributes of a type that Avro does not define, each in words. Those of a logical type are
/// included, such as a decimal's scale of 0, unless the change of the type is already reported.
fn extra(one: &Type, is_logical_reported: bool) -> Vec<String> {
    let is_reported =
        |name: &str| is_logical_reported && matches!(name, "logicalType" | "precision" | "scale");
    let all = one.extra.iter().filter(|(name, _)| !is_reported(name));
    all.map(|(name, value)| attribute(name, value)).collect()
}

/// An attribute in words, with the keys of objects sorted.
pub(super) fn attribute(name: &str, value: &Value) -> String {
    let mut value = value.clone();
    value.sort_all_objects();
    format!("{name}: {value}")
}

/// Whether the common items of two lists are in another order.
fn is_reordered<T>(old: &[T], new: &[T], is_same: impl Fn(&T, &T) -> bool) -> bool {
    let places = new.iter().filter_map(|one| old.iter().position(|other| is_same(one, other)));
    !places.is_sorted()
}

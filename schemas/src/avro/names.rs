//! Names: their form, and the definition of each once all texts have been read.

use std::collections::BTreeMap;

use super::{
    model::{Kind, NULL, Span, TypeId, Use},
    primitive,
    rule::{Invalid, Rule},
    schemas::Schemas,
};

/// A full name that a text defines or uses.
pub(super) struct Named {
    pub(super) id: TypeId,
    pub(super) defined: Option<Span>,
    pub(super) mentions: Vec<Mention>,
}

/// A use of a name that its text does not define before.
pub(super) struct Mention {
    pub(super) span: Span,
    pub(super) path: String,
    /// The name as the text writes it.
    pub(super) written: String,
    /// Whether the text writes it as `{"type": "Name"}`.
    pub(super) nested: bool,
}

/// Reports names that no text defines, or that are used before their definition.
pub(super) fn undefined(named: &BTreeMap<String, Named>, problems: &mut Vec<Invalid>) {
    for (full, one) in named {
        for mention in &one.mentions {
            let (rule, message, help) = match one.defined {
                None => {
                    let defined = named
                        .iter()
                        .filter(|(_, one)| one.defined.is_some())
                        .map(|(name, _)| name.as_str());
                    let (message, help) = unknown(full, &mention.written, defined);
                    (Rule::UnknownType, message, help)
                }
                Some(_) if mention.nested => (
                    Rule::NestedType,
                    format!(
                        "{full} is referred to by its name alone, not as the \"type\" of another type"
                    ),
                    Some(format!("write {full:?} in the place of {{\"type\": {full:?}}}")),
                ),
                Some(at) if at.source == mention.span.source => (
                    Rule::ForwardReference,
                    format!("{full} is used before it is defined"),
                    Some(
                        "define it here, at its first use, and refer to it by name later"
                            .to_owned(),
                    ),
                ),
                Some(_) => continue,
            };
            problems.push(Invalid {
                rule,
                path: mention.path.clone(),
                span: mention.span,
                message,
                help,
            });
        }
    }
}

/// Reports branches of a union that a reader could not tell apart.
pub(super) fn duplicate_branches(schemas: &Schemas, problems: &mut Vec<Invalid>) {
    let kind = |branch: &Use| &schemas.get(branch.id).kind;
    for one in &schemas.types {
        let Kind::Union(branches) = &one.kind else { continue };
        for (index, branch) in branches.iter().enumerate() {
            let same = |other: &Use| match (kind(other).name(), kind(branch).name()) {
                (Some(name), Some(other)) => name == other,
                (None, None) => kind(other).word() == kind(branch).word(),
                _ => false,
            };
            // A placeholder has a problem of its own.
            let is_placeholder = branch.id != NULL && matches!(kind(branch), Kind::Null);
            if is_placeholder || !branches[..index].iter().any(same) {
                continue;
            }
            let help = matches!(kind(branch), Kind::Array(_) | Kind::Map(_))
                .then(|| "put a union inside, or each into a record of its own".to_owned());
            let message = match kind(branch).name() {
                Some(name) => format!("{name} is a branch of this union already"),
                None => format!("this union has a branch of type {} already", kind(branch).word()),
            };
            let (rule, path) = (Rule::DuplicateBranch, String::new());
            problems.push(Invalid { rule, path, span: branch.span, message, help });
        }
    }
}

/// Message and help for a name that no text defines.
fn unknown<'a>(
    full: &str,
    written: &str,
    defined: impl Iterator<Item = &'a str>,
) -> (String, Option<String>) {
    let simple = full.rsplit('.').next().unwrap_or(full);
    let habit = match simple {
        "bool" | "Boolean" => Some("boolean"),
        "integer" | "Integer" | "int32" => Some("int"),
        "int64" | "bigint" | "Long" => Some("long"),
        "str" | "String" | "text" | "varchar" => Some("string"),
        "byte" | "binary" | "blob" => Some("bytes"),
        "number" | "float64" => Some("double"),
        _ => None,
    };
    let candidates = primitive::names()
        .map(|name| (name, name))
        .chain(defined.map(|name| (name, name.rsplit('.').next().unwrap_or(name))));
    let near = candidates
        .map(|(whole, last)| (strsim::damerau_levenshtein(simple, last), whole))
        .filter(|(distance, _)| *distance <= simple.len() / 3)
        .min();
    let help = habit.or(near.map(|(_, whole)| whole)).map(|name| format!("did you mean {name:?}?"));
    let place = if written == full { String::new() } else { format!(" (it would be {full:?})") };
    (format!("no type is called {written:?}{place}"), help)
}

/// The form of a name, in words.
pub(super) const HELP: &str =
    "a name is letters of ASCII, digits and _, and does not start with a digit";

/// Whether the specification allows `text` as a name.
pub(super) fn is_name(text: &str) -> bool {
    let mut letters = text.bytes();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && letters.all(|other| other.is_ascii_alphanumeric() || other == b'_')
}

/// The full name of `name` within `namespace`.
pub(super) fn qualify(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}.{name}")
    }
}

//! The house style: docs, names, personal data, enums that can grow.

use std::collections::BTreeMap;

use schemas::avro::{Field, Kind};

use super::found::Found;
use crate::names;

pub(super) fn docs(found: &mut Found<'_>) {
    let is_missing = |doc: Option<&str>| doc.is_none_or(|doc| doc.trim().is_empty());
    for (name, one) in found.named() {
        if let Some(at) = one.kind.name_span()
            && is_missing(one.kind.doc())
        {
            found.say(
                name,
                "",
                at,
                format!("this {} has no doc", one.kind.word()),
                "say in \"doc\" what it is",
            );
        }
    }
    for (name, field) in found.fields() {
        if is_missing(field.doc.as_deref()) {
            found.say(
                name,
                &field.name,
                field.name_span,
                "this field has no doc",
                "say in \"doc\" what it is",
            );
        }
    }
}

pub(super) fn renames(found: &mut Found<'_>) {
    let help = "add what is new under the new name, and keep the old one while anyone reads it";
    for (name, one) in found.named() {
        for (alias, at) in one.kind.aliases() {
            found.say(name, "", *at, format!("a type is renamed here, by the alias {alias}"), help);
        }
    }
    for (name, field) in found.fields() {
        for (alias, at) in &field.aliases {
            found.say(
                name,
                &field.name,
                *at,
                format!("a field is renamed here, by the alias {alias}"),
                help,
            );
        }
    }
}

/// Names of fields that hold personal data in any record.
const PERSONAL: [&str; 17] = [
    "address",
    "birth_date",
    "birthday",
    "date_of_birth",
    "email",
    "email_address",
    "first_name",
    "full_name",
    "iban",
    "ip_address",
    "last_name",
    "mobile",
    "phone",
    "phone_number",
    "postal_address",
    "ssn",
    "street",
];

pub(super) fn pii(found: &mut Found<'_>) {
    let mark = |field: &Field| {
        let mut marks = field.extra.iter().filter(|(attribute, ..)| attribute == "pii");
        marks.next().map(|(_, value, at)| (value.as_bool(), *at))
    };
    let namespace =
        |name: &str| name.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned();
    let fields = found.fields();
    let marked: BTreeMap<(String, &str), &str> = fields
        .iter()
        .filter(|(_, field)| matches!(mark(field), Some((Some(true), _))))
        .map(|(name, field)| ((namespace(name), field.name.as_str()), *name))
        .collect();
    let help = "mark it with \"pii\": true, or say with \"pii\": false that it is not";
    for (name, field) in fields {
        match mark(field) {
            Some((Some(_), _)) => {}
            Some((None, at)) => {
                found.say(name, &field.name, at, "\"pii\" is true or false", "");
            }
            None if PERSONAL.contains(&field.name.as_str()) => {
                let message =
                    format!("{} is personal data by its name, and is not marked", field.name);
                found.say(name, &field.name, field.name_span, message, help);
            }
            None => {
                if let Some(other) = marked.get(&(namespace(name), field.name.as_str())) {
                    let message = format!(
                        "{} is marked as personal data in {other}, and not here",
                        field.name
                    );
                    found.say(name, &field.name, field.name_span, message, help);
                }
            }
        }
    }
}

pub(super) fn enum_growth(found: &mut Found<'_>) {
    for (name, one) in found.named() {
        if let Kind::Enum(symbols) = &one.kind
            && symbols.default.is_none()
        {
            let message = "this enum has no default symbol, so that it can never take another one";
            let help = "name the symbol that readers take for those that they do not know: \"default\": \"...\"";
            found.say(name, "", symbols.name_span, message, help);
        }
    }
}

pub(super) fn naming(found: &mut Found<'_>) {
    let small = |text: &str| {
        text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_')
    };
    let large = |text: &str| {
        text.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_')
    };
    for (name, one) in found.named() {
        let simple = name.rsplit('.').next().unwrap_or(name);
        if let Some(at) = one.kind.name_span()
            && (!simple.starts_with(|c: char| c.is_ascii_uppercase()) || simple.contains('_'))
        {
            found.say(name, "", at, format!("{simple} is not in PascalCase"), "");
        }
        if let Kind::Enum(one) = &one.kind {
            for (symbol, at) in one.symbols.iter().filter(|(symbol, _)| !large(symbol)) {
                found.say(
                    name,
                    "",
                    *at,
                    format!("symbol {symbol} is not in SCREAMING_SNAKE_CASE"),
                    "",
                );
            }
        }
    }
    for (name, field) in found.fields() {
        if !small(&field.name) {
            let message = format!("field {} is not in snake_case", field.name);
            found.say(name, &field.name, field.name_span, message, "");
        }
    }
}

pub(super) fn rust_names(found: &mut Found<'_>) {
    for (name, one) in found.named() {
        if let (Err(why), Some(at)) = (names::type_name(name), one.kind.name_span()) {
            found.say(name, "", at, why.to_string(), "take another name");
        }
        let Kind::Enum(one) = &one.kind else { continue };
        let symbols: Vec<&str> = one.symbols.iter().map(|(symbol, _)| symbol.as_str()).collect();
        let same = names::same_variants(&symbols);
        for (symbol, at) in &one.symbols {
            if let Err(why) = names::variant(symbol) {
                found.say(name, "", *at, why.to_string(), "take another symbol");
            } else if let Some((_, other)) = same.iter().find(|(one, _)| one == symbol) {
                let message = format!("symbols {other} and {symbol} would be one variant");
                found.say(name, "", *at, message, "take another symbol");
            }
        }
    }
    for (name, field) in found.fields() {
        if let Err(why) = names::field(&field.name) {
            found.say(name, &field.name, field.name_span, why.to_string(), "take another name");
        }
    }
}

pub(super) fn file_names(found: &mut Found<'_>) {
    for (source, file) in found.texts.files.iter().enumerate() {
        let Some(root) = found.texts.schemas.root(source) else { continue };
        if found.broken.contains(&(source as u32)) {
            continue;
        }
        let is = file.name();
        match (root.name(), root.kind().name_span()) {
            (Some(name), Some(at)) => {
                let wanted = format!("{}.avsc", name.simple());
                if is != wanted && is != format!("{name}.avsc") {
                    let message = format!("the file of {name} is called {is}");
                    found.say(name.full(), "", at, message, format!("call it {wanted}"));
                }
            }
            _ => {
                let message = "this file holds no named type";
                found.say(
                    &file.path,
                    "",
                    root.at.span,
                    message,
                    "a file holds one record, enum or fixed",
                );
            }
        }
    }
}

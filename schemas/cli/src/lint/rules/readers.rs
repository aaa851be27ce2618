//! Rules about constructs of valid schemas that some readers ignore or refuse.

use schemas::avro::{Kind, Type};

use super::found::Found;

pub(super) fn logical_types(found: &mut Found<'_>) {
    let mut all: Vec<(String, String, &Type)> = found
        .named()
        .into_iter()
        .map(|(name, one)| (name.to_owned(), String::new(), one))
        .collect();
    for (name, field) in found.fields() {
        let mut inside = Vec::new();
        found.unnamed(field.kind, &field.name, &mut inside);
        all.extend(inside.into_iter().map(|(path, one)| (name.to_owned(), path, one)));
    }
    for (source, file) in found.texts.files.iter().enumerate() {
        if let Some(root) = found.texts.schemas.root(source)
            && !found.broken.contains(&(source as u32))
        {
            let mut inside = Vec::new();
            found.unnamed(root.at, "", &mut inside);
            all.extend(inside.into_iter().map(|(path, one)| (file.path.clone(), path, one)));
        }
    }
    for (subject, path, one) in all {
        if let Some((at, why)) = &one.ignored_logical {
            found.say(&subject, &path, *at, format!("readers ignore this logical type: {why}"), "");
        }
    }
}

pub(super) fn misplaced_logical_types(found: &mut Found<'_>) {
    for (name, field) in found.fields() {
        for (attribute, value, at) in &field.extra {
            if attribute == "logicalType" {
                let message =
                    "this logical type is an attribute of the field, where readers do not look";
                let kind = found.texts.schemas.get(field.kind.id).kind.word();
                let help =
                    format!("write \"type\": {{\"type\": {kind:?}, \"logicalType\": {value}}}");
                found.say(name, &field.name, *at, message, help);
            }
        }
    }
}

pub(super) fn union_defaults(found: &mut Found<'_>) {
    for (name, field) in found.fields() {
        let (Kind::Union(branches), Some(default)) =
            (&found.texts.schemas.get(field.kind.id).kind, &field.default)
        else {
            continue;
        };
        let Some(first) = branches.first() else { continue };
        if found.texts.schemas.fits(first.id, &default.json).is_err() {
            let first = found.texts.schemas.describe(first.id);
            let message = format!(
                "the default {} is no value of the union's first branch, {first}",
                default.json
            );
            found.say(
                name,
                &field.name,
                default.span,
                message,
                "put the branch of the default first",
            );
        }
    }
}

pub(super) fn bytes_defaults(found: &mut Found<'_>) {
    for (name, field) in found.fields() {
        let Some(default) = &field.default else { continue };
        if found.texts.schemas.has_high_byte(field.kind.id, &default.json) {
            found.say(
                name,
                &field.name,
                default.span,
                "the default has a byte above 7F, which apache-avro for Rust reads as two bytes",
                "write no character above U+007F, or make the field optional with the default null",
            );
        }
    }
}

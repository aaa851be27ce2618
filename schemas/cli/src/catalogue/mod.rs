//! The records of a folder as the generator, `release` and the registry need them: every subject in
//! one self-contained schema, and every named type.
//!
//! It checks what the generator relies on (one named type per file, namespaces that fit their
//! folders, docs everywhere). It knows nothing of Rust and writes nothing. The texts were parsed
//! before, once.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, Result, bail, ensure};
use schemas::{
    Deprecated,
    avro::{self, Definitions, Field, Kind, Name, Schemas, Type},
};
use serde::Deserialize as _;
use serde_json::Value;

use crate::{files::File, side::Side, stop::Stop, texts::Texts};

/// A record that can be the value of a topic's record, so that it is a subject in the registry.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    /// Its full name.
    pub(crate) full: String,
    /// The folder of its file below `avro`, such as `order/commands`.
    pub(crate) folder: String,
    /// Its schema, with every type that it uses inlined at first use.
    pub(crate) json: Value,
}

/// A named type: a record or an enum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'a> {
    /// Its full name.
    pub(crate) name: &'a Name,
    /// Its definition.
    pub(crate) definition: &'a Type,
}

/// All records and enums of a folder.
#[derive(Debug)]
pub(crate) struct Catalogue {
    /// All subjects, sorted by full name.
    pub(crate) subjects: Vec<Subject>,
    texts: Texts,
}

impl Catalogue {
    /// Reads every `*.avsc` of the folder `avro` in `folder`.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        Self::of(Texts::read(&Side::Disk(folder.to_owned()))?)
    }

    /// The records and enums of these files, which [`Texts::read`] has read.
    pub(crate) fn of(texts: Texts) -> Result<Self> {
        texts.sound()?;
        for (source, file) in texts.files.iter().enumerate() {
            check_file(&texts, source, file).with_context(|| format!("reading {}", file.path))?;
        }
        let definitions = Definitions::of(&texts.json);
        let mut subjects = Vec::new();
        for (full, root) in texts.subjects() {
            let json = definitions.self_contained(full);
            let json = json.with_context(|| format!("inlining {full}"))?;
            check_readable(full, &json)?;
            let folder = texts.file(root.at.span.source).folder().to_owned();
            subjects.push(Subject { full: full.to_owned(), folder, json });
        }
        subjects.iter().try_for_each(|subject| check_deprecation(subject, &subjects))?;
        Ok(Self { subjects, texts })
    }

    /// The parsed schemas.
    pub(crate) fn schemas(&self) -> &Schemas {
        &self.texts.schemas
    }

    /// All named types, by full name.
    pub(crate) fn types(&self) -> BTreeMap<&str, Named<'_>> {
        let named = self.schemas().types().filter_map(named);
        named.map(|named| (named.name.full(), named)).collect()
    }

    /// The named type with this full name.
    pub(crate) fn named(&self, full: &str) -> Option<Named<'_>> {
        named(self.schemas().get(self.schemas().named(full)?))
    }

    /// Whether a subject has this full name.
    pub(crate) fn is_subject(&self, full: &str) -> bool {
        self.subjects.binary_search_by(|subject| subject.full.as_str().cmp(full)).is_ok()
    }
}

/// The mark of deprecation of a type, in words for people.
pub(crate) fn deprecation(definition: &Type) -> Option<String> {
    let (_, mark) = definition.extra.iter().find(|(name, _)| name == "deprecated")?;
    let Deprecated { since, successor } = Deprecated::deserialize(mark).ok()?;
    Some(format!("Deprecated since {since}; `{successor}` takes its place."))
}

/// Whether a field is marked as personal data.
pub(crate) fn is_personal(field: &Field) -> bool {
    field.extra.iter().any(|(name, value, _)| name == "pii" && *value == Value::Bool(true))
}

fn named(definition: &Type) -> Option<Named<'_>> {
    Some(Named { name: definition.kind.name()?, definition })
}

/// Checks name, namespace and docs of the types in one file.
fn check_file(texts: &Texts, source: usize, file: &File) -> Result<()> {
    let root = texts.schemas.root(source).and_then(|root| root.name());
    let name = root.context("a file holds one named type")?;
    let expected = format!("{}.avsc", name.simple());
    ensure!(file.name() == expected, "the file of {name} must be called {expected}");
    let (context, kind) = file.folder().split_once('/').unwrap_or((file.folder(), ""));
    ensure!(!context.is_empty(), "a file must be in the folder of its context");
    let namespace = match (context, kind) {
        ("common", _) => "millrace".to_owned(),
        (context, "state" | "child") => format!("millrace.{context}.state"),
        (context, _) => format!("millrace.{context}"),
    };
    ensure!(name.namespace() == namespace, "the namespace of {name} must be {namespace}");
    let is_here = |one: &&Type| one.span.is_some_and(|span| span.source as usize == source);
    texts.schemas.types().filter(is_here).try_for_each(|one| {
        check_docs(one)?;
        check_defaults(&texts.schemas, one)
    })
}

/// Checks that the codec reads the defaults of a record as its schema means them.
fn check_defaults(schemas: &Schemas, one: &Type) -> Result<()> {
    let Kind::Record(record) = &one.kind else { return Ok(()) };
    for field in &record.fields {
        let Some(default) = &field.default else { continue };
        ensure!(
            !schemas.has_high_byte(field.kind.id, &default.json),
            "the default of field {} of {} has a byte above 7F, which apache-avro reads as two",
            field.name,
            record.name
        );
    }
    Ok(())
}

/// Checks that a type and its fields have docs, and that it is of a kind that is generated.
fn check_docs(one: &Type) -> Result<()> {
    let Some(name) = one.kind.name() else { return Ok(()) };
    let is_given = |doc: Option<&str>| doc.is_some_and(|doc| !doc.trim().is_empty());
    if let Kind::Fixed(_) = one.kind {
        bail!("fixed types are not in use: take bytes or a string");
    }
    ensure!(is_given(one.kind.doc()), "{name} has no doc");
    if let Kind::Record(record) = &one.kind {
        for field in &record.fields {
            ensure!(field.doc.is_some(), "field {} of {name} has no doc", field.name);
        }
    }
    Ok(())
}

/// Checks that the self-contained schema can be parsed again. Files that can each be parsed may
/// nest too deep together.
fn check_readable(full: &str, json: &Value) -> Result<()> {
    let problems = avro::parse_one(&json.to_string()).err().unwrap_or_default();
    let Some(problem) = problems.first() else { return Ok(()) };
    let what = format!("{full}, with all types that it uses in one text, could not be read back");
    Err(Stop::Invalid(format!("{what}: {problem}")).into())
}

/// Checks the mark of deprecation of a subject, if it has one.
fn check_deprecation(subject: &Subject, all: &[Subject]) -> Result<()> {
    let Some(mark) = subject.json.get("deprecated") else { return Ok(()) };
    let form = || {
        let form = r#""deprecated": {"since": "YYYY-MM-DD", "successor": "<full name>"}"#;
        format!("{} has to say {form}", subject.full)
    };
    let Deprecated { since, successor } = Deprecated::deserialize(mark).with_context(form)?;
    let is_date = since.len() == 10
        && since.bytes().enumerate().all(|(index, byte)| match index {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    ensure!(is_date, form());
    let found = all.iter().find(|other| other.full == successor);
    let found = found.with_context(|| {
        format!("{}: its successor {successor} is no record of these files", subject.full)
    })?;
    ensure!(
        found.json.get("deprecated").is_none(),
        "{}: its successor {successor} is deprecated itself",
        subject.full
    );
    Ok(())
}

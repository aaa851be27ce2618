//! Reads the Avro files of a folder and makes each record self-contained.
//!
//! It checks what the generator relies on (one named type a file, names that fit their folder, docs
//! everywhere); it knows nothing of Rust and writes nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};
use schemas::{Deprecated, avro};
use serde::Deserialize as _;
use serde_json::{Map, Value};

use crate::{files::Side, stop::Stop, texts::Texts};

/// A named Avro type: a record or an enum.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    /// Namespace and name, with a dot between.
    pub(crate) full: String,
    /// The namespace.
    pub(crate) namespace: String,
    /// The definition as it was written.
    pub(crate) json: Map<String, Value>,
}

/// A record that stands in a topic by itself, so that it is a subject in the registry.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    /// Its full name.
    pub(crate) full: String,
    /// The folder of the context: `order`.
    pub(crate) context: String,
    /// The folder below it: `commands`; empty if there is none.
    pub(crate) kind: String,
    /// Its schema with every type that it uses inlined at first use.
    pub(crate) json: Value,
}

/// Everything that the files say.
#[derive(Debug)]
pub(crate) struct Catalogue {
    /// All named types, by full name.
    pub(crate) types: BTreeMap<String, Named>,
    /// All subjects, by full name.
    pub(crate) subjects: Vec<Subject>,
}

impl Catalogue {
    /// Reads every `*.avsc` of the folder `avro` in `folder`.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        Self::of(&Texts::read(&Side::Disk(folder.to_owned()))?)
    }

    /// Everything that these files say.
    pub(crate) fn of(texts: &Texts) -> Result<Self> {
        texts.sound()?;
        let subjects = texts.subjects();
        let mut types = BTreeMap::new();
        let mut found = Vec::new();
        for read in &texts.files {
            let context = || format!("reading {}", read.path);
            let json: Value = serde_json::from_str(&read.text).with_context(context)?;
            let place: Vec<&str> = read.place.split('/').collect();
            let (full, context, kind) = file(&json, &place, &mut types).with_context(context)?;
            if subjects.contains_key(full.as_str()) {
                found.push((full, context, kind));
            }
        }
        let mut catalogue = Self { types, subjects: Vec::new() };
        for (full, context, kind) in found {
            let json =
                catalogue.self_contained(&full).with_context(|| format!("inlining {full}"))?;
            check_readable(&full, &json)?;
            catalogue.subjects.push(Subject { full, context, kind, json });
        }
        catalogue.subjects.sort_by(|a, b| a.full.cmp(&b.full));
        catalogue.subjects.iter().try_for_each(|subject| catalogue.check_end(subject))?;
        Ok(catalogue)
    }

    /// Checks what a subject says of its end, if it does.
    fn check_end(&self, subject: &Subject) -> Result<()> {
        let Some(deprecated) = subject.json.get("deprecated") else { return Ok(()) };
        let form = || {
            let form = r#""deprecated": {"since": "YYYY-MM-DD", "successor": "<full name>"}"#;
            format!("{} has to say {form}", subject.full)
        };
        let Deprecated { since, successor } =
            Deprecated::deserialize(deprecated).with_context(form)?;
        let is_date = since.len() == 10
            && since.bytes().enumerate().all(|(index, byte)| match index {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        ensure!(is_date, form());
        let found = self.subjects.iter().find(|other| other.full == successor);
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

    /// The schema of `full` with every type that it uses inlined at first use, by full name
    /// afterwards.
    fn self_contained(&self, full: &str) -> Result<Value> {
        self.inline(&Value::String(full.to_owned()), "", &mut BTreeSet::new(), &mut Vec::new())
    }

    fn inline(
        &self,
        json: &Value,
        namespace: &str,
        seen: &mut BTreeSet<String>,
        within: &mut Vec<String>,
    ) -> Result<Value> {
        match json {
            Value::String(name) if is_primitive(name) => Ok(json.clone()),
            Value::String(name) => {
                let full = qualify(name, namespace);
                ensure!(
                    !within.contains(&full),
                    "{full} contains itself, which no reader could bound"
                );
                if seen.contains(&full) {
                    return Ok(Value::String(full));
                }
                let named =
                    self.types.get(&full).with_context(|| format!("no file defines {full}"))?;
                self.inline(&Value::Object(named.json.clone()), &named.namespace, seen, within)
            }
            Value::Array(branches) => branches
                .iter()
                .map(|branch| self.inline(branch, namespace, seen, within))
                .collect::<Result<_>>()
                .map(Value::Array),
            Value::Object(object) => self.inline_object(object, namespace, seen, within),
            other => bail!("{other} is no type"),
        }
    }

    fn inline_object(
        &self,
        object: &Map<String, Value>,
        namespace: &str,
        seen: &mut BTreeSet<String>,
        within: &mut Vec<String>,
    ) -> Result<Value> {
        let kind = object.get("type").context("a type has no \"type\"")?;
        let mut inlined = object.clone();
        match kind.as_str() {
            Some("record" | "enum" | "fixed") => {
                let (full, namespace) = name_of(object, namespace)?;
                ensure!(
                    !within.contains(&full),
                    "{full} contains itself, which no reader could bound"
                );
                if !seen.insert(full.clone()) {
                    return Ok(Value::String(full));
                }
                inlined = Map::new();
                for (key, value) in object {
                    inlined.insert(key.clone(), value.clone());
                    if key == "name" {
                        inlined.insert("namespace".to_owned(), Value::String(namespace.clone()));
                    }
                }
                if let Some(Value::Array(fields)) = inlined.get_mut("fields") {
                    within.push(full);
                    for field in fields {
                        let kind = field.get_mut("type").context("a field has no \"type\"")?;
                        *kind = self.inline(kind, &namespace, seen, within)?;
                    }
                    within.pop();
                }
            }
            Some("array") => {
                let items = object.get("items").context("an array has no \"items\"")?;
                inlined["items"] = self.inline(items, namespace, seen, within)?;
            }
            Some("map") => {
                let values = object.get("values").context("a map has no \"values\"")?;
                inlined["values"] = self.inline(values, namespace, seen, within)?;
            }
            Some(name) if is_primitive(name) => {}
            _ => return self.inline(kind, namespace, seen, within),
        }
        Ok(Value::Object(inlined))
    }
}

/// Checks that what is released, registered and generated of a subject can be read back. Files that
/// can each be read may nest too deep together.
fn check_readable(full: &str, json: &Value) -> Result<()> {
    let unreadable = |problem: String| {
        let what =
            format!("{full}, with all types that it uses in one text, could not be read back");
        Stop::Invalid(format!("{what}: {problem}"))
    };
    let problems = avro::parse_one(&json.to_string()).err().unwrap_or_default();
    problems.first().map_or(Ok(()), |problem| Err(unreadable(problem.to_string()).into()))
}

/// Takes in one file. Returns the full name of its type, and the context and kind of its folder.
fn file(
    json: &Value,
    place: &[&str],
    types: &mut BTreeMap<String, Named>,
) -> Result<(String, String, String)> {
    let object = json.as_object().context("a file holds one named type")?;
    let (full, namespace) = name_of(object, "")?;
    let (name, folders) = place.split_last().context("a file has a name")?;
    let expected = format!("{}.avsc", full.rsplit('.').next().unwrap_or(&full));
    ensure!(*name == expected, "the file of {full} must be called {expected}");
    let [context, kinds @ ..] = folders else {
        bail!("files stand in the folder of their context")
    };
    let kind = kinds.join("/");
    let wanted = match (*context, kind.as_str()) {
        ("common", _) => "millrace".to_owned(),
        (context, "state" | "member") => format!("millrace.{context}.state"),
        (context, _) => format!("millrace.{context}"),
    };
    ensure!(namespace == wanted, "the namespace of {full} must be {wanted}");
    define(json, "", types)?;
    Ok((full, (*context).to_owned(), kind))
}

/// Takes in the named types that `json` defines, at any depth.
fn define(json: &Value, namespace: &str, types: &mut BTreeMap<String, Named>) -> Result<()> {
    match json {
        Value::Array(branches) => {
            branches.iter().try_for_each(|branch| define(branch, namespace, types))
        }
        Value::Object(object) => match object.get("type").and_then(Value::as_str) {
            Some("record" | "enum") => {
                let (full, namespace) = name_of(object, namespace)?;
                ensure!(doc(object).is_some(), "{full} has no doc");
                for field in object.get("fields").and_then(Value::as_array).into_iter().flatten() {
                    let name = field["name"].as_str().context("a field has no name")?;
                    ensure!(field["doc"].is_string(), "field {name} of {full} has no doc");
                    define(&field["type"], &namespace, types)?;
                }
                let named = Named { full: full.clone(), namespace, json: object.clone() };
                if let Some(other) = types.insert(full.clone(), named) {
                    ensure!(other.json == *object, "{full} is defined twice, differently");
                }
                Ok(())
            }
            Some("fixed") => bail!("fixed types are not in use: take bytes or a string"),
            Some("array") => define(&object["items"], namespace, types),
            Some("map") => define(&object["values"], namespace, types),
            _ => object.get("type").map_or(Ok(()), |kind| define(kind, namespace, types)),
        },
        _ => Ok(()),
    }
}

/// What a type says of its end, in words for people.
pub(crate) fn end(object: &Map<String, Value>) -> Option<String> {
    let Deprecated { since, successor } =
        Deprecated::deserialize(object.get("deprecated")?).ok()?;
    Some(format!("Deprecated since {since}; `{successor}` takes its place."))
}

/// The doc of a type or field.
pub(crate) fn doc(object: &Map<String, Value>) -> Option<&str> {
    object.get("doc").and_then(Value::as_str).filter(|doc| !doc.trim().is_empty())
}

/// Whether `name` is one of Avro's own types.
pub(crate) fn is_primitive(name: &str) -> bool {
    matches!(name, "null" | "boolean" | "int" | "long" | "float" | "double" | "bytes" | "string")
}

/// The full name that `name` means within `namespace`.
pub(crate) fn qualify(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}.{name}")
    }
}

/// Full name and namespace of a definition.
fn name_of(object: &Map<String, Value>, enclosing: &str) -> Result<(String, String)> {
    let name = object.get("name").and_then(Value::as_str).context("a named type has no name")?;
    let namespace = object.get("namespace").and_then(Value::as_str).unwrap_or(enclosing);
    let full = qualify(name, namespace);
    let namespace = full.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned();
    Ok((full, namespace))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Catalogue;

    /// The error of a catalogue in which `Old` says this of its end.
    fn error(end: &str) -> Option<String> {
        let dir = tempfile::tempdir().expect("a folder");
        let events = dir.path().join("avro/test/events");
        fs::create_dir_all(&events).expect("a folder");
        for (name, end) in [
            ("Old", end),
            ("New", ""),
            ("Gone", r#","deprecated":{"since":"2026-01-01","successor":"millrace.test.New"}"#),
        ] {
            let schema = format!(
                r#"{{"type":"record","name":"{name}","namespace":"millrace.test","doc":"D.","fields":[]{end}}}"#
            );
            fs::write(events.join(format!("{name}.avsc")), schema).expect("written");
        }
        Catalogue::read(dir.path()).err().map(|error| format!("{error:#}"))
    }

    #[test]
    fn a_deprecated_record_names_a_day_and_a_record_that_takes_its_place() {
        let end = |since: &str, successor: &str| {
            format!(
                r#","deprecated":{{"since":"{since}","successor":"millrace.test.{successor}"}}"#
            )
        };
        assert_eq!(error(&end("2026-11-25", "New")), None);
        for (end, expected) in [
            (end("soon", "New"), "YYYY-MM-DD"),
            (end("2026-11-25", "None"), "its successor millrace.test.None is no record"),
            (end("2026-11-25", "Gone"), "its successor millrace.test.Gone is deprecated itself"),
            (r#","deprecated":true"#.to_owned(), "YYYY-MM-DD"),
            (r#","deprecated":{"since":"2026-11-25"}"#.to_owned(), "missing field `successor`"),
        ] {
            let error = error(&end).expect(&end);
            assert!(error.contains(expected), "{error}");
        }
    }
}

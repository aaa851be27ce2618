//! The page of one topic: its settings, and a section for each record and type that it carries.

use std::{collections::BTreeSet, fmt::Write as _};

use anyhow::{Context as _, Result};
use redpanda::topics::{Keep, Topic, Topics};
use schemas::avro::{Enum, Kind, Record, Schemas, TypeId};

use crate::catalogue::{Catalogue, Named, deprecation, is_personal};

/// Renders the page.
pub(super) fn page(catalogue: &Catalogue, topics: &Topics, topic: &Topic) -> Result<String> {
    let mut out = format!("# {}\n\n{}\n\n| | |\n| --- | --- |\n", topic.name, topic.doc);
    writeln!(out, "| owner | {} |", topic.owner)?;
    let source = topics.source(topic);
    let key = source.map_or(&topic.key, |source| &source.key);
    if !key.is_empty() {
        writeln!(out, "| key | {} |", cell(key))?;
    }
    writeln!(out, "| kept | {} |", kept(topic))?;
    writeln!(out, "| partitions | {}, never another count |", topic.partitions)?;
    writeln!(out, "| largest record | {} bytes |", topic.bytes_max)?;
    match source {
        Some(source) => writeln!(out, "| records | {} |", cell(&dead_letters(source)))?,
        None => out.push_str(
            "| values | Avro in the Confluent wire format; the subject is the record's full name |\n",
        ),
    }
    let mut sections = Sections { catalogue, shown: BTreeSet::new(), used: Vec::new() };
    let mut records = String::new();
    for name in &topic.records {
        sections.shown.insert(name.clone());
        sections.section(name, &mut records)?;
    }
    let mut types = String::new();
    while let Some(name) = sections.used.pop() {
        if sections.shown.insert(name.clone()) {
            sections.section(&name, &mut types)?;
        }
    }
    let personal = sections.personal();
    if !personal.is_empty() {
        writeln!(out, "| personal data | {} |", personal.join(", "))?;
    }
    out.push_str(&records);
    out.push_str(&types);
    Ok(out)
}

/// What the dead letters of a topic are, for people.
pub(super) fn dead_letters(source: &Topic) -> String {
    let copy = if source.secret {
        "The key and the headers are copied. The value is left out, because it may hold a secret."
    } else {
        "Key, value and headers are copied unchanged, so a value may be anything, and not only Avro."
    };
    format!(
        "Copies of records of `{}` that could not be processed. {copy} The headers `dead_topic`, \
         `dead_partition` and `dead_offset` name the record that was copied, and `dead_error` says \
         why it could not be processed. A copy that would be too large has only the key and these \
         headers, and a header `dead_omitted`.",
        source.name
    )
}

/// For how long a topic keeps its records, in words.
pub(super) fn kept(topic: &Topic) -> String {
    match topic.keep {
        Keep::Forever => "for ever".to_owned(),
        Keep::Days(1) => "1 day".to_owned(),
        Keep::Days(days) => format!("{days} days"),
        Keep::Compacted => "the last of each key, for ever".to_owned(),
    }
}

/// Text in a cell of a table.
pub(super) fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// The sections of a page.
struct Sections<'a> {
    catalogue: &'a Catalogue,
    /// The types that have a section.
    shown: BTreeSet<String>,
    /// The types that need one.
    used: Vec<String>,
}

impl Sections<'_> {
    /// Writes the section of a record or an enum, and notes the types that it uses.
    fn section(&mut self, name: &str, out: &mut String) -> Result<()> {
        let named = self.catalogue.named(name);
        let Named { name, definition } =
            named.with_context(|| format!("there is no type {name}"))?;
        let doc = definition.kind.doc().unwrap_or_default();
        writeln!(out, "\n## {name}\n\n{doc}\n")?;
        if let Some(mark) = deprecation(definition) {
            writeln!(out, "**{mark}**\n")?;
        }
        match &definition.kind {
            Kind::Enum(one) => enumeration(one, out),
            Kind::Record(record) => self.record(record, out),
            _ => Ok(()),
        }
    }

    fn record(&mut self, record: &Record, out: &mut String) -> Result<()> {
        if record.fields.is_empty() {
            out.push_str("It has no fields.\n");
            return Ok(());
        }
        out.push_str("| field | type | default | what |\n| --- | --- | --- | --- |\n");
        for field in &record.fields {
            let kind = self.words(field.kind.id);
            let default = field.default.as_ref().map(|default| format!("`{}`", default.json));
            let default = default.unwrap_or_default();
            let pii = if is_personal(field) { " **Personal data.**" } else { "" };
            let what = cell(field.doc.as_deref().unwrap_or_default());
            writeln!(out, "| `{}` | {kind} | {default} | {what}{pii} |", field.name)?;
        }
        Ok(())
    }

    /// A type in words, with links to the types that have a section of their own.
    fn words(&mut self, id: TypeId) -> String {
        let schemas: &Schemas = self.catalogue.schemas();
        let one = schemas.get(id);
        match &one.kind {
            Kind::Array(items) => format!("array of {}", self.words(items.id)),
            Kind::Map(values) => format!("map of {}", self.words(values.id)),
            Kind::Union(branches) => {
                let mut branches: Vec<_> =
                    branches.iter().map(|branch| self.words(branch.id)).collect();
                // An optional value is described by its type first.
                branches.sort_by_key(|branch| branch == "null");
                branches.join(" or ")
            }
            kind => match (kind.name(), one.logical) {
                (Some(name), _) => {
                    let full = name.full().to_owned();
                    let anchor: String =
                        full.to_lowercase().chars().filter(|c| *c != '.').collect();
                    self.used.push(full);
                    format!("[{}](#{anchor})", name.simple())
                }
                (None, Some(logical)) => format!("{logical} ({})", kind.word()),
                (None, None) => kind.word().to_owned(),
            },
        }
    }

    /// The fields with personal data, of all types that have a section.
    fn personal(&self) -> Vec<String> {
        let mut personal = Vec::new();
        for named in self.shown.iter().filter_map(|name| self.catalogue.named(name)) {
            let Kind::Record(record) = &named.definition.kind else { continue };
            let marked = record.fields.iter().filter(|field| is_personal(field));
            personal
                .extend(marked.map(|field| format!("`{}.{}`", named.name.simple(), field.name)));
        }
        personal
    }
}

fn enumeration(one: &Enum, out: &mut String) -> Result<()> {
    let symbols: Vec<_> = one.symbols.iter().map(|(symbol, _)| format!("`{symbol}`")).collect();
    write!(out, "One of {}.", symbols.join(", "))?;
    if let Some(default) = &one.default {
        write!(out, " Programs that do not know a symbol read it as `{default}`.")?;
    }
    out.push('\n');
    Ok(())
}

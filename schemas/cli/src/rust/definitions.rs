//! Generates the definition of one record or enum.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail, ensure};
use schemas::avro::{Enum, Field, Kind, Record, Type};

use super::paths::path;
use crate::{
    catalogue::{Catalogue, Named, deprecation, is_personal},
    names,
};

/// The width of a line.
const COLUMNS: usize = 100;

/// Writes the definition of a named type, with an empty line before it.
pub(super) fn define(
    catalogue: &Catalogue,
    named: Named<'_>,
    indent: &str,
    out: &mut String,
) -> Result<()> {
    let context = || format!("generating {}", named.name);
    let Named { name, definition } = named;
    names::type_name(name.full()).with_context(context)?;
    out.push('\n');
    docs(definition.kind.doc().unwrap_or_default(), indent, out);
    if let Some(mark) = deprecation(definition) {
        writeln!(out, "{indent}///")?;
        docs(&mark, indent, out);
    }
    match &definition.kind {
        Kind::Record(one) => record(catalogue, one, indent, out).with_context(context),
        Kind::Enum(one) => enumeration(one, indent, out).with_context(context),
        kind => bail!("{name}: a {} is not generated", kind.word()),
    }
}

fn record(catalogue: &Catalogue, record: &Record, indent: &str, out: &mut String) -> Result<()> {
    let name = record.name.simple();
    writeln!(out, "{indent}#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]")?;
    if record.fields.is_empty() {
        writeln!(out, "{indent}pub struct {name} {{}}")?;
    } else {
        writeln!(out, "{indent}pub struct {name} {{")?;
        for one in &record.fields {
            field(catalogue, record, one, indent, out)?;
        }
        writeln!(out, "{indent}}}")?;
    }
    if catalogue.is_subject(record.name.full()) {
        writeln!(out, "\n{indent}record!({name}, \"{}\");", record.name)?;
    }
    Ok(())
}

fn field(
    catalogue: &Catalogue,
    record: &Record,
    field: &Field,
    indent: &str,
    out: &mut String,
) -> Result<()> {
    let name = &field.name;
    ensure!(
        name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'),
        "field {name} is not in snake_case"
    );
    let definition = catalogue.schemas().get(field.kind.id);
    let kind = rust_type(catalogue, definition, record.name.namespace());
    let kind = kind.with_context(|| format!("field {name}"))?;
    let mut about = field.doc.clone().unwrap_or_default();
    if is_personal(field) {
        about.push_str(" (Personal data.)");
    }
    docs(&about, &format!("{indent}    "), out);
    match kind.as_str() {
        "Vec<u8>" => writeln!(out, "{indent}    #[serde(with = \"apache_avro::serde::bytes\")]")?,
        "Option<Vec<u8>>" => {
            writeln!(out, "{indent}    #[serde(with = \"apache_avro::serde::bytes_opt\")]")?
        }
        nested if nested.contains("Vec<u8>") => {
            bail!("bytes stand in a field, or as [null, bytes], only")
        }
        _ => {}
    }
    let written = names::field(name)?;
    // rustfmt puts a type that does not fit on a line of its own.
    let line = format!("{indent}    pub {written}: {kind},");
    match line.len() > COLUMNS {
        true => writeln!(out, "{indent}    pub {written}:\n{indent}        {kind},")?,
        false => writeln!(out, "{line}")?,
    }
    Ok(())
}

/// The Rust type of an Avro type, as code of `namespace` names it.
fn rust_type(catalogue: &Catalogue, one: &Type, namespace: &str) -> Result<String> {
    let inner = |id| rust_type(catalogue, catalogue.schemas().get(id), namespace);
    match &one.kind {
        Kind::Array(items) => Ok(format!("Vec<{}>", inner(items.id)?)),
        Kind::Map(values) => {
            Ok(format!("std::collections::HashMap<String, {}>", inner(values.id)?))
        }
        Kind::Union(branches) => match branches.as_slice() {
            [first, other] if is_null(catalogue.schemas().get(first.id)) => {
                Ok(format!("Option<{}>", inner(other.id)?))
            }
            _ => bail!("the only unions are [null, T], with null first: it is the default"),
        },
        kind => match kind.name() {
            Some(name) => path(name.full(), namespace),
            None => primitive(one),
        },
    }
}

fn is_null(one: &Type) -> bool {
    matches!(one.kind, Kind::Null)
}

fn primitive(one: &Type) -> Result<String> {
    if let Some((_, why)) = &one.ignored_logical {
        bail!("{why}");
    }
    let logical = one.logical.map(|logical| logical.to_string());
    Ok(match (one.kind.word(), logical.as_deref()) {
        ("string", Some("uuid")) => "Uuid",
        ("long", Some("timestamp-millis") | None) => "i64",
        ("boolean", None) => "bool",
        ("int", None) => "i32",
        ("bytes", None) => "Vec<u8>",
        ("string", None) => "String",
        (name @ ("float" | "double"), _) => {
            bail!("{name} is not in use: it can't be compared, and never holds money")
        }
        (name, Some(logical)) => bail!("{logical} on {name} is not in use"),
        (name, None) => bail!("{name} stands in a union only"),
    }
    .to_owned())
}

fn enumeration(one: &Enum, indent: &str, out: &mut String) -> Result<()> {
    let name = one.name.simple();
    let symbols: Vec<&str> = one.symbols.iter().map(|(symbol, _)| symbol.as_str()).collect();
    if let Some((symbol, other)) = names::same_variants(&symbols).first() {
        bail!("symbols {other} and {symbol} would be one variant");
    }
    let variants = symbols.iter().map(|symbol| names::variant(symbol));
    let variants = variants.collect::<Result<Vec<_>, _>>()?;
    writeln!(
        out,
        "{indent}#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]"
    )?;
    writeln!(out, "{indent}pub enum {name} {{")?;
    for (symbol, variant) in symbols.iter().zip(&variants) {
        ensure!(
            symbol.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'),
            "symbol {symbol} is not in SCREAMING_SNAKE_CASE"
        );
        writeln!(out, "{indent}    /// `{symbol}`.")?;
        writeln!(out, "{indent}    #[serde(rename = \"{symbol}\")]")?;
        writeln!(out, "{indent}    {variant},")?;
    }
    writeln!(out, "{indent}}}\n\n{indent}impl {name} {{")?;
    writeln!(out, "{indent}    /// The symbol in the schema.")?;
    writeln!(out, "{indent}    pub const fn as_str(self) -> &'static str {{")?;
    writeln!(out, "{indent}        match self {{")?;
    for (symbol, variant) in symbols.iter().zip(&variants) {
        writeln!(out, "{indent}            Self::{variant} => \"{symbol}\",")?;
    }
    writeln!(out, "{indent}        }}\n{indent}    }}\n{indent}}}")?;
    Ok(())
}

/// Writes `text` as lines of docs that fit the width.
fn docs(text: &str, indent: &str, out: &mut String) {
    // rustc refuses a comment with a character that changes the direction of the text.
    let is_direction = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let text = text.replace(is_direction, "\u{fffd}");
    for paragraph in text.lines() {
        let mut line = format!("{indent}///");
        for word in paragraph.split_whitespace() {
            if line.len() + 1 + word.len() > COLUMNS && line.len() > indent.len() + 3 {
                out.push_str(&line);
                out.push('\n');
                line = format!("{indent}///");
            }
            line.push(' ');
            line.push_str(word);
        }
        out.push_str(&line);
        out.push('\n');
    }
}

//! Whether what one schema wrote can be read with another, by the rules of Avro's schema resolution.
//!
//! All problems are reported, each with its path. Nothing here reads files or asks a registry; it judges schemas, not
//! values, so that what depends on a value (a long that happens to fit an int) is a problem.

use std::{collections::HashMap, fmt};

use apache_avro::{
    Schema,
    schema::{EnumSchema, Name, RecordField, RecordSchema, ResolvedSchema},
};

/// A place where what was written can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: names of fields with dots between, `[]` for the items of an array, `{}` for the values of a map, `|long` for
    /// a branch of a union; empty for the record itself.
    pub path: String,
    /// What is in the way.
    pub why: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.why),
            path => write!(f, "{path}: {}", self.why),
        }
    }
}

/// A text that is no Avro schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an Avro schema: {0}")]
pub struct Invalid(String);

/// Why a schema can't stand beside one that was released before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Break {
    /// Old records would be lost.
    #[error("what version {version} wrote can't be read any more: {problem}")]
    Backward {
        /// The released version.
        version: u32,
        /// What is in the way.
        problem: Problem,
    },
    /// Programs that are still running would fail on new records.
    #[error("programs that know version {version} can't read what is written now: {problem}")]
    Forward {
        /// The released version.
        version: u32,
        /// What is in the way.
        problem: Problem,
    },
}

/// What keeps `reader` from reading what `writer` wrote; nothing, if it can.
pub fn problems(writer: &str, reader: &str) -> Result<Vec<Problem>, Invalid> {
    let parse = |json| Schema::parse_str(json).map_err(|error| Invalid(error.to_string()));
    let (writer, reader) = (parse(writer)?, parse(reader)?);
    let resolve = |schema| {
        ResolvedSchema::try_from(schema).map_err(|error: apache_avro::Error| Invalid(error.to_string()))
    };
    let (written, read) = (resolve(&writer)?, resolve(&reader)?);
    let mut comparison = Comparison {
        writer: written.get_names(),
        reader: read.get_names(),
        under_way: Vec::new(),
        problems: Vec::new(),
    };
    comparison.compare(&writer, &reader, &Path::default());
    Ok(comparison.problems)
}

/// What keeps `working` from standing beside every released version, oldest first, in both directions
/// (`FULL_TRANSITIVE`).
pub fn breaks<'a>(
    working: &str,
    released: impl IntoIterator<Item = (u32, &'a str)>,
) -> Result<Vec<Break>, Invalid> {
    let mut breaks = Vec::new();
    for (version, json) in released {
        let backward = problems(json, working)?.into_iter();
        breaks.extend(backward.map(|problem| Break::Backward { version, problem }));
        let forward = problems(working, json)?.into_iter();
        breaks.extend(forward.map(|problem| Break::Forward { version, problem }));
    }
    Ok(breaks)
}

#[derive(Clone, Default)]
struct Path(String);

impl Path {
    fn field(&self, name: &str) -> Self {
        Self(if self.0.is_empty() { name.to_owned() } else { format!("{}.{name}", self.0) })
    }

    fn then(&self, part: &str) -> Self {
        Self(format!("{}{part}", self.0))
    }
}

struct Comparison<'a> {
    writer: &'a HashMap<Name, &'a Schema>,
    reader: &'a HashMap<Name, &'a Schema>,
    /// Pairs of records that are being compared, so that a record in itself ends.
    under_way: Vec<(&'a Name, &'a Name)>,
    problems: Vec<Problem>,
}

impl<'a> Comparison<'a> {
    fn problem(&mut self, path: &Path, why: impl Into<String>) {
        self.problems.push(Problem { path: path.0.clone(), why: why.into() });
    }

    fn compare(&mut self, writer: &'a Schema, reader: &'a Schema, path: &Path) {
        let (writer, reader) = (found(self.writer, writer), found(self.reader, reader));
        match (writer, reader) {
            (Schema::Union(written), _) => {
                for branch in written.variants() {
                    // A union of null and one type is an optional value: its path needs no branch.
                    let branch_path = match written.variants() {
                        [_, _] if written.is_nullable() => path.clone(),
                        _ => path.then(&format!("|{}", kind(found(self.writer, branch)))),
                    };
                    self.compare(branch, reader, &branch_path);
                }
            }
            (_, Schema::Union(read)) => self.compare_with_branches(writer, read.variants(), path),
            (Schema::Record(written), Schema::Record(read)) => self.compare_records(written, read, path),
            (Schema::Enum(written), Schema::Enum(read)) => self.compare_enums(written, read, path),
            (Schema::Array(written), Schema::Array(read)) => {
                self.compare(&written.items, &read.items, &path.then("[]"));
            }
            (Schema::Map(written), Schema::Map(read)) => {
                self.compare(&written.types, &read.types, &path.then("{}"));
            }
            (Schema::Fixed(written), Schema::Fixed(read)) => {
                self.compare_names(&written.name, &read.name, read.aliases.as_deref(), path);
                if written.size != read.size {
                    self.problem(path, format!("{} bytes are written, {} read", written.size, read.size));
                }
            }
            _ if is_promoted(writer, reader) => {}
            _ => self.problem(path, format!("{} can't be read as {}", kind(writer), kind(reader))),
        }
    }

    /// A reader's union takes what one of its branches takes.
    fn compare_with_branches(&mut self, writer: &'a Schema, branches: &'a [Schema], path: &Path) {
        let same_kind = |branch: &&Schema| kind(found(self.reader, branch)) == kind(writer);
        if let Some(branch) = branches.iter().find(same_kind) {
            return self.compare(writer, branch, path);
        }
        let before = self.problems.len();
        for branch in branches {
            self.compare(writer, branch, path);
            if self.problems.len() == before {
                return;
            }
            self.problems.truncate(before);
        }
        let kinds: Vec<_> = branches.iter().map(|branch| kind(found(self.reader, branch))).collect();
        self.problem(path, format!("{} is none of {}", kind(writer), kinds.join(", ")));
    }

    fn compare_records(&mut self, writer: &'a RecordSchema, reader: &'a RecordSchema, path: &Path) {
        if self.under_way.contains(&(&writer.name, &reader.name)) {
            return;
        }
        self.compare_names(&writer.name, &reader.name, reader.aliases.as_deref(), path);
        self.under_way.push((&writer.name, &reader.name));
        for field in &reader.fields {
            let place = path.field(&field.name);
            match writer.fields.iter().find(|written| is_field(field, &written.name)) {
                Some(written) => self.compare(&written.schema, &field.schema, &place),
                None if field.default.is_some() => {}
                None => self.problem(&place, "it is not written, and has no default to be read as"),
            }
        }
        self.under_way.pop();
    }

    fn compare_enums(&mut self, writer: &EnumSchema, reader: &EnumSchema, path: &Path) {
        self.compare_names(&writer.name, &reader.name, reader.aliases.as_deref(), path);
        if reader.default.is_some() {
            return;
        }
        for symbol in writer.symbols.iter().filter(|symbol| !reader.symbols.contains(symbol)) {
            self.problem(
                path,
                format!("symbol {symbol} is not known, and there is no default to read it as"),
            );
        }
    }

    fn compare_names(
        &mut self,
        writer: &Name,
        reader: &Name,
        aliases: Option<&[apache_avro::schema::Alias]>,
        path: &Path,
    ) {
        let renamed = |alias: &apache_avro::schema::Alias| {
            alias.fully_qualified_name(reader.namespace()).to_string() == writer.to_string()
        };
        if writer != reader && !aliases.into_iter().flatten().any(renamed) {
            self.problem(path, format!("{writer} can't be read as {reader}"));
        }
    }
}

fn found<'a>(names: &HashMap<Name, &'a Schema>, schema: &'a Schema) -> &'a Schema {
    match schema {
        Schema::Ref { name } => names.get(name).copied().unwrap_or(schema),
        _ => schema,
    }
}

fn is_field(reader: &RecordField, written: &str) -> bool {
    reader.name == written || reader.aliases.iter().any(|alias| alias == written)
}

/// Whether a value of `writer` is always one of `reader` too. Logical types are part of what a value means: they are
/// never changed.
fn is_promoted(writer: &Schema, reader: &Schema) -> bool {
    let (from, to) = (kind(writer), kind(reader));
    from == to
        || match to.as_str() {
            "long" => from == "int",
            "float" => matches!(from.as_str(), "int" | "long"),
            "double" => matches!(from.as_str(), "int" | "long" | "float"),
            "bytes" => from == "string",
            // Bytes may be no UTF-8, so that only a look at the values could say.
            _ => false,
        }
}

/// The type's name for people, logical types apart from the types below them.
fn kind(schema: &Schema) -> String {
    match schema {
        Schema::Null => "null".to_owned(),
        Schema::Boolean => "boolean".to_owned(),
        Schema::Int => "int".to_owned(),
        Schema::Long => "long".to_owned(),
        Schema::Float => "float".to_owned(),
        Schema::Double => "double".to_owned(),
        Schema::Bytes => "bytes".to_owned(),
        Schema::String => "string".to_owned(),
        Schema::Array(_) => "array".to_owned(),
        Schema::Map(_) => "map".to_owned(),
        Schema::Union(_) => "union".to_owned(),
        Schema::Record(record) => record.name.to_string(),
        Schema::Enum(symbols) => symbols.name.to_string(),
        Schema::Fixed(fixed) => fixed.name.to_string(),
        Schema::Ref { name } => name.to_string(),
        Schema::Decimal(decimal) => format!("decimal({}, {})", decimal.precision, decimal.scale),
        Schema::Uuid(inner) => format!("uuid ({inner:?})").to_lowercase(),
        logical => format!("{logical:?}").to_lowercase(),
    }
}

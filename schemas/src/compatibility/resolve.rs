//! Avro's schema resolution, applied to schemas: for all values at once.

use std::collections::HashSet;

use super::{
    kind::{Kind, Severity},
    problem::Problem,
    words::{example, symbols},
};
use crate::avro::{Field, Kind as Type, Name, Root, Schemas, Span, TypeId, Use};

/// Every place where a record of `writer` may not be readable with `reader`.
pub(super) fn problems(writer: Root<'_>, reader: Root<'_>) -> Vec<Problem> {
    let mut comparison = Comparison {
        writer: writer.schemas,
        reader: reader.schemas,
        under_way: Vec::new(),
        clean: HashSet::new(),
        unbroken: HashSet::new(),
        breaks: 0,
        problems: Vec::new(),
    };
    comparison.compare(writer.at, reader.at, "");
    comparison.problems
}

/// How many problems are enough: a wrong type that is used everywhere is reported at each use. Once
/// there are as many breaks, the comparison ends. Once there are as many problems of any kind, a
/// pair of records is still compared once, because it may have the only break.
const PROBLEMS_MAX: usize = 1000;

struct Comparison<'a> {
    writer: &'a Schemas,
    reader: &'a Schemas,
    /// Pairs of records that are being compared, so that the walk of a record in itself ends.
    under_way: Vec<(TypeId, TypeId)>,
    /// Pairs of records without problems.
    clean: HashSet<(TypeId, TypeId)>,
    /// Pairs of records without breaks.
    unbroken: HashSet<(TypeId, TypeId)>,
    /// The number of breaks among the problems.
    breaks: usize,
    problems: Vec<Problem>,
}

impl<'a> Comparison<'a> {
    fn problem(&mut self, kind: Kind, path: &str, writer: Use, reader: Use) -> &mut Problem {
        self.push(Problem {
            kind,
            path: path.to_owned(),
            written: Some(self.writer.describe(writer.id)),
            read: self.reader.describe(reader.id),
            written_at: Some(writer.span),
            read_at: Some(reader.span),
            detail: String::new(),
        })
    }

    fn push(&mut self, problem: Problem) -> &mut Problem {
        self.breaks += usize::from(problem.kind.severity() == Severity::Break);
        self.problems.push(problem);
        self.problems.last_mut().expect("one was pushed")
    }

    fn compare(&mut self, writer: Use, reader: Use, path: &str) {
        let (written, read) = (self.writer.get(writer.id), self.reader.get(reader.id));
        match (&written.kind, &read.kind) {
            (Type::Union(branches), _) => {
                let is_optional = is_optional(self.writer, branches);
                for &branch in branches {
                    let kind = &self.writer.get(branch.id).kind;
                    if is_optional {
                        self.compare_branch(branch, reader, path);
                    } else {
                        let word = kind.name().map_or(kind.word(), Name::full);
                        self.compare_branch(branch, reader, &format!("{path}|{word}"));
                    }
                }
                return;
            }
            (_, Type::Union(_)) => return self.compare_branch(writer, reader, path),
            (Type::Array(items), Type::Array(wanted)) => {
                self.compare(*items, *wanted, &format!("{path}[]"))
            }
            (Type::Map(values), Type::Map(wanted)) => {
                self.compare(*values, *wanted, &format!("{path}{{}}"))
            }
            (Type::Record(_), Type::Record(_)) => self.compare_records(writer, reader, path),
            (Type::Enum(_), Type::Enum(_)) => self.compare_enums(writer, reader, path),
            (Type::Fixed(written), Type::Fixed(read)) => {
                let sizes = (written.size, read.size);
                self.compare_names(writer, reader, path);
                if sizes.0 != sizes.1 {
                    self.problem(Kind::SizeChanged, path, writer, reader);
                }
            }
            (from, to) if from.word() == to.word() => {}
            (from, to) if is_promoted(from, to) => match (from, to) {
                (Type::Bytes, _) => {
                    self.problem(Kind::BytesAsText, path, writer, reader);
                }
                (Type::Int, Type::Float) | (Type::Long, Type::Float | Type::Double) => {
                    self.problem(Kind::Rounded, path, writer, reader);
                }
                _ => {}
            },
            _ => {
                self.problem(Kind::TypeChanged, path, writer, reader);
                return;
            }
        }
        if written.logical != read.logical {
            self.problem(Kind::LogicalTypeChanged, path, writer, reader);
        }
    }

    /// Compares a type that is no union, or a branch of one, with a reader's type. A reader's union
    /// takes the first branch that matches: the same full name before the same name, and a type of
    /// the same kind before one that it is promoted to.
    fn compare_branch(&mut self, writer: Use, reader: Use, path: &str) {
        let Type::Union(branches) = &self.reader.get(reader.id).kind else {
            let before = self.problems.len();
            self.compare(writer, reader, path);
            // A type that does not fit at all is a branch that is not read.
            if let [only] = &mut self.problems[before..]
                && only.kind == Kind::TypeChanged
                && only.written_at == Some(writer.span)
            {
                only.kind = Kind::BranchUnknown;
            }
            return;
        };
        let written = &self.writer.get(writer.id).kind;
        let kind = |branch: &Use| &self.reader.get(branch.id).kind;
        let same = |branch: &&Use| kind(branch).word() == written.word();
        let full = |branch: &&Use| match (written.name(), kind(branch).name()) {
            (Some(name), Some(read)) => name == read || is_alias(kind(branch), name),
            _ => true,
        };
        let simple = |branch: &&Use| match (written.name(), kind(branch).name()) {
            (Some(name), Some(read)) => name.simple() == read.simple(),
            _ => true,
        };
        let chosen = branches
            .iter()
            .find(|branch| same(branch) && full(branch))
            .or_else(|| branches.iter().find(|branch| same(branch) && simple(branch)))
            .or_else(|| branches.iter().find(|branch| is_promoted(written, kind(branch))));
        match chosen {
            Some(&branch) => self.compare(writer, branch, path),
            None => {
                let described: Vec<_> =
                    branches.iter().map(|branch| self.reader.describe(branch.id)).collect();
                self.problem(Kind::BranchUnknown, path, writer, reader).read =
                    if described.is_empty() {
                        "nothing".to_owned()
                    } else {
                        format!("any of {}", described.join(", "))
                    };
            }
        }
    }

    fn compare_records(&mut self, writer: Use, reader: Use, path: &str) {
        let pair = (writer.id, reader.id);
        let is_known = self.clean.contains(&pair)
            || self.problems.len() >= PROBLEMS_MAX && self.unbroken.contains(&pair);
        if self.breaks >= PROBLEMS_MAX || is_known || self.under_way.contains(&pair) {
            return;
        }
        let (Type::Record(written), Type::Record(read)) =
            (&self.writer.get(writer.id).kind, &self.reader.get(reader.id).kind)
        else {
            return;
        };
        let (before, breaks_before) = (self.problems.len(), self.breaks);
        self.compare_names(writer, reader, path);
        self.under_way.push(pair);
        for field in &read.fields {
            let path =
                if path.is_empty() { field.name.clone() } else { format!("{path}.{}", field.name) };
            let by_name = written.fields.iter().find(|one| one.name == field.name);
            let by_alias = || {
                let mut aliases = field.aliases.iter();
                aliases.find_map(|(alias, _)| written.fields.iter().find(|one| one.name == *alias))
            };
            match by_name.or_else(by_alias) {
                Some(one) => {
                    if one.name != field.name {
                        let problem = self.problem(Kind::ReadByAlias, &path, one.kind, field.kind);
                        problem.written = Some(format!("field {}", one.name));
                        problem.read = format!("field {}", field.name);
                        problem.written_at = Some(one.name_span);
                        problem.read_at = Some(field.name_span);
                    }
                    self.compare(one.kind, field.kind, &path);
                }
                None => self.compare_missing(field, written.name_span, &path),
            }
        }
        self.under_way.pop();
        if self.problems.len() == before {
            self.clean.insert(pair);
        } else if self.breaks == breaks_before {
            self.unbroken.insert(pair);
        }
    }

    fn compare_missing(&mut self, field: &Field, record: Span, path: &str) {
        let is_null = matches!(self.reader.get(field.kind.id).kind, Type::Null);
        let kind = match &field.default {
            None => Kind::FieldWithoutDefault,
            Some(_) if is_null => Kind::NullFieldAdded,
            Some(_) => return,
        };
        self.push(Problem {
            kind,
            path: path.to_owned(),
            written: None,
            read: self.reader.describe(field.kind.id),
            written_at: Some(record),
            read_at: Some(field.name_span),
            detail: example(self.reader, field.kind.id),
        });
    }

    fn compare_enums(&mut self, writer: Use, reader: Use, path: &str) {
        self.compare_names(writer, reader, path);
        let (Type::Enum(written), Type::Enum(read)) =
            (&self.writer.get(writer.id).kind, &self.reader.get(reader.id).kind)
        else {
            return;
        };
        if read.default.is_some() {
            return;
        }
        let known: HashSet<&str> = read.symbols.iter().map(|(symbol, _)| symbol.as_str()).collect();
        for (symbol, at) in &written.symbols {
            if self.breaks >= PROBLEMS_MAX {
                return;
            }
            if !known.contains(symbol.as_str()) {
                let problem = self.problem(Kind::SymbolUnknown, path, writer, reader);
                problem.detail = symbol.clone();
                (problem.written, problem.read) = (Some(symbols(written)), symbols(read));
                problem.written_at = Some(*at);
            }
        }
    }

    fn compare_names(&mut self, writer: Use, reader: Use, path: &str) {
        let (written, read) = (&self.writer.get(writer.id).kind, &self.reader.get(reader.id).kind);
        let (Some(from), Some(to)) = (written.name(), read.name()) else { return };
        let kind = if from == to {
            return;
        } else if is_alias(read, from) {
            Kind::ReadByAlias
        } else if from.simple() == to.simple() {
            Kind::NamespaceChanged
        } else {
            Kind::NameChanged
        };
        let at = (written.name_span(), read.name_span());
        let problem = self.problem(kind, path, writer, reader);
        (problem.written_at, problem.read_at) = at;
    }
}

fn is_alias(read: &Type, written: &Name) -> bool {
    read.aliases().iter().any(|(alias, _)| alias == written)
}

fn is_optional(schemas: &Schemas, branches: &[Use]) -> bool {
    branches.len() == 2
        && branches.iter().any(|branch| matches!(schemas.get(branch.id).kind, Type::Null))
}

/// Whether the specification allows to read values of one type as another.
fn is_promoted(from: &Type, to: &Type) -> bool {
    matches!(
        (from, to),
        (Type::Int, Type::Long | Type::Float | Type::Double)
            | (Type::Long, Type::Float | Type::Double)
            | (Type::Float, Type::Double)
            | (Type::String, Type::Bytes)
            | (Type::Bytes, Type::String)
    )
}

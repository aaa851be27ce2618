//! `schemas diff`: what has changed, in words and by JSON path, and what of it breaks.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use anyhow::Result;
use clap::Args;
use schemas::{
    avro::{Field, Kind, Name, Root, Schemas, Span, Type, TypeId, Use, json_path},
    compatibility::{self, Break, Level},
};
use serde_json::Value;

use crate::{
    check::{self, is_allowed},
    config::Config,
    files::{File, Side},
    report::{Finding, Format, Outcome, Place, Report, Weight, count},
    source::Against,
    stop::Stop,
    texts::Texts,
};

/// What to compare.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// Two files, the older one first; without them, every schema is compared with its latest release.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    against: Against,
    /// Compares the schemas that are staged for the next commit, and not those of the working tree.
    #[arg(long, conflicts_with = "files")]
    staged: bool,
}

impl Diff {
    pub(crate) fn run(&self, folder: impl FnOnce() -> Result<PathBuf>, format: Format) -> Result<Outcome> {
        let report = match self.files.as_slice() {
            [] => self.all(&folder()?)?,
            [old, new] if !self.against.is_named() => two(old, new)?,
            _ => {
                let why =
                    "diff compares two files with each other, or, without files, all with what is named";
                return Err(Stop::Usage(why.to_owned()).into());
            }
        };
        let is_changed = !report.findings.is_empty();
        let outcome = if format == Format::Text { text(&report) } else { report.tell(format) };
        Ok(if outcome == Outcome::Fine && is_changed { Outcome::Pending } else { outcome })
    }

    fn all(&self, folder: &Path) -> Result<Report> {
        let side = Side::of(folder, self.staged)?;
        let texts = Texts::read(&side)?;
        let baseline = self.against.read(folder, &side, &texts)?;
        let config = Config::read(&side)?;
        let mut report =
            Report { command: "diff", checked: Vec::new(), findings: Vec::new(), summary: String::new() };
        let mut invalid: Vec<_> = texts.problems.iter().map(|one| Finding::invalid(&texts, one)).collect();
        invalid.extend(baseline.invalid().map(|(texts, one)| Finding::invalid(texts, one)));
        for (subject, root) in texts.subjects() {
            match baseline.of(subject).last() {
                Some((release, old, before)) => {
                    report.checked.push(subject.to_owned());
                    let sides = Sides {
                        subject,
                        release,
                        level: config.level(subject),
                        config: &config,
                        old,
                        new: &texts,
                    };
                    report.findings.extend(sides.changes(*before, root));
                }
                None => {
                    report.checked.push(subject.to_owned());
                    report.findings.push(Finding {
                        id: "schema-added",
                        weight: Weight::Note,
                        subject: subject.to_owned(),
                        path: String::new(),
                        message: "this schema is new".to_owned(),
                        place: Some(Place::new(&texts, root.at.span, "")),
                        other: None,
                        notes: Vec::new(),
                    });
                }
            }
        }
        report.findings.extend(check::removed(&texts, &baseline, &config));
        if !invalid.is_empty() {
            report.findings = invalid;
        }
        summarize(&mut report);
        Ok(report)
    }
}

fn two(old: &Path, new: &Path) -> Result<Report> {
    let read = |path| File::read(path).map_err(|error| Stop::Usage(format!("{error:#}")));
    let (old, new) = (Texts::new(vec![read(old)?]), Texts::new(vec![read(new)?]));
    let mut findings: Vec<Finding> = old.problems.iter().map(|one| Finding::invalid(&old, one)).collect();
    findings.extend(new.problems.iter().map(|one| Finding::invalid(&new, one)));
    let mut checked = Vec::new();
    if let (true, Some(before), Some(after)) = (findings.is_empty(), old.schemas.root(0), new.schemas.root(0))
    {
        let subject = after.name().map_or(new.files[0].path.clone(), |name| name.full().to_owned());
        let release = old.files[0].path.clone();
        let (level, config) = (Level::FullTransitive, &Config::default());
        let sides = Sides { subject: &subject, release: &release, level, config, old: &old, new: &new };
        findings = sides.changes(before, after);
        checked.push(subject);
    }
    let mut report = Report { command: "diff", checked, findings, summary: String::new() };
    summarize(&mut report);
    Ok(report)
}

fn summarize(report: &mut Report) {
    let schemas = count(report.checked.len(), "schema");
    report.summary = match (report.findings.len(), report.errors()) {
        (0, _) => format!("{schemas}: no change"),
        (changes, 0) => format!("{schemas}: {}, none breaks", count(changes, "change")),
        (changes, breaking) => {
            format!("{schemas}: {}, {breaking} of them breaking", count(changes, "change"))
        }
    };
}

/// One line a change, below the schema that it is in.
fn text(report: &Report) -> Outcome {
    let mut last = "";
    for finding in &report.findings {
        if finding.subject != last {
            println!("{}", finding.subject);
            last = &finding.subject;
        }
        let place = finding.place.as_ref().or(finding.other.as_ref());
        let at = place.map(|place| json_path(&place.file.text, place.bytes.start)).unwrap_or_default();
        let at = at.strip_suffix(".name").unwrap_or(&at);
        let release = match (&finding.place, &finding.other) {
            (None, Some(other)) => format!("{} ", other.label),
            _ => String::new(),
        };
        let mark = match finding.weight {
            Weight::Error => "BREAKS ",
            Weight::Warning => "warning",
            Weight::Note => "       ",
        };
        let path = if finding.path.is_empty() { String::new() } else { format!("{}: ", finding.path) };
        println!("  {mark} {path}{}  ({release}{at})", finding.message);
        for (word, note) in &finding.notes {
            println!("          {word}: {note}");
        }
    }
    println!("{}", report.summary);
    if report.errors() > 0 { Outcome::Broken } else { Outcome::Fine }
}

/// What is compared.
struct Sides<'a> {
    subject: &'a str,
    release: &'a str,
    level: Level,
    config: &'a Config,
    old: &'a Texts,
    new: &'a Texts,
}

impl Sides<'_> {
    /// Every change, with what it breaks.
    fn changes(&self, before: Root<'_>, after: Root<'_>) -> Vec<Finding> {
        let mut walk =
            Walk { old: before.schemas, new: after.schemas, seen: HashSet::new(), changes: Vec::new() };
        walk.compare(before.at, after.at, "");
        let mut breaks = compatibility::check(self.level, &[(self.release, before)], after);
        breaks.retain(|one| !is_allowed(self.config, self.subject, one));
        let mut findings = Vec::new();
        for change in walk.changes {
            let (caused, others) = breaks.into_iter().partition(|one| change.causes(one));
            breaks = others;
            findings.push(self.finding(change, caused));
        }
        // Whatever no change explains is told by itself.
        for one in breaks {
            let change = Change {
                id: one.problem.kind.id(),
                path: one.problem.path.clone(),
                message: one.what(),
                old_at: one.before_at(),
                new_at: one.after_at(),
                kinds: &[],
            };
            findings.push(self.finding(change, vec![one]));
        }
        findings
    }

    fn finding(&self, change: Change, breaks: Vec<Break>) -> Finding {
        let mut weight = Weight::Note;
        let mut notes = Vec::new();
        for one in breaks {
            match (check::weight(&one), weight) {
                (Weight::Error, _) => weight = Weight::Error,
                (Weight::Warning, Weight::Note) => weight = Weight::Warning,
                _ => {}
            }
            for note in [("breaks", one.who()), ("fix", one.fix())] {
                if !notes.contains(&note) {
                    notes.push(note);
                }
            }
        }
        Finding {
            id: change.id,
            weight,
            subject: self.subject.to_owned(),
            path: change.path,
            message: change.message,
            place: change.new_at.map(|at| Place::new(self.new, at, "now")),
            other: change.old_at.map(|at| Place::new(self.old, at, self.release)),
            notes,
        }
    }
}

struct Change {
    id: &'static str,
    path: String,
    message: String,
    old_at: Option<Span>,
    new_at: Option<Span>,
    /// The kinds of problems that it may cause.
    kinds: &'static [schemas::compatibility::Kind],
}

impl Change {
    fn causes(&self, one: &Break) -> bool {
        let inside = one.problem.path.strip_prefix(&self.path);
        self.kinds.contains(&one.problem.kind)
            && inside.is_some_and(|rest| rest.is_empty() || rest.starts_with('|'))
            && (self.id != "symbol-added" && self.id != "symbol-removed" || {
                self.message
                    .split(' ')
                    .nth(1)
                    .is_some_and(|symbol| one.what().starts_with(&format!("symbol {symbol} ")))
            })
    }
}

struct Walk<'a> {
    old: &'a Schemas,
    new: &'a Schemas,
    seen: HashSet<(TypeId, TypeId)>,
    changes: Vec<Change>,
}

impl Walk<'_> {
    fn say(
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

    fn compare(&mut self, old: Use, new: Use, path: &str) {
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
            self.attributes(extra(before, is_logical_changed), extra(after, is_logical_changed), at, path);
            return match (&before.kind, &after.kind) {
                (Kind::Array(old), Kind::Array(new)) => self.compare(*old, *new, &format!("{path}[]")),
                (Kind::Map(old), Kind::Map(new)) => self.compare(*old, *new, &format!("{path}{{}}")),
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
            self.say("type-changed", path, format!("{was} is now {is}"), at, &[Problem::LogicalTypeChanged]);
        }
        self.texts(before.kind.doc(), after.kind.doc(), at, path);
        let aliases =
            |kind: &Kind| kind.aliases().iter().map(|(name, _)| name.clone()).collect::<Vec<Name>>();
        if aliases(&before.kind) != aliases(&after.kind) {
            self.say("aliases-changed", path, "its aliases have changed".to_owned(), at, &[]);
        }
        self.attributes(extra(before, is_logical_changed), extra(after, is_logical_changed), at, path);
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
                    let told = |default: &Option<String>| default.clone().unwrap_or("none".to_owned());
                    let message = format!(
                        "the default symbol was {}, and is now {}",
                        told(&old.default),
                        told(&new.default)
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

    fn unions(&mut self, old: &[Use], new: &[Use], at: (Option<Span>, Option<Span>), path: &str) {
        use schemas::compatibility::Kind as Problem;
        let word = |schemas: &Schemas, branch: &Use| {
            let kind = &schemas.get(branch.id).kind;
            kind.name().map_or(kind.word(), Name::full).to_owned()
        };
        let simple = |name: &str| name.rsplit('.').next().unwrap_or(name).to_owned();
        let names: Vec<String> = old.iter().map(|branch| word(self.old, branch)).collect();
        // By full names first. Of what is left, a type that kept its simple name has moved to another namespace.
        let mut pairs: Vec<Option<usize>> =
            new.iter().map(|branch| names.iter().position(|name| *name == word(self.new, branch))).collect();
        for index in 0..new.len() {
            let branch = word(self.new, &new[index]);
            if pairs[index].is_none() {
                let is_left = |place: usize| !pairs.contains(&Some(place));
                pairs[index] =
                    (0..old.len()).find(|&place| is_left(place) && simple(&names[place]) == simple(&branch));
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
                    let message = format!("{} is a new branch of the union", self.new.describe(branch.id));
                    self.say("branch-added", path, message, (at.0, Some(branch.span)), KINDS);
                }
            }
        }
        for (place, branch) in old.iter().enumerate() {
            if !pairs.contains(&Some(place)) {
                let message = format!("{} is no branch of the union any more", self.old.describe(branch.id));
                self.say("branch-removed", path, message, (Some(branch.span), at.1), KINDS);
            }
        }
        if !pairs.iter().flatten().is_sorted() {
            let message = "the branches are in another order".to_owned();
            self.say("branches-reordered", path, message, at, &[]);
        }
    }

    fn fields(&mut self, old: &[Field], new: &[Field], path: &str) {
        use schemas::compatibility::Kind as Problem;
        let step = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let mut kept = Vec::new();
        for field in new {
            let is_old_name = |name: &str| field.aliases.iter().any(|(alias, _)| alias == name);
            let by_name = old.iter().position(|other| other.name == field.name);
            let Some(index) = by_name.or_else(|| old.iter().position(|other| is_old_name(&other.name)))
            else {
                let default = field.default.as_ref();
                let default =
                    default.map_or("no default".to_owned(), |default| format!("default {}", default.json));
                let message = format!("this field is new: {}, {default}", self.new.describe(field.kind.id));
                let kinds = &[Problem::FieldWithoutDefault, Problem::NullFieldAdded];
                self.say("field-added", &step(&field.name), message, (None, Some(field.name_span)), kinds);
                continue;
            };
            kept.push(index);
            let other = &old[index];
            let path = step(&field.name);
            let at = (Some(other.name_span), Some(field.name_span));
            if other.name != field.name {
                let message = format!("field {} is now called {}", other.name, field.name);
                let kinds = &[Problem::ReadByAlias, Problem::FieldWithoutDefault];
                self.say("field-renamed", &path, message, at, kinds);
            }
            self.compare(other.kind, field.kind, &path);
            let json = |field: &Field| field.default.as_ref().map(|default| default.json.clone());
            if json(other) != json(field) {
                let told = |field| json(field).map_or("none".to_owned(), |json| json.to_string());
                let message = format!("the default was {}, and is now {}", told(other), told(field));
                let at = (
                    other.default.as_ref().map_or(at.0, |default| Some(default.span)),
                    field.default.as_ref().map_or(at.1, |default| Some(default.span)),
                );
                self.say("default-changed", &path, message, at, &[]);
            }
            self.texts(other.doc.as_deref(), field.doc.as_deref(), at, &path);
            let aliases =
                |field: &Field| field.aliases.iter().map(|(alias, _)| alias.clone()).collect::<Vec<_>>();
            if aliases(other) != aliases(field) {
                self.say("aliases-changed", &path, "its aliases have changed".to_owned(), at, &[]);
            }
            if other.order != field.order {
                let message = format!("the order was {}, and is now {}", other.order, field.order);
                self.say("order-changed", &path, message, at, &[]);
            }
            let extra =
                |field: &Field| field.extra.iter().map(|(name, value, _)| told(name, value)).collect();
            self.attributes(extra(other), extra(field), at, &path);
        }
        if !kept.is_sorted() {
            let at = (old.first().map(|field| field.name_span), new.first().map(|field| field.name_span));
            self.say("fields-reordered", path, "the fields are in another order".to_owned(), at, &[]);
        }
        for (index, field) in old.iter().enumerate() {
            if !kept.contains(&index) {
                let message = format!("this field is gone: it was {}", self.old.describe(field.kind.id));
                let kinds = &[Problem::FieldWithoutDefault, Problem::NullFieldAdded];
                self.say("field-removed", &step(&field.name), message, (Some(field.name_span), None), kinds);
            }
        }
    }

    /// Compares attributes that Avro does not know, whatever their order.
    fn attributes(
        &mut self,
        mut old: Vec<String>,
        mut new: Vec<String>,
        at: (Option<Span>, Option<Span>),
        path: &str,
    ) {
        old.sort();
        new.sort();
        if old != new {
            let told = |all: Vec<String>| if all.is_empty() { "none".to_owned() } else { all.join(", ") };
            let message = format!("other attributes were {}, and are now {}", told(old), told(new));
            self.say("attributes-changed", path, message, at, &[]);
        }
    }

    fn texts(&mut self, old: Option<&str>, new: Option<&str>, at: (Option<Span>, Option<Span>), path: &str) {
        if old != new {
            self.say("doc-changed", path, "the doc has changed".to_owned(), at, &[]);
        }
    }
}

/// The attributes of a type that Avro does not know, each in words. Those of a logical type count too, such as a
/// decimal's scale of 0, unless it is told as a change of the type.
fn extra(one: &Type, is_logical_told: bool) -> Vec<String> {
    let is_told = |name: &str| is_logical_told && matches!(name, "logicalType" | "precision" | "scale");
    let all = one.extra.iter().filter(|(name, _)| !is_told(name));
    all.map(|(name, value)| told(name, value)).collect()
}

/// An attribute in words, the keys of objects in their alphabetical order.
fn told(name: &str, value: &Value) -> String {
    let mut value = value.clone();
    value.sort_all_objects();
    format!("{name}: {value}")
}

/// Whether what both lists hold is in another order.
fn is_reordered<T>(old: &[T], new: &[T], is_same: impl Fn(&T, &T) -> bool) -> bool {
    let places = new.iter().filter_map(|one| old.iter().position(|other| is_same(one, other)));
    !places.is_sorted()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn texts(json: &Value) -> Texts {
        Texts::new(vec![File {
            path: "Thing.avsc".to_owned(),
            place: "Thing.avsc".to_owned(),
            text: json.to_string(),
        }])
    }

    /// The ids of the changes that are told, for two schemas that are valid.
    fn changes(old: &Value, new: &Value) -> Option<Vec<&'static str>> {
        let (old, new) = (texts(old), texts(new));
        if !old.problems.is_empty() || !new.problems.is_empty() {
            return None;
        }
        let (before, after) = (old.schemas.root(0)?, new.schemas.root(0)?);
        let (level, config) = (Level::None, &Config::default());
        let sides = Sides { subject: "a", release: "b", level, config, old: &old, new: &new };
        Some(sides.changes(before, after).iter().map(|finding| finding.id).collect())
    }

    fn thing() -> Value {
        json!({
            "type": "record", "name": "Thing", "namespace": "shop", "doc": "D.", "aliases": ["Old"], "owner": "us",
            "fields": [
                {"name": "kind", "doc": "D.", "order": "descending", "type": {
                    "type": "enum", "name": "Kind", "symbols": ["A", "B", "C"], "default": "A"}},
                {"name": "either", "aliases": ["or"], "pii": true, "type": ["null",
                    {"type": "record", "name": "a.Part", "fields": [{"name": "x", "type": "int", "default": 0}]},
                    {"type": "record", "name": "b.Part", "fields": [{"name": "x", "type": "int"}]}]},
                {"name": "all", "type": {"type": "array", "items": {"type": "map", "values": "a.Part", "k": 1}}},
                {"name": "price", "default": "\u{1}", "type": {
                    "type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}},
                {"name": "id", "type": {"type": "string", "logicalType": "uuid", "shown": {"a": 1, "b": [2]}}},
                {"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 4}},
                {"name": "next", "type": ["null", "shop.Thing"], "default": null},
            ],
        })
    }

    /// Every place in a JSON text.
    fn places(json: &Value, at: &str, out: &mut Vec<String>) {
        out.push(at.to_owned());
        match json {
            Value::Array(values) => {
                values.iter().enumerate().for_each(|(index, one)| places(one, &format!("{at}/{index}"), out));
            }
            Value::Object(values) => {
                values.iter().for_each(|(key, one)| places(one, &format!("{at}/{key}"), out));
            }
            _ => {}
        }
    }

    /// Changes `json` at one of its places, in one of several ways.
    fn mutate(json: &mut Value, place: usize, how: usize) {
        let mut all = Vec::new();
        places(json, "", &mut all);
        let Some(one) = json.pointer_mut(&all[place % all.len()]) else { return };
        match one {
            Value::Array(values) if values.len() > 1 => match how % 3 {
                0 => values.reverse(),
                1 => drop(values.remove(how / 3 % values.len())),
                _ => values.rotate_left(1),
            },
            Value::Object(values) => match how % 4 {
                0 if how > 31 => drop(values.insert("aliases".to_owned(), json!([]))),
                0 => drop(values.insert("note".to_owned(), json!(how))),
                1 => {
                    // Another spelling, which is no change.
                    let entries: Vec<_> = std::mem::take(values).into_iter().rev().collect();
                    values.extend(entries);
                }
                2 => drop(values.insert("aliases".to_owned(), json!(["Former"]))),
                _ => {
                    let key = values.keys().nth(how / 4 % values.len().max(1)).cloned();
                    key.map(|key| values.shift_remove(&key));
                }
            },
            Value::String(text) => {
                let words = ["int", "long", "string", "other", "ascending", "a.Part", "B", "date", "null"];
                *text = words[how % words.len()].to_owned();
            }
            Value::Number(_) => *one = json!(how % 7),
            Value::Bool(flag) => *flag = !*flag,
            _ => *one = json!("x"),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn diff_reports_exactly_what_release_takes_as_changed(
            edits in prop::collection::vec((any::<usize>(), 0..64_usize), 1..4),
        ) {
            let (old, mut new) = (thing(), thing());
            for (place, how) in edits {
                mutate(&mut new, place, how);
                if let Some(changes) = changes(&old, &new) {
                    let is_same = schemas::same(&old.to_string(), &new.to_string());
                    prop_assert_eq!(changes.is_empty(), is_same, "{:?}: {}", changes, new);
                }
            }
        }
    }

    #[test]
    fn union_of_two_records_with_one_simple_name_has_no_change() {
        assert_eq!(changes(&thing(), &thing()), Some(Vec::new()));
    }
}

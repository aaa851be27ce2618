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

use crate::{
    check::{self, is_allowed},
    config::Config,
    files::{File, Texts},
    report::{Finding, Format, Outcome, Place, Report, Weight, count},
    source::Against,
    stop::Stop,
};

/// What to compare.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// Two files, the older one first; without them, every schema is compared with its latest release.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    against: Against,
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
        let texts = Texts::read(&folder.join("avro"))?;
        let baseline = self.against.read(folder, &texts)?;
        let config = Config::read(folder)?;
        let mut report =
            Report { command: "diff", checked: Vec::new(), findings: Vec::new(), summary: String::new() };
        let mut invalid: Vec<_> = texts.problems.iter().map(|one| Finding::invalid(&texts, one)).collect();
        invalid.extend(baseline.invalid().map(|(texts, one)| Finding::invalid(texts, one)));
        let shared = texts.shared();
        for (subject, root) in texts.roots() {
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
                // A part of others is released with them.
                None if shared.contains(&root.at.id) || !matches!(root.kind(), Kind::Record(_)) => {}
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
        let subjects: Vec<&str> = texts.roots().into_keys().collect();
        report.findings.extend(check::removed(&subjects, &baseline, &config));
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
        match (&before.kind, &after.kind) {
            (Kind::Array(old), Kind::Array(new)) => return self.compare(*old, *new, &format!("{path}[]")),
            (Kind::Map(old), Kind::Map(new)) => return self.compare(*old, *new, &format!("{path}{{}}")),
            (Kind::Union(old), Kind::Union(new)) => return self.unions(old, new, at, path),
            (old, new) if old.name().is_some() && old.word() == new.word() => {}
            _ => {
                let (was, is) = (self.old.describe(old.id), self.new.describe(new.id));
                if was != is {
                    const KINDS: &[Problem] = &[
                        Problem::TypeChanged,
                        Problem::BranchUnknown,
                        Problem::LogicalTypeChanged,
                        Problem::BytesAsText,
                        Problem::Rounded,
                    ];
                    self.say("type-changed", path, format!("{was} is now {is}"), at, KINDS);
                }
                return;
            }
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
        if before.logical != after.logical {
            let (was, is) = (self.old.describe(old.id), self.new.describe(new.id));
            self.say("type-changed", path, format!("{was} is now {is}"), at, &[Problem::LogicalTypeChanged]);
        }
        self.texts(before.kind.doc(), after.kind.doc(), at, path);
        let aliases =
            |kind: &Kind| kind.aliases().iter().map(|(name, _)| name.clone()).collect::<Vec<Name>>();
        if aliases(&before.kind) != aliases(&after.kind) {
            self.say("aliases-changed", path, "its aliases have changed".to_owned(), at, &[]);
        }
        let extra = |one: &Type| {
            let known = |name: &str| matches!(name, "logicalType" | "precision" | "scale");
            let told = one.extra.iter().filter(|(name, _)| !known(name));
            told.map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join(", ")
        };
        self.attributes(extra(before), extra(after), at, path);
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
            kind.name().map_or(kind.word(), Name::simple).to_owned()
        };
        let is_optional = old.len() == 2 && new.len() == 2;
        for branch in new {
            let name = word(self.new, branch);
            match old.iter().find(|other| word(self.old, other) == name) {
                Some(other) if is_optional => self.compare(*other, *branch, path),
                Some(other) => self.compare(*other, *branch, &format!("{path}|{name}")),
                None => {
                    let message = format!("{} is a new branch of the union", self.new.describe(branch.id));
                    let kinds = &[Problem::BranchUnknown, Problem::BytesAsText, Problem::Rounded];
                    self.say("branch-added", path, message, (at.0, Some(branch.span)), kinds);
                }
            }
        }
        for branch in old {
            let name = word(self.old, branch);
            if !new.iter().any(|other| word(self.new, other) == name) {
                let message = format!("{} is no branch of the union any more", self.old.describe(branch.id));
                let kinds = &[Problem::BranchUnknown, Problem::BytesAsText, Problem::Rounded];
                self.say("branch-removed", path, message, (Some(branch.span), at.1), kinds);
            }
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
            let extra = |field: &Field| {
                field
                    .extra
                    .iter()
                    .map(|(name, value, _)| format!("{name}: {value}"))
                    .collect::<Vec<_>>()
                    .join(", ")
            };
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

    fn attributes(&mut self, old: String, new: String, at: (Option<Span>, Option<Span>), path: &str) {
        if old != new {
            let told = |text: String| if text.is_empty() { "none".to_owned() } else { text };
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

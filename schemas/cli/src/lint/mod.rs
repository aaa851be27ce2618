//! `schemas lint`: whether the files are valid and follow the house rules.

mod rules;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use schemas::{
    avro,
    compatibility::{Kind, Severity},
};

use crate::{
    check::{EMPTY_BASELINE, SUBJECT_REMOVED},
    config::{Allow, Config},
    print::out,
    report::{Finding, Format, Outcome, Report, count},
    side::Side,
    stop::Stop,
    texts::Texts,
};

/// The arguments of `lint`.
#[derive(Debug, Args)]
pub(crate) struct Lint {
    /// Explains a rule of `lint` or a kind of problem of `check`; without an id, lists all.
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "")]
    explain: Option<String>,
    /// Lints the schemas in the index instead of the working tree.
    #[arg(long)]
    staged: bool,
}

impl Lint {
    pub(crate) fn run(
        &self,
        folder: impl FnOnce() -> Result<PathBuf>,
        format: Format,
    ) -> Result<Outcome> {
        if let Some(id) = &self.explain {
            return explain(id);
        }
        let side = Side::of(&folder()?, self.staged)?;
        Ok(lint(&Texts::read(&side)?, &Config::read(&side)?).write(format)?)
    }
}

/// Every problem of the files that schemas.toml does not allow.
pub(crate) fn lint(texts: &Texts, config: &Config) -> Report {
    // An invalid schema can't be allowed: readers would still fail.
    let mut findings: Vec<Finding> =
        texts.problems.iter().map(|problem| Finding::invalid(texts, problem)).collect();
    let mut is_used = vec![false; config.allow.len()];
    for finding in rules::find(texts) {
        let covers = |allow: &Allow| allow.covers(finding.id, &finding.subject, &finding.path);
        match config.allow.iter().position(covers) {
            Some(index) => is_used[index] = true,
            None => findings.push(finding),
        }
    }
    let is_compatibility =
        |rule: &str| rule == SUBJECT_REMOVED.0 || Kind::ALL.iter().any(|kind| kind.id() == rule);
    for (allow, is_used) in config.allow.iter().zip(is_used) {
        // Only `check` knows whether its exceptions are used.
        if !is_used && !is_compatibility(&allow.rule) {
            findings.push(rules::unused_allow(&allow.rule, &allow.at));
        }
    }
    findings.sort_by(|a, b| {
        let key = |one: &Finding| {
            one.place.as_ref().map(|place| (place.file.path.clone(), place.bytes.start))
        };
        key(a).cmp(&key(b))
    });
    let checked: Vec<String> = texts.roots().into_keys().map(str::to_owned).collect();
    let summary = match findings.len() {
        0 => format!("{}: fine", count(texts.files.len(), "file")),
        errors => format!("{}: {}", count(texts.files.len(), "file"), count(errors, "error")),
    };
    Report { command: "lint", checked, findings, summary }
}

/// A rule or kind with its explanation.
struct Explained {
    id: &'static str,
    /// The command that reports it.
    command: &'static str,
    text: &'static str,
    /// The place that an exception in schemas.toml names, if one is possible.
    at: Option<&'static str>,
}

/// Every rule of `lint` and every kind of `check`.
fn explained() -> Vec<Explained> {
    const FIELD: Option<&str> = Some("<type>.<field>");
    let of = |id, command, text, at| Explained { id, command, text, at };
    let valid = avro::Rule::ALL
        .iter()
        .map(|rule| of(rule.id(), "lint, validity", rule.explanation(), None));
    let house = rules::ALL.iter().map(|rule| of(rule.id, "lint, house", rule.explanation, FIELD));
    let kinds = Kind::ALL.iter().map(|kind| {
        let is_allowable = kind.severity() != Severity::Break;
        of(kind.id(), "check", kind.explanation(), FIELD.filter(|_| is_allowable))
    });
    let (id, text) = SUBJECT_REMOVED;
    let removed = of(id, "check", text, Some("<type>"));
    let empty = of(EMPTY_BASELINE.0, "check", EMPTY_BASELINE.1, None);
    valid.chain(house).chain(kinds).chain([removed, empty]).collect()
}

/// Prints the explanation of a rule or kind, or a list of all.
fn explain(id: &str) -> Result<Outcome> {
    let all = explained();
    if id.is_empty() {
        for Explained { id, command, text, .. } in all {
            let whole = text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
            let end =
                [". ", ": "].iter().filter_map(|end| whole.find(end)).min().unwrap_or(whole.len());
            out!("{id:24} {command:14} {}", whole[..end].trim_end_matches('.'))?;
        }
        return Ok(Outcome::Fine);
    }
    let found = all.into_iter().find(|known| known.id == id);
    let Explained { command, text, at, .. } = found.ok_or_else(|| {
        Stop::Usage(format!("no rule is called {id:?}: `schemas lint --explain` lists all"))
    })?;
    out!("{id} ({command})\n")?;
    for line in text.lines() {
        out!("{}", line.trim())?;
    }
    if let Some(at) = at {
        out!("\nWhere it is no problem, schemas.toml says so:\n")?;
        out!("[[allow]]\nrule = \"{id}\"\nat = \"{at}\"\nreason = \"...\"")?;
    }
    Ok(Outcome::Fine)
}

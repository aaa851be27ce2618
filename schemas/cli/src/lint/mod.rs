//! `schemas lint`: whether the files are valid, and whether they keep to the house's rules.

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
    files::Side,
    report::{Finding, Format, Outcome, Report, count},
    stop::Stop,
    texts::Texts,
};

/// What to lint, or what to explain.
#[derive(Debug, Args)]
pub(crate) struct Lint {
    /// Explains a rule of `lint` or a kind of problem of `check`; without an id, lists all.
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "")]
    explain: Option<String>,
    /// Lints the schemas that are staged for the next commit, and not those of the working tree.
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
        Ok(lint(&Texts::read(&side)?, &Config::read(&side)?).tell(format))
    }
}

/// Everything that is wrong with the files and is not allowed.
pub(crate) fn lint(texts: &Texts, config: &Config) -> Report {
    // What is invalid can't be allowed: readers would fail all the same.
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
        // Whether exceptions of `check` are used, only `check` knows.
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

/// A rule or kind as it is explained.
struct Explained {
    id: &'static str,
    /// The command that finds it.
    command: &'static str,
    text: &'static str,
    /// What an exception in schemas.toml names, where there may be one.
    at: Option<&'static str>,
}

/// Every rule of `lint` and kind of `check`.
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

fn explain(id: &str) -> Result<Outcome> {
    let all = explained();
    if id.is_empty() {
        for Explained { id, command, text, .. } in all {
            let whole = text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
            let end =
                [". ", ": "].iter().filter_map(|end| whole.find(end)).min().unwrap_or(whole.len());
            println!("{id:24} {command:14} {}", whole[..end].trim_end_matches('.'));
        }
        return Ok(Outcome::Fine);
    }
    let found = all.into_iter().find(|known| known.id == id);
    let Explained { command, text, at, .. } = found.ok_or_else(|| {
        Stop::Usage(format!("no rule is called {id:?}: `schemas lint --explain` lists all"))
    })?;
    println!("{id} ({command})\n");
    for line in text.lines() {
        println!("{}", line.trim());
    }
    if let Some(at) = at {
        println!("\nWhere it is no problem, schemas.toml says so:\n");
        println!("[[allow]]\nrule = \"{id}\"\nat = \"{at}\"\nreason = \"...\"");
    }
    Ok(Outcome::Fine)
}

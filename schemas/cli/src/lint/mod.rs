//! `schemas lint`: whether the files are valid, and whether they keep to the house's rules.

mod rules;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use schemas::{avro, compatibility::Kind};

use crate::{
    config::Config,
    files::Texts,
    report::{Finding, Format, Outcome, Report, count},
    stop::Stop,
};

/// What to lint, or what to explain.
#[derive(Debug, Args)]
pub(crate) struct Lint {
    /// Explains a rule of `lint` or a kind of problem of `check`; without an id, lists all.
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "")]
    explain: Option<String>,
}

impl Lint {
    pub(crate) fn run(&self, folder: impl FnOnce() -> Result<PathBuf>, format: Format) -> Result<Outcome> {
        if let Some(id) = &self.explain {
            return explain(id);
        }
        let folder = folder()?;
        let texts = Texts::read(&folder.join("avro"))?;
        Ok(lint(&texts, &Config::read(&folder)?).tell(format))
    }
}

/// Everything that is wrong with the files and is not allowed.
pub(crate) fn lint(texts: &Texts, config: &Config) -> Report {
    let mut findings: Vec<Finding> =
        texts.problems.iter().map(|problem| Finding::invalid(texts, problem)).collect();
    findings.extend(rules::find(texts));
    let mut is_used = vec![false; config.allow.len()];
    findings.retain(|finding| {
        let covers = |allow: &crate::config::Allow| allow.covers(finding.id, &finding.subject, &finding.path);
        let found = config.allow.iter().position(covers);
        if let Some(index) = found {
            is_used[index] = true;
        }
        found.is_none()
    });
    let is_compatibility = |rule: &str| Kind::ALL.iter().any(|kind| kind.id() == rule);
    for (allow, is_used) in config.allow.iter().zip(is_used) {
        // Whether exceptions of `check` are used, only `check` knows.
        if !is_used && !is_compatibility(&allow.rule) {
            findings.push(rules::unused_allow(&allow.rule, &allow.at));
        }
    }
    findings.sort_by(|a, b| {
        let key =
            |one: &Finding| one.place.as_ref().map(|place| (place.file.path.clone(), place.bytes.start));
        key(a).cmp(&key(b))
    });
    let checked: Vec<String> = texts.roots().into_keys().map(str::to_owned).collect();
    let summary = match findings.len() {
        0 => format!("{}: fine", count(texts.files.len(), "file")),
        errors => format!("{}: {}", count(texts.files.len(), "file"), count(errors, "error")),
    };
    Report { command: "lint", checked, findings, summary }
}

/// Every rule of `lint` and kind of `check`, with its explanation.
fn explanations() -> Vec<(&'static str, &'static str, &'static str)> {
    let valid = avro::Rule::ALL.iter().map(|rule| (rule.id(), "lint, validity", rule.explanation()));
    let house = rules::ALL.iter().map(|rule| (rule.id, "lint, house", rule.explanation));
    let kinds = Kind::ALL.iter().map(|kind| (kind.id(), "check", kind.explanation()));
    let gone = crate::check::SUBJECT_REMOVED;
    valid.chain(house).chain(kinds).chain([(gone.0, "check", gone.1)]).collect()
}

fn explain(id: &str) -> Result<Outcome> {
    let all = explanations();
    if id.is_empty() {
        for (id, command, text) in all {
            let whole = text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
            let end = [". ", ": "].iter().filter_map(|end| whole.find(end)).min().unwrap_or(whole.len());
            println!("{id:24} {command:14} {}", whole[..end].trim_end_matches('.'));
        }
        return Ok(Outcome::Fine);
    }
    let (id, command, text) = all.into_iter().find(|(known, ..)| *known == id).ok_or_else(|| {
        Stop::Usage(format!("no rule is called {id:?}: `schemas lint --explain` lists all"))
    })?;
    println!("{id} ({command})\n");
    for line in text.lines() {
        println!("{}", line.trim());
    }
    if command != "lint, validity" {
        println!(
            "\nTo allow it in one place, write into schemas.toml:\n\n[[allow]]\nrule = \"{id}\"\nat = \"<type>.<field>\"\nreason = \"...\""
        );
    }
    Ok(Outcome::Fine)
}

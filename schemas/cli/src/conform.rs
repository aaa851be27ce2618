//! `schemas conform`: this checker's results on a file of cases, one JSON object per line.
//!
//! Lines `{name, old | history, new, level}` ask whether `new` is compatible with the older
//! schemas, lines `{name, schema}` whether the schema is valid. If a line has the expected result
//! (`compatible` or `valid`), the command compares it.

use std::{fs, io::ErrorKind, path::PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use schemas::{
    avro::{Root, Schemas, parse_one},
    compatibility::{Direction, Level, Severity, check},
};
use serde_json::{Map, Value, json};

use crate::{
    print::{note, out},
    report::Outcome,
    stop::Stop,
};

/// The arguments of `conform`.
#[derive(Debug, Args)]
pub(crate) struct Conform {
    /// A file of cases, one JSON object per line.
    file: PathBuf,
}

impl Conform {
    pub(crate) fn run(&self) -> Result<Outcome> {
        let text = fs::read_to_string(&self.file).map_err(|error| {
            let why = format!("reading {}: {error}", self.file.display());
            match error.kind() {
                // It is not UTF-8.
                ErrorKind::InvalidData => Stop::Invalid(why),
                _ => Stop::Usage(why),
            }
        })?;
        let (mut cases, mut expected, mut disagreed) = (0, 0, Vec::new());
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() {
                continue;
            }
            let context = || format!("{}:{number}", self.file.display());
            let case = match schemas::json::parse(line.as_bytes()) {
                Ok(Value::Object(case)) => case,
                Ok(_) => bail!("{}: a case is an object", context()),
                Err(why) => bail!("{}: {why}", context()),
            };
            let result = judge(&case).with_context(context)?;
            let key = if result.get("valid").is_some() { "valid" } else { "compatible" };
            cases += 1;
            if let Some(wanted) = case.get(key) {
                expected += 1;
                if *wanted != result[key] {
                    disagreed
                        .push(format!("{number}: {} should be {key}: {wanted}", result["name"]));
                }
            }
            out!("{result}")?;
        }
        for one in &disagreed {
            note!("schemas: line {one}");
        }
        let agreed = expected - disagreed.len();
        note!("schemas: {cases} cases, {agreed} of {expected} expected results agree");
        Ok(if disagreed.is_empty() { Outcome::Fine } else { Outcome::Broken })
    }
}

/// Judges one case.
fn judge(case: &Map<String, Value>) -> Result<Value> {
    let name = case.get("name").cloned().unwrap_or_default();
    let mut problems = Vec::new();
    if let Some(schema) = case.get("schema") {
        read(schema, "schema", &mut problems);
        return Ok(json!({ "name": name, "valid": problems.is_empty(), "problems": problems }));
    }
    let new =
        case.get("new").context("a case has \"schema\", or \"new\" and \"old\" or \"history\"")?;
    let level: Level = match case.get("level") {
        Some(Value::String(level)) => level.parse()?,
        _ => bail!("a case with \"new\" has a \"level\""),
    };
    let history: Vec<&Value> = match (case.get("old"), case.get("history")) {
        (Some(old), None) => vec![old],
        (None, Some(Value::Array(history))) => history.iter().collect(),
        _ => bail!("a case with \"new\" has either \"old\", or \"history\", a list"),
    };
    let new = read(new, "new", &mut problems);
    let history: Vec<(String, Option<Schemas>)> = (1..)
        .zip(history)
        .map(|(version, text)| {
            (format!("version {version}"), read(text, &format!("version {version}"), &mut problems))
        })
        .collect();
    let mut is_compatible = problems.is_empty();
    if let (true, Some(new)) = (is_compatible, new.as_ref().and_then(|new| new.root(0))) {
        let history: Vec<(&str, Root<'_>)> = history
            .iter()
            .filter_map(|(release, old)| Some((release.as_str(), old.as_ref()?.root(0)?)))
            .collect();
        for found in check(level, &history, new) {
            let severity = match found.problem.kind.severity() {
                Severity::Break => "break",
                Severity::Meaning => "meaning",
                Severity::Warning => "warning",
            };
            is_compatible &= severity != "break";
            problems.push(json!({
                "id": found.problem.kind.id(),
                "severity": severity,
                "path": found.problem.path,
                "message": found.problem.why(),
                "direction": match found.direction {
                    Direction::Backward => "backward",
                    Direction::Forward => "forward",
                },
                "with": found.release,
                "old": found.before(),
                "new": found.after(),
                "fix": found.fix(),
            }));
        }
    }
    Ok(json!({ "name": name, "compatible": is_compatible, "problems": problems }))
}

/// Parses a schema of a case, which is JSON or a string with JSON. Adds its problems.
fn read(schema: &Value, what: &str, problems: &mut Vec<Value>) -> Option<Schemas> {
    let text = match schema {
        Value::String(text) if text.trim_start().starts_with(['{', '[', '"']) => text.clone(),
        schema => schema.to_string(),
    };
    match parse_one(&text) {
        Ok(schemas) => Some(schemas),
        Err(invalid) => {
            problems.extend(invalid.iter().map(|one| {
                json!({ "id": one.rule.id(), "in": what, "path": one.path, "message": one.message, "help": one.help })
            }));
            None
        }
    }
}

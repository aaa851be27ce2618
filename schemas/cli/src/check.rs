//! `schemas check`: whether every schema is compatible with its released versions.
//!
//! It reports all problems, each with who fails, the order of deployment, and a fix.

use std::{collections::HashMap, path::Path};

use anyhow::Result;
use clap::Args;
use schemas::compatibility::{Break, Direction, Kind, Level, Severity, check};

use crate::{
    baseline::Baseline,
    config::Config,
    place::Place,
    report::{Finding, Format, Outcome, Report, Weight, count},
    side::Side,
    source::Against,
    texts::Texts,
};

/// The arguments of `check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    against: Against,
    /// The compatibility level of every subject, in place of those in schemas.toml.
    #[arg(long, value_name = "LEVEL")]
    level: Option<Level>,
    /// Checks the schemas in the index instead of the working tree.
    #[arg(long)]
    staged: bool,
}

impl Check {
    pub(crate) fn run(&self, folder: &Path, format: Format) -> Result<Outcome> {
        let side = Side::of(folder, self.staged)?;
        let texts = Texts::read(&side)?;
        let baseline = self.against.read(folder, &side, &texts)?;
        Ok(compare(&texts, &baseline, &Config::read(&side)?, self.level).write(format)?)
    }
}

/// Id and explanation of the finding that a subject is gone.
pub(crate) const SUBJECT_REMOVED: (&str, &str) = (
    "subject-removed",
    "A schema was released, and no file defines it any more, or only a file in a\n\
     folder `types`, whose types are parts of others. Records of it may still be on\n\
     topics, and no program could read them. Once `schemas replay` finds none, its\n\
     file may go.",
);

/// Id and explanation of the finding that nothing was compared.
pub(crate) const EMPTY_BASELINE: (&str, &str) = (
    "empty-baseline",
    "What the schemas are compared with has none of them, as before the first commit\n\
     or release. Nothing was compared, so that no break could be found.",
);

fn empty_baseline(fresh: usize) -> Finding {
    Finding {
        id: EMPTY_BASELINE.0,
        weight: Weight::Warning,
        subject: "avro".to_owned(),
        path: String::new(),
        message: format!(
            "nothing was compared: there is no older version of {}",
            count(fresh, "schema")
        ),
        place: None,
        other: None,
        notes: vec![(
            "help",
            "this is right before the first commit or release, and only then".to_owned(),
        )],
    }
}

/// Compares every schema with its released versions.
pub(crate) fn compare(
    texts: &Texts,
    baseline: &Baseline,
    config: &Config,
    level: Option<Level>,
) -> Report {
    let mut checked: Vec<String> = Vec::new();
    let mut findings: Vec<Finding> =
        texts.problems.iter().map(|problem| Finding::invalid(texts, problem)).collect();
    findings.extend(baseline.invalid().map(|(texts, problem)| Finding::invalid(texts, problem)));
    let (mut versions, mut fresh) = (0, 0);
    if findings.is_empty() {
        for (subject, root) in texts.subjects() {
            let released = baseline.of(subject);
            checked.push(subject.to_owned());
            versions += released.len();
            fresh += usize::from(released.is_empty());
            let names: Vec<_> =
                released.iter().map(|(name, _, root)| (name.as_str(), *root)).collect();
            let level = level.unwrap_or_else(|| config.level(subject));
            for group in grouped(check(level, &names, root)) {
                let last = group.last().map(|found| found.release.clone()).unwrap_or_default();
                let old = released.iter().find(|(name, ..)| *name == last).map(|(_, old, _)| *old);
                if !is_allowed(config, subject, &group[0]) {
                    findings.push(finding(subject, &group, texts, old));
                }
            }
        }
        if fresh > 0 && baseline.subjects().is_empty() {
            findings.push(empty_baseline(fresh));
        }
        findings.extend(removed(texts, baseline, config));
    }
    let mut report = Report { command: "check", checked, findings, summary: String::new() };
    let (errors, warnings) = (report.errors(), report.warnings());
    let is_new = if fresh == 0 { String::new() } else { format!(" ({fresh} of them new)") };
    report.summary = format!(
        "{}{is_new} against {}: {}",
        count(report.checked.len(), "schema"),
        count(versions, "released version"),
        match (errors, warnings) {
            (0, 0) => "fine".to_owned(),
            (0, warnings) => format!("fine, {}", count(warnings, "warning")),
            (errors, 0) => count(errors, "error"),
            (errors, warnings) =>
                format!("{}, {}", count(errors, "error"), count(warnings, "warning")),
        }
    );
    report
}

/// Whether schemas.toml allows a problem. It can't allow a break, whose records would still fail.
pub(crate) fn is_allowed(config: &Config, subject: &str, found: &Break) -> bool {
    found.problem.kind.severity() != Severity::Break
        && config
            .allow
            .iter()
            .any(|allow| allow.covers(found.problem.kind.id(), subject, &found.problem.path))
}

/// Groups the problems of one change, so that it is reported once for all releases and directions.
fn grouped(found: Vec<Break>) -> Vec<Vec<Break>> {
    let mut groups: Vec<Vec<Break>> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for one in found {
        let kind = one.problem.kind;
        // The reader's and the writer's union change roles with the direction.
        let sides = if kind == Kind::BranchUnknown { Some(one.direction) } else { None };
        let symbol = if kind == Kind::SymbolUnknown {
            one.what()
        } else {
            format!("{:?} {:?}", one.before(), one.after())
        };
        let key = format!("{kind:?} {} {sides:?} {symbol}", one.problem.path);
        let index = *known.entry(key).or_insert(groups.len());
        if index == groups.len() {
            groups.push(Vec::new());
        }
        groups[index].push(one);
    }
    groups
}

fn finding(subject: &str, group: &[Break], new: &Texts, old: Option<&Texts>) -> Finding {
    let or_missing = |text: Option<&str>| text.unwrap_or("not there").to_owned();
    let of = |direction| {
        let found: Vec<&Break> = group.iter().filter(|one| one.direction == direction).collect();
        let names: Vec<&str> = found.iter().map(|one| one.release.as_str()).collect();
        found.first().map(|first| Break { release: releases(&names), ..(*first).clone() })
    };
    let ways: Vec<Break> =
        [Direction::Backward, Direction::Forward].into_iter().filter_map(of).collect();
    let (first, last) = (&ways[0], &group[group.len() - 1]);
    let kind = first.problem.kind;
    let is_mutual = ways.len() > 1 && kind.severity() == Severity::Break;
    let who: Vec<String> = ways.iter().map(Break::who).collect();
    Finding {
        id: kind.id(),
        weight: weight(first),
        subject: subject.to_owned(),
        path: first.problem.path.clone(),
        message: format!(
            "{}{}",
            first.what(),
            if is_mutual { ", nor the other way round" } else { "" }
        ),
        place: last.after_at().map(|at| Place::new(new, at, "now")),
        other: last.before_at().zip(old).map(|(at, old)| Place::new(old, at, last.release.clone())),
        notes: vec![
            ("old", or_missing(last.before())),
            ("new", or_missing(last.after())),
            ("breaks", who.join("; ")),
            ("deploy", first.deploy().to_owned()),
            ("fix", first.fix()),
        ],
    }
}

/// Names of releases in one phrase: `version 1`, `versions 1 to 3, 5`, or the names themselves.
pub(crate) fn releases(names: &[&str]) -> String {
    let numbers: Option<Vec<u32>> =
        names.iter().map(|name| name.strip_prefix("version ")?.parse().ok()).collect();
    let Some(numbers) = numbers.filter(|numbers| numbers.len() > 1) else {
        return names.join(", ");
    };
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, end)) if *end + 1 == number => *end = number,
            _ => runs.push((number, number)),
        }
    }
    let parts = runs.into_iter().map(|(start, end)| {
        if start == end { start.to_string() } else { format!("{start} to {end}") }
    });
    format!("versions {}", parts.collect::<Vec<_>>().join(", "))
}

/// The weight of a problem. A change of meaning is an error like a break, because no reader notices
/// it.
pub(crate) fn weight(found: &Break) -> Weight {
    match found.problem.kind.severity() {
        Severity::Break | Severity::Meaning => Weight::Error,
        Severity::Warning => Weight::Warning,
    }
}

/// The released subjects that are gone, except those that schemas.toml allows.
pub(crate) fn removed(texts: &Texts, baseline: &Baseline, config: &Config) -> Vec<Finding> {
    let (subjects, roots) = (texts.subjects(), texts.roots());
    let is_retired = |name: &str| {
        // An exception names one subject, never a whole namespace.
        config.allow.iter().any(|allow| allow.rule == SUBJECT_REMOVED.0 && allow.at == name)
    };
    let is_gone = |name: &&str| !subjects.contains_key(name) && !is_retired(name);
    let what = |name: &str| match roots.contains_key(name) {
        true => {
            "it was released and is only a part of other schemas now, by the folder of its file"
        }
        false => "it was released and is gone",
    };
    let gone = baseline.subjects().into_iter().filter(is_gone);
    gone.map(|name| Finding {
        id: SUBJECT_REMOVED.0,
        weight: Weight::Error,
        subject: name.to_owned(),
        path: String::new(),
        message: format!("{}, but records of it may be on topics", what(name)),
        place: None,
        other: baseline
            .of(name)
            .last()
            .map(|(release, texts, root)| Place::new(texts, root.at.span, release.clone())),
        notes: vec![
            ("breaks", "new readers know nothing of such records".to_owned()),
            (
                "fix",
                "keep the file for as long as a topic may hold such records; then allow it in schemas.toml"
                    .to_owned(),
            ),
        ],
    })
    .collect()
}

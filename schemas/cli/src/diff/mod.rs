//! `schemas diff`: every change, in words and with its JSON path, and the problems that it causes.

mod change;
mod fields;
mod sides;
#[cfg(test)]
mod tests;
mod walk;

use std::{
    io,
    path::{Path, PathBuf},
};

use anyhow::Result;
use clap::Args;
use schemas::{avro::json_path, compatibility::Level};

use crate::{
    check,
    config::Config,
    files::File,
    place::Place,
    print::out,
    report::{Finding, Format, Outcome, Report, Weight, count},
    side::Side,
    source::Against,
    stop::Stop,
    texts::Texts,
};

use sides::Sides;

/// The arguments of `diff`.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// Two files, the older one first. By default, every schema is compared with its latest
    /// release.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    against: Against,
    /// Compares the schemas in the index instead of the working tree.
    #[arg(long, conflicts_with = "files")]
    staged: bool,
}

impl Diff {
    pub(crate) fn run(
        &self,
        folder: impl FnOnce() -> Result<PathBuf>,
        format: Format,
    ) -> Result<Outcome> {
        let report = match self.files.as_slice() {
            [] => self.all(&folder()?)?,
            [old, new] if !self.against.is_named() => two(old, new)?,
            _ => {
                let why = "diff compares two files with each other, or, without files, all with what is named";
                return Err(Stop::Usage(why.to_owned()).into());
            }
        };
        let is_changed = !report.findings.is_empty();
        let outcome = if format == Format::Text { text(&report)? } else { report.write(format)? };
        Ok(if outcome == Outcome::Fine && is_changed { Outcome::Pending } else { outcome })
    }

    fn all(&self, folder: &Path) -> Result<Report> {
        let side = Side::of(folder, self.staged)?;
        let texts = Texts::read(&side)?;
        let baseline = self.against.read(folder, &side, &texts)?;
        let config = Config::read(&side)?;
        let mut report = Report {
            command: "diff",
            checked: Vec::new(),
            findings: Vec::new(),
            summary: String::new(),
        };
        let mut invalid: Vec<_> =
            texts.problems.iter().map(|one| Finding::invalid(&texts, one)).collect();
        invalid.extend(baseline.invalid().map(|(texts, one)| Finding::invalid(texts, one)));
        for (subject, root) in texts.subjects() {
            let released = baseline.of(subject);
            match released.last() {
                Some((release, old, before)) => {
                    report.checked.push(subject.to_owned());
                    let all = released.iter().map(|(name, _, root)| (name.as_str(), *root));
                    let sides = Sides {
                        subject,
                        release,
                        released: &all.collect::<Vec<_>>(),
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
    let read = |path| File::read(path).map_err(|error| Stop::Usage(schemas::chain(&*error)));
    let (old, new) = (Texts::new(vec![read(old)?]), Texts::new(vec![read(new)?]));
    let mut findings: Vec<Finding> =
        old.problems.iter().map(|one| Finding::invalid(&old, one)).collect();
    findings.extend(new.problems.iter().map(|one| Finding::invalid(&new, one)));
    let mut checked = Vec::new();
    if let (true, Some(before), Some(after)) =
        (findings.is_empty(), old.schemas.root(0), new.schemas.root(0))
    {
        let subject = after.name().map_or(new.files[0].path.clone(), |name| name.full().to_owned());
        let release = old.files[0].path.clone();
        let (level, config) = (Level::FullTransitive, &Config::default());
        let sides = Sides {
            subject: &subject,
            release: &release,
            released: &[(release.as_str(), before)],
            level,
            config,
            old: &old,
            new: &new,
        };
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

/// Prints one line per change, below its schema.
fn text(report: &Report) -> io::Result<Outcome> {
    let mut last = "";
    for finding in &report.findings {
        if finding.subject != last {
            out!("{}", finding.subject)?;
            last = &finding.subject;
        }
        let place = finding.place.as_ref().or(finding.other.as_ref());
        let at =
            place.map(|place| json_path(&place.file.text, place.bytes.start)).unwrap_or_default();
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
        let path =
            if finding.path.is_empty() { String::new() } else { format!("{}: ", finding.path) };
        out!("  {mark} {path}{}  ({release}{at})", finding.message)?;
        for (word, note) in &finding.notes {
            out!("          {word}: {note}")?;
        }
    }
    out!("{}", report.summary)?;
    Ok(report.outcome())
}

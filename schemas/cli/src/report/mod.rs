//! What a command found, and the forms in which it is told: text for people, JSON for programs, JUnit for continuous
//! integration, annotations for GitHub.

mod github;
mod json;
mod junit;
mod text;

use std::{ops::Range, rc::Rc};

use clap::ValueEnum;
use schemas::avro::{Invalid, Span};

use crate::files::{File, Texts};

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people, with the place in the file; in colour on a terminal.
    Text,
    /// One JSON object.
    Json,
    /// JUnit's XML, a test case for each schema.
    Junit,
    /// Workflow commands that GitHub shows beside the lines.
    Github,
}

/// How a command ends: the process's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// There is nothing to do.
    Fine = 0,
    /// Something has changed that is not taken over yet.
    Pending = 1,
    /// Something is invalid or breaks.
    Broken = 2,
}

/// A place in a file.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) file: Rc<File>,
    pub(crate) bytes: Range<usize>,
    /// What is there.
    pub(crate) label: String,
}

impl Place {
    pub(crate) fn new(texts: &Texts, span: Span, label: impl Into<String>) -> Self {
        Self { file: texts.file(span.source).clone(), bytes: span.range(), label: label.into() }
    }

    /// Line and column of a byte, both from 1, the column in characters.
    fn position(&self, byte: usize) -> (usize, usize) {
        let before = &self.file.text[..byte.min(self.file.text.len())];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// It must not go on like this.
    Error,
    /// It is worth knowing before going on.
    Warning,
    /// It is so.
    Note,
}

impl Weight {
    fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One thing that was found.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    /// The rule or kind.
    pub(crate) id: &'static str,
    /// How much it weighs.
    pub(crate) weight: Weight,
    /// The full name of the type that it is in, or its file.
    pub(crate) subject: String,
    /// Where in the type.
    pub(crate) path: String,
    /// What is wrong, in a sentence.
    pub(crate) message: String,
    /// Where it stands.
    pub(crate) place: Option<Place>,
    /// What it is compared with.
    pub(crate) other: Option<Place>,
    /// More about it: a word and what it says.
    pub(crate) notes: Vec<(&'static str, String)>,
}

impl Finding {
    /// Where it is, in words.
    fn whole_path(&self) -> String {
        if self.path.is_empty() { self.subject.clone() } else { format!("{}: {}", self.subject, self.path) }
    }

    /// A text that is no schema.
    pub(crate) fn invalid(texts: &Texts, invalid: &Invalid) -> Self {
        let root = texts.schemas.root(invalid.span.source as usize);
        let name = root.and_then(|root| root.name());
        Self {
            id: invalid.rule.id(),
            weight: Weight::Error,
            subject: name.map_or(texts.file(invalid.span.source).path.clone(), |name| name.full().to_owned()),
            path: invalid.path.clone(),
            message: invalid.message.clone(),
            place: Some(Place::new(texts, invalid.span, "")),
            other: None,
            notes: invalid.help.iter().map(|help| ("help", help.clone())).collect(),
        }
    }
}

/// All that a command found.
#[derive(Debug)]
pub(crate) struct Report {
    /// The command's name.
    pub(crate) command: &'static str,
    /// What was looked at.
    pub(crate) checked: Vec<String>,
    /// What was found.
    pub(crate) findings: Vec<Finding>,
    /// The last line of the text form.
    pub(crate) summary: String,
}

impl Report {
    /// Writes it to standard output, and says how the command ends.
    pub(crate) fn tell(&self, format: Format) -> Outcome {
        let told = match format {
            Format::Text => text::write(self),
            Format::Json => json::write(self),
            Format::Junit => junit::write(self),
            Format::Github => github::write(self),
        };
        print!("{told}");
        if self.errors() == 0 { Outcome::Fine } else { Outcome::Broken }
    }

    pub(crate) fn errors(&self) -> usize {
        self.count(Weight::Error)
    }

    pub(crate) fn warnings(&self) -> usize {
        self.count(Weight::Warning)
    }

    fn count(&self, weight: Weight) -> usize {
        self.findings.iter().filter(|finding| finding.weight == weight).count()
    }
}

/// `1 error`, `2 errors`.
pub(crate) fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

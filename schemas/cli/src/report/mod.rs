//! What a command found, and the forms in which it is told: text for people, JSON for programs,
//! JUnit for continuous integration, annotations for GitHub.

mod github;
mod json;
mod junit;
mod text;

use std::{fmt, ops::Range, rc::Rc};

use clap::ValueEnum;
use schemas::avro::{Invalid, Span};

use crate::{files::File, texts::Texts};

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
        let file = texts.file(span.source).clone();
        // The parser's spans are whole characters. A report must not depend on it: it would panic.
        let Range { start, end } = span.range();
        let start = file.text.floor_char_boundary(start);
        let bytes = start..file.text.ceil_char_boundary(end).max(start);
        Self { file, bytes, label: label.into() }
    }

    /// Line and column of a byte of the file.
    fn position(&self, byte: usize) -> (usize, usize) {
        position(&self.file.text[..self.file.text.floor_char_boundary(byte)])
    }
}

impl fmt::Display for Place {
    /// Writes `path:line:column`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.position(self.bytes.start);
        write!(f, "{}:{line}:{column}", self.file.path)
    }
}

/// Line and column of what follows `before`, both from 1, the column in characters.
pub(crate) fn position(before: &str) -> (usize, usize) {
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
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
        if self.path.is_empty() {
            self.subject.clone()
        } else {
            format!("{}: {}", self.subject, self.path)
        }
    }

    /// A text that is no schema.
    pub(crate) fn invalid(texts: &Texts, invalid: &Invalid) -> Self {
        let root = texts.schemas.root(invalid.span.source as usize);
        let name = root.and_then(|root| root.name());
        Self {
            id: invalid.rule.id(),
            weight: Weight::Error,
            subject: name.map_or(texts.file(invalid.span.source).path.clone(), |name| {
                name.full().to_owned()
            }),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Config, lint::lint};

    const THING: &str = r#"{ "type": "record", "name": "shop.Thing", "doc": "Ein Ding für €.",
        "fields": [{ "name": "size", "type": ["null", "int"], "doc": "𝄞", "default": null }] }"#;

    /// Every form of the report of a file with this text.
    fn forms(text: &str) -> [String; 4] {
        let file = File {
            path: "avro/Thing.avsc".to_owned(),
            place: "Thing.avsc".to_owned(),
            text: text.to_owned(),
        };
        let texts = Texts::new(vec![file]);
        for problem in &texts.problems {
            assert!(
                text.get(problem.span.range()).is_some(),
                "{problem:?} splits a character of {text}"
            );
        }
        let report = lint(&texts, &Config::default());
        [text::write(&report), json::write(&report), junit::write(&report), github::write(&report)]
    }

    #[test]
    fn character_inserted_anywhere_is_reported_in_every_form() {
        for at in (0..=THING.len()).filter(|at| THING.is_char_boundary(*at)) {
            for inserted in
                ["\u{feff}", "\u{a0}", "“", "é", "𝄞", "\u{202e}", "\0", "\r", "\"", "\\"]
            {
                let text = format!("{}{inserted}{}", &THING[..at], &THING[at..]);
                let [lines, ..] = forms(&text);
                assert!(lines.contains("1 file: "), "{lines}");
            }
        }
    }

    #[test]
    fn text_cut_anywhere_is_reported_in_every_form() {
        for at in (0..THING.len()).filter(|at| THING.is_char_boundary(*at)) {
            for end in ["", "\n", "é", "\u{feff}\n"] {
                let [lines, ..] = forms(&format!("{}{end}", &THING[..at]));
                assert!(lines.contains("error[json]"), "{lines}");
            }
        }
    }

    #[test]
    fn error_at_a_wide_character_names_its_line_column_and_code_point() {
        let [_, json, _, github] = forms("{\n  \"é\": “a”\n}");
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        let place = &json["findings"][0]["place"];
        assert_eq!((&place["line"], &place["column"]), (&2.into(), &8.into()), "{json}");
        assert_eq!((&place["end_line"], &place["end_column"]), (&2.into(), &9.into()), "{json}");
        assert!(github.contains("line=2,endLine=2,col=8,endColumn=9"), "{github}");
        assert!(github.contains("U+201C"), "{github}");
    }

    #[test]
    fn byte_order_mark_is_named() {
        let [lines, ..] = forms(&format!("\u{feff}{THING}"));
        assert!(lines.contains("error[json]") && lines.contains("byte order mark"), "{lines}");
        assert!(lines.contains("avro/Thing.avsc:1:1"), "{lines}");
    }
}

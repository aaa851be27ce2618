//! The findings of a command, and their formats: text for people, JSON for programs, JUnit for
//! continuous integration, annotations for GitHub.

mod github;
mod json;
mod junit;
mod text;

use std::io;

use clap::ValueEnum;
use schemas::avro::Invalid;

use crate::{place::Place, print, texts::Texts};

/// The format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people, with the lines of the files; in colour on a terminal.
    Text,
    /// One JSON object.
    Json,
    /// JUnit's XML, with a test case for each schema.
    Junit,
    /// Workflow commands that GitHub shows beside the lines.
    Github,
}

/// The result of a command, which is its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// There is nothing to do.
    Fine = 0,
    /// Changes are pending.
    Pending = 1,
    /// Something is invalid or breaks.
    Broken = 2,
}

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// It must be fixed.
    Error,
    /// It should be known.
    Warning,
    /// It is a fact.
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

/// One finding.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    /// The id of the rule or kind.
    pub(crate) id: &'static str,
    /// How serious it is.
    pub(crate) weight: Weight,
    /// The full name of the type that it is in, or its file.
    pub(crate) subject: String,
    /// The path in the type.
    pub(crate) path: String,
    /// What is wrong, in a sentence.
    pub(crate) message: String,
    /// The range that it concerns.
    pub(crate) place: Option<Place>,
    /// The range that it is compared with.
    pub(crate) other: Option<Place>,
    /// Further lines, each with the word before it.
    pub(crate) notes: Vec<(&'static str, String)>,
}

impl Finding {
    /// Subject and path, for people.
    fn whole_path(&self) -> String {
        if self.path.is_empty() {
            self.subject.clone()
        } else {
            format!("{}: {}", self.subject, self.path)
        }
    }

    /// The finding of a text that is no valid schema.
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

/// All findings of a command.
#[derive(Debug)]
pub(crate) struct Report {
    /// The command's name.
    pub(crate) command: &'static str,
    /// The subjects that were checked.
    pub(crate) checked: Vec<String>,
    /// The findings.
    pub(crate) findings: Vec<Finding>,
    /// The last line of the text format.
    pub(crate) summary: String,
}

impl Report {
    /// Writes the report to standard output, and returns the result of the command.
    pub(crate) fn write(&self, format: Format) -> io::Result<Outcome> {
        let text = match format {
            Format::Text => text::write(self),
            Format::Json => json::write(self),
            Format::Junit => junit::write(self),
            Format::Github => github::write(self),
        };
        print::bytes(text.as_bytes())?;
        Ok(self.outcome())
    }

    /// The result of the command.
    pub(crate) fn outcome(&self) -> Outcome {
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

/// A number with its noun: `1 error`, `2 errors`.
pub(crate) fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Config, files::File, lint::lint};

    const THING: &str = r#"{ "type": "record", "name": "shop.Thing", "doc": "Ein Ding für €.",
        "fields": [{ "name": "size", "type": ["null", "int"], "doc": "𝄞", "default": null }] }"#;

    /// The report of a file with this text, in every format.
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

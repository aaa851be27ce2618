//! The format for GitHub: workflow commands, which it shows beside the lines of a pull request.
//!
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>

use std::fmt::Write as _;

use super::{Report, Weight};

pub(super) fn write(report: &Report) -> String {
    let mut out = String::new();
    for finding in &report.findings {
        out.push_str(match finding.weight {
            Weight::Error => "::error ",
            Weight::Warning => "::warning ",
            Weight::Note => "::notice ",
        });
        if let Some(place) = &finding.place {
            let (line, column) = place.start();
            let (end_line, end_column) = place.end();
            let _ =
                write!(out, "file={},line={line},endLine={end_line},", property(&place.file.path));
            if line == end_line {
                let _ = write!(out, "col={column},endColumn={end_column},");
            }
        }
        let mut message = format!("{}: {}", finding.whole_path(), finding.message);
        for (word, note) in &finding.notes {
            let _ = write!(message, "\n{word}: {note}");
        }
        let _ = writeln!(out, "title={}::{}", property(finding.id), data(&message));
    }
    let _ = writeln!(out, "{}", report.summary);
    out
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

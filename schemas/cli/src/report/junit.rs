//! The format for continuous integration: JUnit's XML, with a test case for each checked schema.

use std::fmt::Write as _;

use super::{Finding, Report, Weight};

pub(super) fn write(report: &Report) -> String {
    let mut names: Vec<&str> = report.checked.iter().map(String::as_str).collect();
    names.extend(report.findings.iter().map(|finding| finding.subject.as_str()));
    names.sort_unstable();
    names.dedup();
    let failed = |name: &&&str| {
        report.findings.iter().any(|one| one.weight == Weight::Error && one.subject == **name)
    };
    let (tests, failures) = (names.len(), names.iter().filter(failed).count());
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let suite =
        format!("name=\"schemas {}\" tests=\"{tests}\" failures=\"{failures}\"", report.command);
    let _ = writeln!(out, "<testsuites {suite}>\n  <testsuite {suite}>");
    for name in names {
        let escaped = escape(name);
        let _ = write!(
            out,
            "    <testcase classname=\"schemas.{}\" name=\"{escaped}\"",
            report.command
        );
        let mut findings =
            report.findings.iter().filter(|finding| finding.subject == name).peekable();
        if findings.peek().is_none() {
            out.push_str("/>\n");
            continue;
        }
        out.push_str(">\n");
        for finding in findings {
            let body = escape(&body(finding));
            if finding.weight == Weight::Error {
                let message = escape(&finding.message);
                let _ = writeln!(
                    out,
                    "      <failure type=\"{}\" message=\"{message}\">{body}</failure>",
                    finding.id
                );
            } else {
                let _ = writeln!(out, "      <system-out>{body}</system-out>");
            }
        }
        out.push_str("    </testcase>\n");
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

fn body(finding: &Finding) -> String {
    let mut body = String::new();
    if let Some(place) = &finding.place {
        let _ = writeln!(body, "{place}");
    }
    let _ = writeln!(body, "{}: {}", finding.whole_path(), finding.message);
    for (word, note) in &finding.notes {
        let _ = writeln!(body, "{word}: {note}");
    }
    body
}

/// Text for elements and attributes of XML 1.0, which can't represent most control characters.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for one in text.chars() {
        match one {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(one),
            _ if one.is_control() => out.push('\u{FFFD}'),
            _ => out.push(one),
        }
    }
    out
}

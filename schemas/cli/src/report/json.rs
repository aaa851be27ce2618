//! The format for programs: one JSON object. Its keys do not change.

use serde_json::{Value, json};

use super::{Finding, Report};
use crate::place::Place;

pub(super) fn write(report: &Report) -> String {
    let findings: Vec<Value> = report.findings.iter().map(one).collect();
    let report = json!({
        "command": report.command,
        "checked": report.checked,
        "errors": report.errors(),
        "warnings": report.warnings(),
        "findings": findings,
    });
    format!("{report:#}\n")
}

/// A finding as an object.
fn one(finding: &Finding) -> Value {
    let mut object = json!({
        "id": finding.id,
        "severity": finding.weight.word(),
        "subject": finding.subject,
        "path": finding.path,
        "message": finding.message,
        "place": finding.place.as_ref().map(place),
        "released": finding.other.as_ref().map(place),
    });
    for (word, note) in &finding.notes {
        // A key has one value: `diff` may add a note of one word for several problems.
        object[*word] = match object.get(*word).and_then(Value::as_str) {
            Some(before) => json!(format!("{before}; {note}")),
            None => json!(note),
        };
    }
    object
}

fn place(place: &Place) -> Value {
    let (line, column) = place.start();
    let (end_line, end_column) = place.end();
    json!({
        "file": place.file.path,
        "json_path": schemas::avro::json_path(&place.file.text, place.bytes.start),
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Weight;

    #[test]
    fn notes_of_one_word_are_joined() {
        let note = |word, note: &str| (word, note.to_owned());
        let finding = Finding {
            id: "field-type",
            weight: Weight::Error,
            subject: "shop.Thing".to_owned(),
            path: "size".to_owned(),
            message: "int is now string".to_owned(),
            place: None,
            other: None,
            notes: vec![
                note("breaks", "readers"),
                note("fix", "keep it"),
                note("breaks", "writers"),
            ],
        };
        let object = one(&finding);
        assert_eq!(
            (&object["breaks"], &object["fix"]),
            (&json!("readers; writers"), &json!("keep it"))
        );
    }
}

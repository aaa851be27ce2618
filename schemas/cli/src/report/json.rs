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
        object[*word] = json!(note);
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

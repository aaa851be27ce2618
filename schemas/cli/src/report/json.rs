//! For programs: one object, whose keys stay.

use serde_json::{Value, json};

use super::{Finding, Place, Report};

pub(super) fn write(report: &Report) -> String {
    let findings: Vec<Value> = report.findings.iter().map(one).collect();
    let told = json!({
        "command": report.command,
        "checked": report.checked,
        "errors": report.errors(),
        "warnings": report.warnings(),
        "findings": findings,
    });
    format!("{told:#}\n")
}

/// A finding as an object.
fn one(finding: &Finding) -> Value {
    let mut told = json!({
        "id": finding.id,
        "severity": finding.weight.word(),
        "subject": finding.subject,
        "path": finding.path,
        "message": finding.message,
        "place": finding.place.as_ref().map(place),
        "released": finding.other.as_ref().map(place),
    });
    for (word, note) in &finding.notes {
        told[*word] = json!(note);
    }
    told
}

fn place(place: &Place) -> Value {
    let (line, column) = place.position(place.bytes.start);
    let (end_line, end_column) = place.position(place.bytes.end);
    json!({
        "file": place.file.path,
        "json_path": schemas::avro::json_path(&place.file.text, place.bytes.start),
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
    })
}

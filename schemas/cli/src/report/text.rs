//! The format for people, which looks like rustc's errors.

use std::io::IsTerminal as _;

use annotate_snippets::{Annotation, AnnotationKind, Element, Level, Renderer, Snippet};

use super::{Finding, Report, Weight};
use crate::place::Place;

pub(super) fn write(report: &Report) -> String {
    let is_coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let renderer = if is_coloured { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    for finding in &report.findings {
        out.push_str(&one(finding, &renderer));
        out.push_str("\n\n");
    }
    out.push_str(&report.summary);
    out.push('\n');
    out
}

fn one(finding: &Finding, renderer: &Renderer) -> String {
    let level = match finding.weight {
        Weight::Error => Level::ERROR,
        Weight::Warning => Level::WARNING,
        Weight::Note => Level::NOTE,
    };
    let title = format!("{}: {}", finding.whole_path(), finding.message);
    let mut elements: Vec<Element<'_>> = Vec::new();
    elements
        .extend(finding.place.as_ref().map(|place| snippet(place, AnnotationKind::Primary).into()));
    elements
        .extend(finding.other.as_ref().map(|place| snippet(place, AnnotationKind::Context).into()));
    elements.extend(finding.notes.iter().map(|(word, note)| {
        let level = if matches!(*word, "help" | "fix") { Level::HELP } else { Level::NOTE };
        level.with_name(*word).message(note.as_str()).into()
    }));
    let group = level.primary_title(title).id(finding.id).elements(elements);
    renderer.render(&[group])
}

fn snippet(place: &Place, kind: AnnotationKind) -> Snippet<'_, Annotation<'_>> {
    // Of a record or an array over many lines, the first line is shown.
    let text = &place.file.text[place.bytes.clone()];
    let end = text.find('\n').map_or(place.bytes.end, |at| place.bytes.start + at);
    let annotation = kind.span(place.bytes.start..end.max(place.bytes.start));
    let annotation =
        if place.label.is_empty() { annotation } else { annotation.label(place.label.as_str()) };
    Snippet::source(place.file.text.as_str()).path(place.file.path.as_str()).annotation(annotation)
}

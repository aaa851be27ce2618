//! What the rules look at, and the list of their findings. It has no rules.

use std::collections::BTreeSet;

use schemas::avro::{Field, Kind, Record, Span, Type, Use};

use crate::{
    place::Place,
    report::{Finding, Weight},
    texts::{Texts, uses},
};

/// The texts that the rules look at, and their findings.
pub(super) struct Found<'a> {
    pub(super) texts: &'a Texts,
    /// The files that are not valid, which the rules skip.
    pub(super) broken: BTreeSet<u32>,
    pub(super) rule: &'static str,
    pub(super) findings: Vec<Finding>,
}

impl<'a> Found<'a> {
    pub(super) fn new(texts: &'a Texts) -> Self {
        let broken = texts.problems.iter().map(|problem| problem.span.source).collect();
        Self { texts, broken, rule: "", findings: Vec::new() }
    }

    /// Adds a finding of the current rule.
    pub(super) fn say(
        &mut self,
        subject: &str,
        path: &str,
        at: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let help = help.into();
        self.findings.push(Finding {
            id: self.rule,
            weight: Weight::Error,
            subject: subject.to_owned(),
            path: path.to_owned(),
            message: message.into(),
            place: Some(Place::new(self.texts, at, "")),
            other: None,
            notes: if help.is_empty() { Vec::new() } else { vec![("help", help)] },
        });
    }

    /// The named types of valid files, with their full names.
    pub(super) fn named(&self) -> Vec<(&'a str, &'a Type)> {
        let sound = |one: &&Type| one.span.is_some_and(|span| !self.broken.contains(&span.source));
        let types = self.texts.schemas.types().filter(sound);
        types.filter_map(|one| Some((one.kind.name()?.full(), one))).collect()
    }

    /// The records of valid files, with their full names.
    pub(super) fn records(&self) -> Vec<(&'a str, &'a Record)> {
        let named = self.named().into_iter();
        named
            .filter_map(|(name, one)| match &one.kind {
                Kind::Record(record) => Some((name, record)),
                _ => None,
            })
            .collect()
    }

    /// The fields of these records, with the full names of the records.
    pub(super) fn fields(&self) -> Vec<(&'a str, &'a Field)> {
        let records = self.records().into_iter();
        records
            .flat_map(|(name, record)| record.fields.iter().map(move |field| (name, field)))
            .collect()
    }

    /// Adds the types without a name inside a use, with their paths.
    pub(super) fn unnamed(&self, used: Use, path: &str, out: &mut Vec<(String, &'a Type)>) {
        let one = self.texts.schemas.get(used.id);
        if one.kind.name().is_some() {
            return;
        }
        out.push((path.to_owned(), one));
        let step = match &one.kind {
            Kind::Array(_) => "[]",
            Kind::Map(_) => "{}",
            _ => "",
        };
        for inner in uses(&one.kind) {
            self.unnamed(inner, &format!("{path}{step}"), out);
        }
    }
}

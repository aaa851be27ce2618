//! Files that may use each other's types, parsed together, and which of their types are subjects.
//!
//! It reads through [`Side`] only, and knows no rules.

use std::{collections::BTreeMap, rc::Rc};

use anyhow::Result;
use schemas::avro::{Invalid, Kind, Root, Schemas, Use, parse};

use crate::{
    files::{File, Side},
    report::Place,
    stop::Stop,
};

/// The name of folders whose types are only parts of others.
const PARTS: &str = "types";

/// Files that may use each other's types, parsed together.
#[derive(Debug)]
pub(crate) struct Texts {
    /// The files, in the order of their paths.
    pub(crate) files: Vec<Rc<File>>,
    /// Their types.
    pub(crate) schemas: Schemas,
    /// What is wrong with them.
    pub(crate) problems: Vec<Invalid>,
}

impl Texts {
    /// Parses files.
    pub(crate) fn new(files: Vec<File>) -> Self {
        let texts: Vec<&str> = files.iter().map(|file| file.text.as_str()).collect();
        let parsed = parse(&texts);
        Self {
            files: files.into_iter().map(Rc::new).collect(),
            schemas: parsed.schemas,
            problems: parsed.problems,
        }
    }

    /// Every `*.avsc` of the folder `avro`.
    pub(crate) fn read(side: &Side) -> Result<Self> {
        Ok(Self::new(side.avsc("avro")?))
    }

    /// Fails with the first problem of the files, if there is one.
    pub(crate) fn sound(&self) -> Result<()> {
        let Some(problem) = self.problems.first() else { return Ok(()) };
        let place = Place::new(self, problem.span, "");
        Err(Stop::Invalid(format!("{place}: {problem}; `schemas lint` shows all problems")).into())
    }

    /// The file that a source of the parser is.
    pub(crate) fn file(&self, source: u32) -> &Rc<File> {
        &self.files[source as usize]
    }

    /// The named types that files consist of, by full name.
    pub(crate) fn roots(&self) -> BTreeMap<&str, Root<'_>> {
        (0..self.files.len())
            .filter_map(|index| self.schemas.root(index))
            .filter_map(|root| Some((root.name()?.full(), root)))
            .collect()
    }

    /// The roots that are subjects: records that stand on topics by themselves. The others are
    /// parts of these, and are checked, released and registered with them.
    ///
    /// This decides it for every command. A file's place counts, and not whether other files use
    /// its type, because an event that is also kept in a state would no longer be a subject.
    pub(crate) fn subjects(&self) -> BTreeMap<&str, Root<'_>> {
        let is_part = |root: &Root<'_>| {
            let place = &self.file(root.at.span.source).place;
            place.rsplit('/').skip(1).any(|folder| folder == PARTS)
        };
        let is_subject = |root: &Root<'_>| matches!(root.kind(), Kind::Record(_)) && !is_part(root);
        self.roots().into_iter().filter(|(_, root)| is_subject(root)).collect()
    }
}

/// The types that a type uses directly.
pub(crate) fn uses(kind: &Kind) -> Vec<Use> {
    match kind {
        Kind::Array(one) | Kind::Map(one) => vec![*one],
        Kind::Union(branches) => branches.clone(),
        Kind::Record(record) => record.fields.iter().map(|field| field.kind).collect(),
        _ => Vec::new(),
    }
}

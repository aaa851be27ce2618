//! Files that may use each other's types, parsed together, and which of their types are subjects.
//!
//! It reads only through [`Side`], and it knows no rules.

use std::{collections::BTreeMap, rc::Rc};

use anyhow::Result;
use schemas::avro::{Invalid, Kind, Root, Schemas, Use, parse};
use serde_json::Value;

use crate::{
    files::{File, position},
    side::Side,
    stop::Stop,
};

/// The name of the folders whose types are only parts of others.
const PARTS: &str = "types";

/// Files that may use each other's types, parsed together.
#[derive(Debug)]
pub(crate) struct Texts {
    /// The files, sorted by path.
    pub(crate) files: Vec<Rc<File>>,
    /// Their types.
    pub(crate) schemas: Schemas,
    /// The files as JSON, if they are the working ones.
    pub(crate) json: Vec<Option<Value>>,
    /// Their problems.
    pub(crate) problems: Vec<Invalid>,
}

impl Texts {
    /// Parses files. Their JSON is dropped, because a baseline of thousands of files never needs
    /// it.
    pub(crate) fn new(files: Vec<File>) -> Self {
        Self { json: Vec::new(), ..Self::with_json(files) }
    }

    fn with_json(files: Vec<File>) -> Self {
        let texts: Vec<&str> = files.iter().map(|file| file.text.as_str()).collect();
        let parsed = parse(&texts);
        Self {
            files: files.into_iter().map(Rc::new).collect(),
            schemas: parsed.schemas,
            json: parsed.json,
            problems: parsed.problems,
        }
    }

    /// Reads and parses every `*.avsc` of the folder `avro`.
    pub(crate) fn read(side: &Side) -> Result<Self> {
        Ok(Self::with_json(side.avsc("avro")?))
    }

    /// Returns an error with the first problem of the files, if there is one.
    pub(crate) fn sound(&self) -> Result<()> {
        let Some(problem) = self.problems.first() else { return Ok(()) };
        let file = self.file(problem.span.source);
        let start = file.text.floor_char_boundary(problem.span.range().start);
        let (line, column) = position(&file.text[..start]);
        let place = format!("{}:{line}:{column}", file.path);
        Err(Stop::Invalid(format!("{place}: {problem}; `schemas lint` shows all problems")).into())
    }

    /// The file of a source index of the parser.
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

    /// The roots that are subjects: records that can be values of topics. All others are parts of
    /// subjects, and are checked, released and registered with them.
    ///
    /// All commands use this function. The place of the file decides, and not whether other files
    /// use its type: an event that a state contains is still a subject.
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

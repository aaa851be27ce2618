//! A range in a file, as findings name it.

use std::{fmt, ops::Range, rc::Rc};

use schemas::avro::Span;

use crate::{
    files::{File, position},
    texts::Texts,
};

/// A range in a file.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) file: Rc<File>,
    pub(crate) bytes: Range<usize>,
    /// A word or two about it: `now`, `version 3`.
    pub(crate) label: String,
}

impl Place {
    pub(crate) fn new(texts: &Texts, span: Span, label: impl Into<String>) -> Self {
        let file = texts.file(span.source).clone();
        // The parser's spans are whole characters. A report must not depend on that, or it panics.
        let Range { start, end } = span.range();
        let start = file.text.floor_char_boundary(start);
        let bytes = start..file.text.ceil_char_boundary(end).max(start);
        Self { file, bytes, label: label.into() }
    }

    /// Line and column of its beginning.
    pub(crate) fn start(&self) -> (usize, usize) {
        self.position(self.bytes.start)
    }

    /// Line and column of its end.
    pub(crate) fn end(&self) -> (usize, usize) {
        self.position(self.bytes.end)
    }

    fn position(&self, byte: usize) -> (usize, usize) {
        position(&self.file.text[..self.file.text.floor_char_boundary(byte)])
    }
}

impl fmt::Display for Place {
    /// Writes `path:line:column`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.start();
        write!(f, "{}:{line}:{column}", self.file.path)
    }
}

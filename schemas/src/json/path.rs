//! Where in a value a walk is, in words for people. It knows no schema.

use std::fmt;

/// The place where a walk is.
#[derive(Clone, Default)]
pub(super) struct Path {
    text: String,
    /// How long the text was before each part.
    lengths: Vec<usize>,
}

impl Path {
    pub(super) fn field(&mut self, name: &str) {
        self.lengths.push(self.text.len());
        if !self.text.is_empty() {
            self.text.push('.');
        }
        self.text.push_str(name);
    }

    pub(super) fn item(&mut self, part: &dyn fmt::Debug) {
        self.lengths.push(self.text.len());
        self.text.push_str(&format!("[{part:?}]"));
    }

    pub(super) fn up(&mut self) {
        self.text.truncate(self.lengths.pop().unwrap_or_default());
    }

    /// How many parts it has.
    pub(super) fn depth(&self) -> usize {
        self.lengths.len()
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

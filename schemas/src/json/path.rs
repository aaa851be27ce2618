//! The path of the value where a walk is, in words for people. It knows no schema.

use std::fmt;

/// Values within values that are followed: as deep as `serde_json` reads.
pub(super) const DEPTH_MAX: usize = 120;

/// The path of the value where a walk is.
#[derive(Clone, Default)]
pub(super) struct Path {
    text: String,
    /// The length of the text before each part.
    lengths: Vec<usize>,
}

impl Path {
    /// Goes into a field.
    pub(super) fn field(&mut self, name: &str) {
        self.lengths.push(self.text.len());
        if !self.text.is_empty() {
            self.text.push('.');
        }
        self.text.push_str(name);
    }

    /// Goes into an item of an array, or a value of a map.
    pub(super) fn item(&mut self, part: &dyn fmt::Debug) {
        self.lengths.push(self.text.len());
        self.text.push_str(&format!("[{part:?}]"));
    }

    /// Leaves the last part.
    pub(super) fn up(&mut self) {
        self.text.truncate(self.lengths.pop().unwrap_or_default());
    }

    /// The number of its parts.
    pub(super) fn depth(&self) -> usize {
        self.lengths.len()
    }

    /// The path as text; empty for the whole value.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

//! What a command has to say: once for people and once for scripts.

use serde_json::Value;

/// The result of a command.
#[derive(Debug)]
pub(crate) struct Report {
    /// The result as JSON, for `--json`.
    pub(crate) value: Value,
    /// The result for people.
    pub(crate) lines: Vec<String>,
    /// What is said on the standard error besides the result, in both cases.
    pub(crate) notes: Vec<String>,
    /// Whether all that was asked for is done.
    pub(crate) is_done: bool,
}

impl Report {
    /// A result that is complete.
    pub(crate) fn done(value: Value, lines: Vec<String>) -> Self {
        Self { value, lines, notes: Vec::new(), is_done: true }
    }

    /// Adds what is said besides the result.
    pub(crate) fn noting(mut self, note: Option<String>) -> Self {
        self.notes.extend(note);
        self
    }

    /// The same, complete only if `is_done`.
    pub(crate) fn only_if(self, is_done: bool) -> Self {
        Self { is_done, ..self }
    }
}

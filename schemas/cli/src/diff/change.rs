//! One difference between two versions of a schema, and whether it causes a compatibility problem.

use schemas::{
    avro::Span,
    compatibility::{Break, Kind},
};

/// A difference.
pub(super) struct Change {
    /// Its id for programs.
    pub(super) id: &'static str,
    pub(super) path: String,
    pub(super) message: String,
    pub(super) old_at: Option<Span>,
    pub(super) new_at: Option<Span>,
    /// The kinds of problems that it can cause.
    pub(super) kinds: &'static [Kind],
}

impl Change {
    /// Whether it causes this problem.
    pub(super) fn causes(&self, one: &Break) -> bool {
        let inside = one.problem.path.strip_prefix(&self.path);
        self.kinds.contains(&one.problem.kind)
            && inside.is_some_and(|rest| rest.is_empty() || rest.starts_with('|'))
            && (self.id != "symbol-added" && self.id != "symbol-removed" || {
                self.message
                    .split(' ')
                    .nth(1)
                    .is_some_and(|symbol| one.what().starts_with(&format!("symbol {symbol} ")))
            })
    }
}

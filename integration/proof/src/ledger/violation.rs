//! A broken invariant.

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Violation {
    /// The letter of the invariant, A to J.
    pub invariant: char,
    /// The kind of damage.
    pub damage: Damage,
    /// What was found.
    pub what: String,
}

/// The kind of damage that a violation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Damage {
    /// Something was acknowledged and has not happened.
    Lost,
    /// Something has happened more than once.
    Doubled,
    /// Two things that must agree do not.
    Torn,
    /// Something took too long.
    Late,
}

impl Violation {
    /// Creates a violation of `invariant`.
    pub fn new(invariant: char, damage: Damage, what: impl Into<String>) -> Self {
        Self { invariant, damage, what: what.into() }
    }
}

//! A broken invariant.

/// An invariant, by its letter, and how it was broken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Violation {
    /// A to J.
    pub invariant: char,
    /// What is lost, doubled or torn.
    pub damage: Damage,
    /// What was seen.
    pub what: String,
}

/// What a violation means to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Damage {
    /// Something that was acknowledged has not happened.
    Lost,
    /// Something has happened more than once.
    Doubled,
    /// Two things that belong together do not agree.
    Torn,
    /// It took longer than it may.
    Late,
}

impl Violation {
    /// A violation of `invariant`.
    pub fn new(invariant: char, damage: Damage, what: impl Into<String>) -> Self {
        Self { invariant, damage, what: what.into() }
    }
}

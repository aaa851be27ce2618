//! The levels of compatibility that a registry knows.

use std::{fmt, str::FromStr};

use super::problem::Direction;

/// How compatible a new version of a schema must be with the released ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Nothing is checked.
    None,
    /// New readers can read records of the last version.
    Backward,
    /// New readers can read records of every version.
    BackwardTransitive,
    /// Readers of the last version can read new records.
    Forward,
    /// Readers of every version can read new records.
    ForwardTransitive,
    /// Both, with the last version.
    Full,
    /// Both, with every version.
    FullTransitive,
}

impl Level {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::Backward,
        Self::BackwardTransitive,
        Self::Forward,
        Self::ForwardTransitive,
        Self::Full,
        Self::FullTransitive,
    ];

    /// Its name in the registry.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Backward => "BACKWARD",
            Self::BackwardTransitive => "BACKWARD_TRANSITIVE",
            Self::Forward => "FORWARD",
            Self::ForwardTransitive => "FORWARD_TRANSITIVE",
            Self::Full => "FULL",
            Self::FullTransitive => "FULL_TRANSITIVE",
        }
    }

    /// Whether it compares with all versions, and not only with the last.
    pub const fn is_transitive(self) -> bool {
        matches!(self, Self::BackwardTransitive | Self::ForwardTransitive | Self::FullTransitive)
    }

    /// The directions that it checks.
    pub const fn directions(self) -> &'static [Direction] {
        match self {
            Self::None => &[],
            Self::Backward | Self::BackwardTransitive => &[Direction::Backward],
            Self::Forward | Self::ForwardTransitive => &[Direction::Forward],
            Self::Full | Self::FullTransitive => &[Direction::Backward, Direction::Forward],
        }
    }

    /// The order in which readers and writers may be updated to a version that passes this level.
    pub const fn order(self) -> &'static str {
        match self {
            Self::None => "unknown: nothing is checked",
            Self::Backward | Self::BackwardTransitive => "readers first, then writers",
            Self::Forward | Self::ForwardTransitive => "writers first, then readers",
            Self::Full | Self::FullTransitive => "any",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        let mut all = Self::ALL.into_iter();
        all.find(|level| level.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownLevel { text: text.to_owned() })
    }
}

/// A text that names no level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no compatibility level; these are: {}", names())]
pub struct UnknownLevel {
    text: String,
}

/// The names of all levels.
fn names() -> String {
    Level::ALL.map(Level::as_str).join(", ")
}

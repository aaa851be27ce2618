//! Whether what one schema wrote can be read with another, by the rules of Avro's schema resolution
//! (specification 1.12).
//!
//! All problems are reported, each with its path, who breaks, in which order to deploy, and what to
//! do instead. Nothing here reads files or asks a registry; it judges schemas, not values, so that
//! what depends on a value (a long that happens to fit an int) is a problem.

mod problem;
mod resolve;

use std::{fmt, str::FromStr};

pub use problem::{Break, Direction, Kind, Problem, Severity};

use crate::avro::{Invalid, Root, parse_one};

/// How a new version of a schema must get on with its released ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Not at all.
    None,
    /// New readers read what the last version wrote.
    Backward,
    /// New readers read what every version wrote.
    BackwardTransitive,
    /// Readers of the last version read what is written now.
    Forward,
    /// Readers of every version read what is written now.
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

    /// The registry's name of it.
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

    /// Whether all versions count, not only the last.
    pub const fn is_transitive(self) -> bool {
        matches!(self, Self::BackwardTransitive | Self::ForwardTransitive | Self::FullTransitive)
    }

    /// The directions that it asks for.
    pub const fn directions(self) -> &'static [Direction] {
        match self {
            Self::None => &[],
            Self::Backward | Self::BackwardTransitive => &[Direction::Backward],
            Self::Forward | Self::ForwardTransitive => &[Direction::Forward],
            Self::Full | Self::FullTransitive => &[Direction::Backward, Direction::Forward],
        }
    }

    /// In which order readers and writers take a version that this level lets through.
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
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|level| level.as_str().eq_ignore_ascii_case(text)).ok_or_else(
            || {
                let all: Vec<_> = Self::ALL.into_iter().map(Self::as_str).collect();
                format!("{text:?} is no compatibility level; these are: {}", all.join(", "))
            },
        )
    }
}

/// What keeps `reader` from reading what `writer` wrote, and what is worth a warning.
pub fn read(writer: Root<'_>, reader: Root<'_>) -> Vec<Problem> {
    resolve::problems(writer, reader)
}

/// What keeps `working` from standing beside what was released (oldest first, each with what it is
/// called) at this level.
pub fn check(level: Level, released: &[(&str, Root<'_>)], working: Root<'_>) -> Vec<Break> {
    let skipped = if level.is_transitive() { 0 } else { released.len().saturating_sub(1) };
    let mut breaks = Vec::new();
    for &(release, root) in &released[skipped..] {
        for &direction in level.directions() {
            let found = match direction {
                Direction::Backward => read(root, working),
                Direction::Forward => read(working, root),
            };
            breaks.extend(found.into_iter().map(|problem| Break {
                release: release.to_owned(),
                direction,
                problem,
            }));
        }
    }
    breaks
}

/// [`check`] at [`Level::FullTransitive`] for texts that stand by themselves, without what is only
/// worth a warning.
///
/// # Errors
/// What is wrong with the first text that is no schema.
pub fn breaks(working: &str, released: &[(String, &str)]) -> Result<Vec<Break>, Vec<Invalid>> {
    let working = parse_one(working)?;
    let parse = |(name, text): &(String, &str)| Ok((name.clone(), parse_one(text)?));
    let released = released.iter().map(parse).collect::<Result<Vec<_>, Vec<Invalid>>>()?;
    let roots: Vec<_> = released
        .iter()
        .filter_map(|(name, schemas)| Some((name.as_str(), schemas.root(0)?)))
        .collect();
    let mut breaks = working
        .root(0)
        .map_or_else(Vec::new, |working| check(Level::FullTransitive, &roots, working));
    breaks.retain(|found| found.problem.kind.severity() == Severity::Break);
    Ok(breaks)
}

/// [`read`] for two texts that stand by themselves.
pub fn problems(writer: &str, reader: &str) -> Result<Vec<Problem>, Vec<Invalid>> {
    let (writer, reader) = (parse_one(writer)?, parse_one(reader)?);
    match (writer.root(0), reader.root(0)) {
        (Some(writer), Some(reader)) => Ok(read(writer, reader)),
        _ => Ok(Vec::new()),
    }
}

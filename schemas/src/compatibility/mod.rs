//! Whether records of one schema can be read with another, by the rules of Avro's schema resolution
//! (specification 1.12).
//!
//! It reports all problems, each with its path, who fails, the order of deployment, and a fix. It
//! judges schemas and not values, so that a change which fails for some values only (a long that
//! may exceed an int) is a problem. Nothing here reads files or asks a registry.

mod breaks;
mod kind;
mod level;
mod problem;
mod resolve;
mod words;

pub use breaks::Break;
pub use kind::{Kind, Severity};
pub use level::{Level, UnknownLevel};
pub use problem::{Direction, Problem};

use crate::avro::{Invalid, Root, parse_one};

/// Every reason why `reader` may fail to read records of `writer`, and every warning.
pub fn read(writer: Root<'_>, reader: Root<'_>) -> Vec<Problem> {
    resolve::problems(writer, reader)
}

/// Every reason why `working` is not compatible with the released versions at this level. The
/// versions are ordered from the oldest, each with its name for people.
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

/// [`check`] at [`Level::FullTransitive`] for texts without references, and without warnings. A
/// change of meaning is no warning: no reader notices it.
///
/// # Errors
/// The problems of the first text that is no schema.
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
    breaks.retain(|found| found.problem.kind.severity() != Severity::Warning);
    Ok(breaks)
}

/// [`read`] for two texts without references.
///
/// # Errors
/// The problems of the first text that is no schema.
pub fn problems(writer: &str, reader: &str) -> Result<Vec<Problem>, Vec<Invalid>> {
    let (writer, reader) = (parse_one(writer)?, parse_one(reader)?);
    match (writer.root(0), reader.root(0)) {
        (Some(writer), Some(reader)) => Ok(read(writer, reader)),
        _ => Ok(Vec::new()),
    }
}

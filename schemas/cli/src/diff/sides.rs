//! The changes of one schema as findings, each with the problems that it causes. [`Walk`] finds the
//! changes.

use std::collections::HashMap;

use schemas::{
    avro::Root,
    compatibility::{self, Break, Level},
};

use super::{change::Change, walk::Walk};
use crate::{
    check::{self, is_allowed, releases},
    config::Config,
    place::Place,
    report::{Finding, Weight},
    texts::Texts,
};

/// The last version of a subject and the new one, and how the change is judged.
pub(super) struct Sides<'a> {
    pub(super) subject: &'a str,
    /// The name of the last version.
    pub(super) release: &'a str,
    /// All versions from the oldest, each with its name.
    pub(super) released: &'a [(&'a str, Root<'a>)],
    pub(super) level: Level,
    pub(super) config: &'a Config,
    pub(super) old: &'a Texts,
    pub(super) new: &'a Texts,
}

impl Sides<'_> {
    /// Every change since the last version, with the problems that it causes with this version and,
    /// at a transitive level, with all older ones.
    pub(super) fn changes(&self, before: Root<'_>, after: Root<'_>) -> Vec<Finding> {
        let mut breaks = compatibility::check(self.level, self.released, after);
        breaks.retain(|one| !is_allowed(self.config, self.subject, one));
        let mut breaks = merged(breaks);
        let mut findings = Vec::new();
        for change in Walk::changes(before, after) {
            let (caused, others) = breaks.into_iter().partition(|(one, _)| change.causes(one));
            breaks = others;
            findings.push(self.finding(change, caused));
        }
        // A problem that no change explains is a finding of its own. A warning about older versions
        // only was there before.
        for (one, last) in breaks {
            let is_last = last == self.release;
            if !is_last && check::weight(&one) == Weight::Warning {
                continue;
            }
            let change = Change {
                id: one.problem.kind.id(),
                path: one.problem.path.clone(),
                message: one.what(),
                old_at: one.before_at().filter(|_| is_last),
                new_at: one.after_at(),
                kinds: &[],
            };
            findings.push(self.finding(change, vec![(one, last)]));
        }
        findings
    }

    fn finding(&self, change: Change, breaks: Vec<Merged>) -> Finding {
        let mut weight = Weight::Note;
        let mut notes = Vec::new();
        for (one, _) in breaks {
            match (check::weight(&one), weight) {
                (Weight::Error, _) => weight = Weight::Error,
                (Weight::Warning, Weight::Note) => weight = Weight::Warning,
                _ => {}
            }
            for note in [("breaks", one.who()), ("fix", one.fix())] {
                if !notes.contains(&note) {
                    notes.push(note);
                }
            }
        }
        Finding {
            id: change.id,
            weight,
            subject: self.subject.to_owned(),
            path: change.path,
            message: change.message,
            place: change.new_at.map(|at| Place::new(self.new, at, "now")),
            other: change.old_at.map(|at| Place::new(self.old, at, self.release)),
            notes,
        }
    }
}

/// A problem that one or more versions have, and the name of the last of them, which it is taken
/// from.
type Merged = (Break, String);

/// The problems, each once for all versions that have it.
fn merged(breaks: Vec<Break>) -> Vec<Merged> {
    let mut groups: Vec<(Break, Vec<String>)> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for one in breaks {
        let (kind, path, direction) = (one.problem.kind, &one.problem.path, one.direction);
        let (what, before, after) = (one.what(), one.before(), one.after());
        let key = format!("{kind:?} {path} {direction:?} {what} {before:?} {after:?}");
        match known.get(&key) {
            Some(&index) => {
                let (last, names) = &mut groups[index];
                names.push(one.release.clone());
                *last = one;
            }
            None => {
                known.insert(key, groups.len());
                groups.push((one.clone(), vec![one.release]));
            }
        }
    }
    let merge = |(one, names): (Break, Vec<String>)| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        (Break { release: releases(&names), ..one.clone() }, one.release)
    };
    groups.into_iter().map(merge).collect()
}

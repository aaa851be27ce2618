//! The changes of one schema as findings, each with the problems that it causes. [`Walk`] finds the
//! changes.

use schemas::{
    avro::Root,
    compatibility::{self, Break, Level},
};

use super::{change::Change, walk::Walk};
use crate::{
    check::{self, is_allowed},
    config::Config,
    place::Place,
    report::{Finding, Weight},
    texts::Texts,
};

/// The two versions of a subject, and how they are judged.
pub(super) struct Sides<'a> {
    pub(super) subject: &'a str,
    pub(super) release: &'a str,
    pub(super) level: Level,
    pub(super) config: &'a Config,
    pub(super) old: &'a Texts,
    pub(super) new: &'a Texts,
}

impl Sides<'_> {
    /// Every change, with the problems that it causes.
    pub(super) fn changes(&self, before: Root<'_>, after: Root<'_>) -> Vec<Finding> {
        let mut breaks = compatibility::check(self.level, &[(self.release, before)], after);
        breaks.retain(|one| !is_allowed(self.config, self.subject, one));
        let mut findings = Vec::new();
        for change in Walk::changes(before, after) {
            let (caused, others) = breaks.into_iter().partition(|one| change.causes(one));
            breaks = others;
            findings.push(self.finding(change, caused));
        }
        // A problem that no change explains is a finding of its own.
        for one in breaks {
            let change = Change {
                id: one.problem.kind.id(),
                path: one.problem.path.clone(),
                message: one.what(),
                old_at: one.before_at(),
                new_at: one.after_at(),
                kinds: &[],
            };
            findings.push(self.finding(change, vec![one]));
        }
        findings
    }

    fn finding(&self, change: Change, breaks: Vec<Break>) -> Finding {
        let mut weight = Weight::Note;
        let mut notes = Vec::new();
        for one in breaks {
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

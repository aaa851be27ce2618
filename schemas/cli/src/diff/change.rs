//! The changes of one schema, each with what it breaks. [`Walk`] finds them.

use schemas::{
    avro::{Root, Span},
    compatibility::{self, Break, Level},
};

use super::walk::Walk;
use crate::{
    check::{self, is_allowed},
    config::Config,
    report::{Finding, Place, Weight},
    texts::Texts,
};

/// What is compared.
pub(super) struct Sides<'a> {
    pub(super) subject: &'a str,
    pub(super) release: &'a str,
    pub(super) level: Level,
    pub(super) config: &'a Config,
    pub(super) old: &'a Texts,
    pub(super) new: &'a Texts,
}

impl Sides<'_> {
    /// Every change, with what it breaks.
    pub(super) fn changes(&self, before: Root<'_>, after: Root<'_>) -> Vec<Finding> {
        let mut breaks = compatibility::check(self.level, &[(self.release, before)], after);
        breaks.retain(|one| !is_allowed(self.config, self.subject, one));
        let mut findings = Vec::new();
        for change in Walk::changes(before, after) {
            let (caused, others) = breaks.into_iter().partition(|one| change.causes(one));
            breaks = others;
            findings.push(self.finding(change, caused));
        }
        // Whatever no change explains is told by itself.
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

pub(super) struct Change {
    pub(super) id: &'static str,
    pub(super) path: String,
    pub(super) message: String,
    pub(super) old_at: Option<Span>,
    pub(super) new_at: Option<Span>,
    /// The kinds of problems that it may cause.
    pub(super) kinds: &'static [schemas::compatibility::Kind],
}

impl Change {
    fn causes(&self, one: &Break) -> bool {
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

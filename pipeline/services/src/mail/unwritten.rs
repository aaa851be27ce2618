//! Reports that are not known to be written to the log, in memory. A mail with such a report was
//! sent and is not sent again, as long as the process lives. It writes nothing.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use uuid::Uuid;

use super::mailer::Report;

/// A bounded number of reports. When there is no room for another one, it forgets the report that
/// was inserted or found longest ago: those of the turn under way are the last to be forgotten.
pub(super) struct Unwritten {
    reports_max: usize,
    reports: Mutex<Reports>,
}

#[derive(Default)]
struct Reports {
    /// Each report with the number of its last use, by the id of its command.
    by_id: HashMap<Uuid, (u64, Report)>,
    /// The number of uses so far.
    uses: u64,
}

impl Unwritten {
    /// Room for `reports_max` reports.
    pub(super) fn new(reports_max: usize) -> Self {
        Self { reports_max, reports: Mutex::default() }
    }

    /// The report with this id. Returns `None` if its mail was not sent, or the report was removed.
    pub(super) fn find(&self, id: Uuid) -> Option<Report> {
        let mut reports = self.reports();
        let uses = reports.next_use();
        let (used, report) = reports.by_id.get_mut(&id)?;
        *used = uses;
        Some(report.clone())
    }

    /// Keeps the report on a mail that was sent.
    pub(super) fn insert(&self, id: Uuid, report: Report) {
        let mut reports = self.reports();
        while reports.by_id.len() >= self.reports_max {
            let oldest = reports.by_id.iter().min_by_key(|(_, (used, _))| *used);
            let Some(oldest) = oldest.map(|(id, _)| *id) else { break };
            reports.by_id.remove(&oldest);
        }
        let uses = reports.next_use();
        reports.by_id.insert(id, (uses, report));
    }

    /// Removes a report that is written.
    pub(super) fn remove(&self, id: Uuid) {
        self.reports().by_id.remove(&id);
    }

    fn reports(&self) -> MutexGuard<'_, Reports> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reports {
    fn next_use(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(number: u128) -> Report {
        Report { delivered: true, detail: number.to_string() }
    }

    #[test]
    fn report_without_room_replaces_the_one_that_was_used_longest_ago() {
        let unwritten = Unwritten::new(3);
        // given one report of an earlier turn that is used again, and one that is not
        for number in [1, 2, 3] {
            unwritten.insert(Uuid::from_u128(number), report(number));
        }
        assert_eq!(unwritten.find(Uuid::from_u128(1)), Some(report(1)));
        // when there are two reports more
        unwritten.insert(Uuid::from_u128(4), report(4));
        let known = |number| unwritten.find(Uuid::from_u128(number)).is_some();
        assert_eq!([1, 2, 3, 4].map(known), [true, false, true, true]);
        unwritten.insert(Uuid::from_u128(5), report(5));
        assert_eq!([1, 3, 4, 5].map(known), [false, true, true, true]);
    }

    #[test]
    fn removed_report_makes_room() {
        let unwritten = Unwritten::new(2);
        for number in [1, 2] {
            unwritten.insert(Uuid::from_u128(number), report(number));
        }
        unwritten.remove(Uuid::from_u128(2));
        unwritten.insert(Uuid::from_u128(3), report(3));
        let known = |number| unwritten.find(Uuid::from_u128(number)).is_some();
        assert_eq!([1, 2, 3].map(known), [true, false, true]);
    }
}

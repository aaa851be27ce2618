//! The result of all rounds, as a table for people and as JSON.

use std::collections::BTreeSet;
use std::process::ExitCode;

use serde::Serialize;

use super::{Mutant, Suite};
use crate::ledger::{Damage, Violation};

/// The number of violations that are printed at a time.
const SHOWN: usize = 8;

/// The results of all runs of one fault.
#[derive(Default, Serialize)]
pub(super) struct Row {
    pub(super) fault: &'static str,
    pub(super) runs: u32,
    pub(super) acknowledged: usize,
    pub(super) lost: usize,
    pub(super) doubled: usize,
    pub(super) torn: usize,
    pub(super) late: usize,
    /// The longest wait of a command for its outcome, in seconds, by the broker's clock.
    pub(super) longest_s: f64,
    /// The longest time from the end of the fault until everything was decided and projected, in
    /// seconds.
    pub(super) recovery_s: f64,
    pub(super) not_run: Option<&'static str>,
    pub(super) violations: Vec<Violation>,
}

impl Row {
    /// Prints the violations and counts them.
    pub(super) fn report(&mut self, violations: Vec<Violation>) {
        for violation in violations.iter().take(SHOWN) {
            integration::say!(
                "         {} {:?}: {}",
                violation.invariant,
                violation.damage,
                violation.what
            );
        }
        for violation in &violations {
            *match violation.damage {
                Damage::Lost => &mut self.lost,
                Damage::Doubled => &mut self.doubled,
                Damage::Torn => &mut self.torn,
                Damage::Late => &mut self.late,
            } += 1;
        }
        self.violations.extend(violations);
    }
}

impl Suite {
    pub(super) fn tell(&self, rows: &[Row]) -> anyhow::Result<ExitCode> {
        integration::say!(
            "\n| fault | runs | acknowledged | lost | doubled | torn | longest wait s | recovery s |"
        );
        integration::say!("| --- | --- | --- | --- | --- | --- | --- | --- |");
        for row in rows {
            match row.not_run {
                Some(why) => integration::say!("| {} | not run: {why} | | | | | | |", row.fault),
                None => integration::say!(
                    "| {} | {} | {} | {} | {} | {} | {:.1} | {:.1} |",
                    row.fault,
                    row.runs,
                    row.acknowledged,
                    row.lost,
                    row.doubled,
                    row.torn,
                    row.longest_s,
                    row.recovery_s
                ),
            }
        }
        let file = self.world.out.join("table.json");
        std::fs::write(&file, serde_json::to_string_pretty(&rows)?)?;
        integration::say!("\nhistories and this table as JSON: {}", self.world.out.display());
        let violated: BTreeSet<char> = rows
            .iter()
            .flat_map(|row| &row.violations)
            .map(|violation| violation.invariant)
            .collect();
        let letters: String = violated.iter().flat_map(|letter| [*letter, ' ']).collect();
        let fine = match self.options.mutant {
            None => {
                integration::say!(
                    "{}",
                    if violated.is_empty() {
                        "no invariant was violated".to_owned()
                    } else {
                        format!("violated: {letters}")
                    }
                );
                violated.is_empty()
            }
            Some(Mutant { name, violates, .. }) if violated.contains(&violates) => {
                integration::say!("the mutant {name} was caught by {letters}");
                true
            }
            Some(Mutant { name, violates, .. }) => {
                integration::say!("the mutant {name} was NOT caught by {violates}: {letters}");
                false
            }
        };
        let is_left_out = rows.iter().any(|row| row.not_run.is_some());
        Ok(match fine {
            false => ExitCode::FAILURE,
            true if is_left_out => ExitCode::from(2),
            true => ExitCode::SUCCESS,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violations_of_all_reports_are_counted_by_their_damage() {
        let violation = |damage| Violation::new('A', damage, "something");
        let mut row = Row::default();
        row.report(vec![violation(Damage::Lost), violation(Damage::Torn)]);
        row.report(vec![violation(Damage::Lost), violation(Damage::Doubled)]);
        row.report(vec![violation(Damage::Late)]);
        assert_eq!((row.lost, row.doubled, row.torn, row.late), (2, 1, 1, 1));
        assert_eq!(row.violations.len(), 5);
    }
}

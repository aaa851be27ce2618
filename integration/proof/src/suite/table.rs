//! The result of all rounds, as a table for people and as JSON.

use std::collections::BTreeSet;
use std::process::ExitCode;

use serde::Serialize;

use super::{Mutant, Suite};
use crate::ledger::Violation;

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
            Some(Mutant { name, violates }) if violated.contains(&violates) => {
                integration::say!("the mutant {name} was caught by {letters}");
                true
            }
            Some(Mutant { name, violates }) => {
                integration::say!("the mutant {name} was NOT caught by {violates}: {letters}");
                false
            }
        };
        Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

//! The report of a run: it prints each step when it has ended, and all of them as a table. It
//! decides nothing itself.

use std::time::{Duration, Instant};

use anyhow::Context as _;

/// The steps so far.
pub(crate) struct Report {
    begun: Instant,
    rows: Vec<(String, Duration, String)>,
}

impl Report {
    /// Creates a report without a step.
    pub(crate) fn new() -> Self {
        Self { begun: Instant::now(), rows: Vec::new() }
    }

    /// Runs a step.
    pub(crate) async fn step(
        &mut self,
        name: &str,
        work: impl Future<Output = anyhow::Result<String>>,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        let seen = work.await.with_context(|| name.to_owned());
        let (took, at) = (begun.elapsed(), self.begun.elapsed().as_secs());
        let text = match &seen {
            Ok(seen) => seen.clone(),
            Err(error) => format!("**failed**: {}", integration::chain(&**error)),
        };
        integration::say!("[{at:4} s] {name}: {text} ({:.1} s)", took.as_secs_f64());
        self.rows.push((name.to_owned(), took, text));
        seen.map(drop)
    }

    /// All steps as a Markdown table.
    pub(crate) fn table(&self) -> String {
        let row = |(name, took, seen): &(String, Duration, String)| {
            format!(
                "| {name} | {:.1} s | {} |\n",
                took.as_secs_f64(),
                seen.replace('\n', " ").replace('|', "\\|")
            )
        };
        let rows: String = self.rows.iter().map(row).collect();
        format!("| step | time | seen |\n| --- | --- | --- |\n{rows}")
    }
}

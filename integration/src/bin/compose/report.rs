//! The steps of a run: each is printed when it is done, and all of them make a table. It judges
//! nothing itself.

use std::time::{Duration, Instant};

use anyhow::Context as _;

/// What was done so far.
pub(crate) struct Report {
    begun: Instant,
    only: Option<String>,
    rows: Vec<(String, Duration, String)>,
}

impl Report {
    /// A report that skips optional steps whose name does not contain `only`.
    pub(crate) fn new(only: Option<String>) -> Self {
        Self { begun: Instant::now(), only, rows: Vec::new() }
    }

    /// Whether an optional step is wanted.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
    }

    /// Runs a step that others build on.
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
            Err(error) => format!("**failed**: {error:#}"),
        };
        println!("[{at:4} s] {name}: {text} ({:.1} s)", took.as_secs_f64());
        self.rows.push((name.to_owned(), took, text));
        seen.map(drop)
    }

    /// Runs a step that nothing builds on, if it is wanted.
    pub(crate) async fn optional(
        &mut self,
        name: &str,
        work: impl Future<Output = anyhow::Result<String>>,
    ) -> anyhow::Result<()> {
        if self.wants(name) { self.step(name, work).await } else { Ok(()) }
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

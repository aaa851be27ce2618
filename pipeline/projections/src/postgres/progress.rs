//! What projectors have applied, and when, for as long as traces are kept: a row for each process
//! and second in which it has applied anything. It decides nothing, and no projection waits for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use schemas::chain;

use super::{error::failed, pool::Postgres, reads::Reads, trace::DAY_MS};
use crate::{
    StoreError,
    deadline::WRITE_MAX,
    progress::{Progress, Steps, pack, unpack},
};

/// How often a row is written.
const EVERY: Duration = Duration::from_secs(1);
/// The most rows that are read at once: those of four processes in half a minute, twice over.
const ROWS_MAX: i64 = 240;

impl Postgres {
    /// Writes what the projectors of this process apply until the shutdown. While PostgreSQL does
    /// not answer, it keeps a bounded part.
    pub async fn write_progress(self, progress: Progress, shutdown: Arc<AtomicBool>) {
        let mut is_migrated = false;
        loop {
            let is_last = shutdown.load(Ordering::Relaxed);
            let steps = progress.take();
            if !steps.is_empty() {
                let written = async {
                    if !is_migrated {
                        self.migrate().await?;
                    }
                    self.insert_progress(&steps).await
                };
                match written.await {
                    Ok(()) => is_migrated = true,
                    Err(error) => {
                        let error = chain(&error);
                        tracing::warn!(
                            error,
                            "the times at which records were applied could not be written yet"
                        );
                        progress.give_back(steps);
                    }
                }
            }
            if is_last {
                return;
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Inserts a row.
    async fn insert_progress(&self, steps: &Steps) -> Result<(), StoreError> {
        let Some((first_ms, last_ms, row)) = pack(steps)? else { return Ok(()) };
        let doing = "writing when records were applied";
        let day = i32::try_from(last_ms.div_euclid(DAY_MS)).unwrap_or(i32::MAX);
        let inserting = async {
            let client = self.get().await?;
            let sql = "INSERT INTO progress (day, first_ms, last_ms, steps)
                       VALUES ($1, $2, $3, $4)";
            let statement = client.prepare_cached(sql).await.map_err(failed(doing))?;
            let inserted = client.execute(&statement, &[&day, &first_ms, &last_ms, &row]).await;
            inserted.map(drop).map_err(failed(doing))
        };
        self.within(WRITE_MAX, doing, inserting).await
    }
}

impl Reads {
    /// The steps of some spans of time, from and to a time in milliseconds; not all, if they are
    /// too many.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn progress(&self, spans: &[(i64, i64)]) -> Result<Steps, StoreError> {
        let (from, to): (Vec<_>, Vec<_>) = spans.iter().copied().unzip();
        let sql = "SELECT first_ms, steps FROM unnest($1::bigint[], $2::bigint[]) AS span (a, b),
                       LATERAL (SELECT first_ms, last_ms, steps FROM progress
                                WHERE last_ms >= a AND first_ms <= b AND last_ms <= b + 60000
                                ORDER BY last_ms LIMIT $3) AS found
                   LIMIT $3";
        let doing = "reading when records were applied";
        let rows = self.all(doing, sql, &[&from, &to, &ROWS_MAX]).await?;
        let mut steps = Steps::new();
        for row in &rows {
            unpack(row.get(0), row.get(1), &mut steps)?;
        }
        Ok(steps)
    }
}

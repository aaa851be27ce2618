//! Migrations of the tables. Each step runs once, in order. A step that has run anywhere never
//! changes: a change of the tables is a new step. Then every service that has no tables for its
//! traces gets them.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use tokio::time::timeout;
use tokio_postgres::{Client, Transaction, error::SqlState};

use super::{error::failed, trace_tables};
use crate::{
    StoreError,
    deadline::{WRITE_MAX, within},
};

/// What is tried, for errors.
pub(super) const DOING: &str = "migrating the tables of PostgreSQL";
/// How often a migration that takes long is logged.
const TELL_EVERY: Duration = Duration::from_secs(30);

/// The key of the advisory lock. Any number, the same in every program that migrates.
const LOCK: i64 = 0x006d_696c_6c72_6163;

/// The steps, in order.
const STEPS: &[&str] = &[
    include_str!("migrations/0001_read_models.sql"),
    include_str!("migrations/0002_dead_letters.sql"),
    include_str!("migrations/0003_ends.sql"),
    include_str!("migrations/0004_statistics.sql"),
    include_str!("migrations/0005_trace.sql"),
    include_str!("migrations/0006_operations.sql"),
    include_str!("migrations/0007_operations_contents.sql"),
    include_str!("migrations/0008_progress.sql"),
    include_str!("migrations/0009_resent.sql"),
    include_str!("migrations/0010_trace_records.sql"),
    include_str!("migrations/0011_edited.sql"),
    include_str!("migrations/0012_schema_ids.sql"),
    include_str!("migrations/0013_statistics_figures.sql"),
];

/// The table of steps that have run.
const CREATE: &str = "CREATE TABLE IF NOT EXISTS migrations \
    (step int PRIMARY KEY, ran_at timestamptz NOT NULL DEFAULT now())";

/// A step on a table of many rows takes as long as it takes. But it waits for locks only briefly,
/// because every statement that needs the table waits behind it.
const LIMITS: &str = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '5s'";

/// Runs the steps that have not run, each in a transaction of its own, so that a step that fails
/// undoes none before it. Then it creates the tables of traces. A lock lets one program migrate at
/// a time; the others wait for as long as that takes.
pub(super) async fn run(client: &mut Client) -> Result<(), StoreError> {
    let begun = Instant::now();
    let mut migrating = pin!(async {
        while !next(client).await? {}
        Ok(())
    });
    loop {
        match timeout(TELL_EVERY, &mut migrating).await {
            Ok(migrated) => return migrated,
            Err(_) => tracing::info!(
                seconds = begun.elapsed().as_secs(),
                "the tables of PostgreSQL are still being migrated, by this or another program"
            ),
        }
    }
}

/// Runs the next step, or nothing if another program migrates. Returns whether all have run. Only
/// the step itself may take longer than a write: a server that does not answer anything else does
/// not answer at all.
async fn next(client: &mut Client) -> Result<bool, StoreError> {
    let Some((transaction, done)) = within(WRITE_MAX, DOING, begin(client)).await? else {
        return Ok(false);
    };
    let next = (0_i32..).zip(STEPS).nth(usize::try_from(done).unwrap_or(usize::MAX));
    if let Some((_, sql)) = next {
        transaction.batch_execute(sql).await.map_err(failed(DOING))?;
    }
    within(WRITE_MAX, DOING, end(transaction, next.map(|(step, _)| step))).await?;
    Ok(next.is_none())
}

/// Begins the transaction of the next step, and returns it with the number of steps that have run.
/// Returns `None` if another program migrates.
async fn begin(client: &mut Client) -> Result<Option<(Transaction<'_>, i64)>, StoreError> {
    let failed = failed(DOING);
    let transaction = client.transaction().await.map_err(&failed)?;
    transaction.batch_execute(LIMITS).await.map_err(&failed)?;
    match transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await {
        Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => return Ok(None),
        locked => locked.map_err(&failed)?,
    };
    transaction.batch_execute(CREATE).await.map_err(&failed)?;
    let done = transaction.query_one("SELECT count(*) FROM migrations", &[]).await;
    let done = done.map_err(&failed)?.get(0);
    Ok(Some((transaction, done)))
}

/// Notes the step that has run, or creates the tables of traces if all have, and commits.
async fn end(transaction: Transaction<'_>, step: Option<i32>) -> Result<(), StoreError> {
    let failed = failed(DOING);
    match step {
        Some(step) => {
            let note = "INSERT INTO migrations (step) VALUES ($1)";
            transaction.execute(note, &[&step]).await.map_err(&failed)?;
        }
        None => transaction.batch_execute(&trace_tables::CREATION).await.map_err(&failed)?,
    }
    transaction.commit().await.map_err(&failed)?;
    if let Some(step) = step {
        tracing::info!(migration.step = step, "migrated the tables of PostgreSQL");
    }
    Ok(())
}

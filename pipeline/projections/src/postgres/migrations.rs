//! Migrations of the tables. Each step runs once, in order. A step that has run anywhere never
//! changes: a change of the tables is a new step. Then every service that has no tables for its
//! traces gets them.

use tokio_postgres::{Client, error::SqlState};

use super::{error::failed, trace_tables};
use crate::StoreError;

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
/// because whoever needs the table waits behind it.
const LIMITS: &str = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '5s'";

/// Runs the steps that have not run, each in a transaction of its own, so that a step that fails
/// undoes none before it. Then it creates the tables of traces. A lock lets one program migrate at
/// a time; the others wait for as long as that takes.
pub(super) async fn run(client: &mut Client) -> Result<(), StoreError> {
    while !next(client).await? {}
    Ok(())
}

/// Runs the next step, or nothing if another program migrates. Returns whether all have run.
async fn next(client: &mut Client) -> Result<bool, StoreError> {
    let failed = failed("migrating the tables of PostgreSQL");
    let transaction = client.transaction().await.map_err(&failed)?;
    transaction.batch_execute(LIMITS).await.map_err(&failed)?;
    match transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await {
        Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => return Ok(false),
        locked => locked.map_err(&failed)?,
    };
    transaction.batch_execute(CREATE).await.map_err(&failed)?;
    let done: i64 = transaction
        .query_one("SELECT count(*) FROM migrations", &[])
        .await
        .map_err(&failed)?
        .get(0);
    let next = (0_i32..).zip(STEPS).nth(usize::try_from(done).unwrap_or(usize::MAX));
    match next {
        Some((step, sql)) => {
            transaction.batch_execute(sql).await.map_err(&failed)?;
            let note = "INSERT INTO migrations (step) VALUES ($1)";
            transaction.execute(note, &[&step]).await.map_err(&failed)?;
            tracing::info!(migration.step = step, "migrated the tables of PostgreSQL");
        }
        None => transaction.batch_execute(&trace_tables::CREATION).await.map_err(&failed)?,
    }
    transaction.commit().await.map_err(&failed)?;
    Ok(next.is_none())
}

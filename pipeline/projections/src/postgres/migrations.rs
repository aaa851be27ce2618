//! Migrations of the tables. Each step runs once, in order. A step that has run anywhere never
//! changes: a change of the tables is a new step. Then every service that has no tables for its
//! traces gets them.

use tokio_postgres::Client;

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
];

/// The table of steps that have run.
const CREATE: &str = "CREATE TABLE IF NOT EXISTS migrations \
    (step int PRIMARY KEY, ran_at timestamptz NOT NULL DEFAULT now())";

/// Runs the steps that have not run, and creates the tables of traces, in one transaction. A lock
/// lets one program migrate at a time.
pub(super) async fn run(client: &mut Client) -> Result<(), StoreError> {
    let failed = failed("migrating the tables of PostgreSQL");
    let transaction = client.transaction().await.map_err(&failed)?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.map_err(&failed)?;
    transaction.batch_execute(CREATE).await.map_err(&failed)?;
    let done: i64 = transaction
        .query_one("SELECT count(*) FROM migrations", &[])
        .await
        .map_err(&failed)?
        .get(0);
    for (step, sql) in (0_i32..).zip(STEPS).skip(usize::try_from(done).unwrap_or(usize::MAX)) {
        transaction.batch_execute(sql).await.map_err(&failed)?;
        transaction
            .execute("INSERT INTO migrations (step) VALUES ($1)", &[&step])
            .await
            .map_err(&failed)?;
        tracing::info!(migration.step = step, "migrated the tables of PostgreSQL");
    }
    transaction.batch_execute(&trace_tables::CREATION).await.map_err(&failed)?;
    transaction.commit().await.map_err(&failed)
}

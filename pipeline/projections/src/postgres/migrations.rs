//! The tables, as steps that each run once. A step that has run anywhere never changes: what comes
//! next is a new one.

use tokio_postgres::Client;

use super::failed;
use crate::StoreError;

/// Any number, the same in every program that migrates.
const LOCK: i64 = 0x006d_696c_6c72_6163;

/// The steps, in order.
const STEPS: &[&str] = &[
    include_str!("migrations/0001_read_models.sql"),
    include_str!("migrations/0002_dead_letters.sql"),
    include_str!("migrations/0003_ends.sql"),
];

/// Runs the steps that have not run, all in one transaction, one program at a time.
pub(super) async fn run(client: &mut Client) -> Result<(), StoreError> {
    let failed = failed("migrating the tables of PostgreSQL");
    let transaction = client.transaction().await.map_err(&failed)?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.map_err(&failed)?;
    let table = "CREATE TABLE IF NOT EXISTS migrations (step int PRIMARY KEY, ran_at timestamptz NOT NULL DEFAULT now())";
    transaction.batch_execute(table).await.map_err(&failed)?;
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
    transaction.commit().await.map_err(&failed)
}

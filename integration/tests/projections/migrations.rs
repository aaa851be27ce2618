//! Migrations of PostgreSQL's tables.

use std::time::Duration;

use crate::support::Bench;

#[test]
#[ignore = "needs the stack: integration/test"]
fn migration_waits_for_that_of_another_program_for_longer_than_statements_may_take() {
    let bench = Bench::new(14);
    let hasty = bench.postgres_within(200);
    // The key is that of `postgres/migrations.rs`.
    let lock = "BEGIN; SELECT pg_advisory_xact_lock(30796686858281315); SELECT pg_sleep(1); COMMIT";
    let migrated = bench.wait(async {
        let migrating = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            hasty.migrate().await
        };
        tokio::join!(bench.execute(lock), migrating).1
    });
    migrated.expect("migrated");
}

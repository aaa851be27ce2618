//! Positions in PostgreSQL: claimed with a new epoch, moved in the transaction that writes the
//! rows, and erased in the one that erases them.

use deadpool_postgres::Transaction;
use redpanda::log::TopicPartition;

use super::{Postgres, failed, storable};
use crate::{
    StoreError,
    deadline::WRITE_MAX,
    projection::{Batch, Claim},
};

/// Claims a partition. Waits for a transaction of the former owner that is under way.
pub(super) async fn claim(
    postgres: &Postgres,
    projection: &str,
    place: &TopicPartition,
) -> Result<Claim, StoreError> {
    let work = async {
        let failed = failed("claiming a partition");
        let client = postgres.get().await?;
        let sql =
            "INSERT INTO positions (projection, topic, partition, epoch) VALUES ($1, $2, $3, 1)
               ON CONFLICT (projection, topic, partition) DO UPDATE SET epoch = positions.epoch + 1
               RETURNING epoch, next";
        let row = client
            .query_one(sql, &[&projection, &&*place.topic, &place.partition])
            .await
            .map_err(failed)?;
        Ok(Claim { epoch: row.get(0), next: row.get(1) })
    };
    postgres.within(WRITE_MAX, "claiming a partition", work).await
}

/// The newest claim of a partition.
pub(super) async fn held(
    postgres: &Postgres,
    projection: &str,
    place: &TopicPartition,
) -> Result<Option<Claim>, StoreError> {
    let work = async {
        let failed = failed("looking at a position");
        let client = postgres.get().await?;
        let sql = "SELECT epoch, next FROM positions WHERE projection = $1 AND topic = $2 AND partition = $3";
        let statement = client.prepare_cached(sql).await.map_err(&failed)?;
        let row = client
            .query_opt(&statement, &[&projection, &&*place.topic, &place.partition])
            .await
            .map_err(&failed)?;
        Ok(row.map(|row| Claim { epoch: row.get(0), next: row.get(1) }))
    };
    postgres.within(WRITE_MAX, "looking at a position", work).await
}

/// Moves a position, if it is still the batch's.
const FENCED: &str =
    "UPDATE positions SET next = $1 WHERE projection = $2 AND topic = $3 AND partition = $4
                      AND epoch = $5 AND next IS NOT DISTINCT FROM $6";
/// The mutant `no-fence`: moves the position, also if another owner has it.
const UNFENCED: &str =
    "UPDATE positions SET next = $1 WHERE projection = $2 AND topic = $3 AND partition = $4
                        AND (true OR epoch = $5 AND next IS NOT DISTINCT FROM $6)";

/// Moves the position, first thing in the transaction: its row is locked until the commit.
pub(super) async fn advance(
    transaction: &Transaction<'_>,
    projection: &str,
    batch: &Batch<'_>,
) -> Result<(), StoreError> {
    let failed = failed("moving a position");
    let sql = if redpanda::mutant::is_active("no-fence") { UNFENCED } else { FENCED };
    let statement = transaction.prepare_cached(sql).await.map_err(&failed)?;
    let (topic, partition) = (&*batch.place.topic, batch.place.partition);
    let moved = transaction
        .execute(
            &statement,
            &[&batch.to, &projection, &topic, &partition, &batch.epoch, &batch.from],
        )
        .await
        .map_err(&failed)?;
    if moved == 1 {
        if redpanda::mutant::is_active("position-apart") {
            // The mutant: the position is stored before the rows.
            transaction.batch_execute("COMMIT; BEGIN").await.map_err(&failed)?;
            redpanda::fault::point("before-store");
        }
        return Ok(());
    }
    Err(StoreError::Lost { position: format!("{projection} {}", batch.place) })
}

/// Dead letters of a projection that are kept for each partition: the newest.
const BURIED_MAX: i64 = 1_000;

/// Notes a record as a dead letter, and moves the position past it.
pub(super) async fn bury(
    postgres: &Postgres,
    projection: &str,
    batch: &Batch<'_>,
    why: &str,
) -> Result<(), StoreError> {
    let work = async {
        let failed = failed("noting a dead letter");
        let mut client = postgres.get().await?;
        let transaction = client.transaction().await.map_err(&failed)?;
        advance(&transaction, projection, batch).await?;
        let sql = r#"INSERT INTO dead_letters (projection, topic, partition, "offset", why)
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING"#;
        let (topic, partition, why) = (&*batch.place.topic, batch.place.partition, storable(why));
        transaction
            .execute(sql, &[&projection, &topic, &partition, &(batch.to - 1), &why])
            .await
            .map_err(&failed)?;
        let sql = r#"DELETE FROM dead_letters WHERE projection = $1 AND topic = $2 AND partition = $3 AND "offset" <=
                 (SELECT "offset" FROM dead_letters WHERE projection = $1 AND topic = $2 AND partition = $3
                  ORDER BY "offset" DESC LIMIT 1 OFFSET $4)"#;
        transaction
            .execute(sql, &[&projection, &topic, &partition, &BURIED_MAX])
            .await
            .map_err(&failed)?;
        transaction.commit().await.map_err(&failed)
    };
    postgres.within(WRITE_MAX, "noting a dead letter", work).await
}

/// Throws away the positions of a projection together with `tables`.
pub(super) async fn erase(
    postgres: &Postgres,
    projection: &str,
    tables: &[&str],
) -> Result<(), StoreError> {
    let work = async {
        let failed = failed("erasing a projection");
        let mut client = postgres.get().await?;
        let transaction = client.transaction().await.map_err(&failed)?;
        // First, because it waits for those who write.
        let sql = "DELETE FROM positions WHERE projection = $1";
        transaction.execute(sql, &[&projection]).await.map_err(&failed)?;
        let sql = "DELETE FROM dead_letters WHERE projection = $1";
        transaction.execute(sql, &[&projection]).await.map_err(&failed)?;
        for table in tables {
            transaction.batch_execute(&format!("DELETE FROM {table}")).await.map_err(&failed)?;
        }
        transaction.commit().await.map_err(&failed)
    };
    postgres.within(WRITE_MAX, "erasing a projection", work).await
}

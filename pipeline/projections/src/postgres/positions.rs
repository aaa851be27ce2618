//! Positions in PostgreSQL: claimed with a new epoch, moved in the transaction that writes the
//! rows, and erased in the one that deletes them.

use deadpool_postgres::Transaction;
use futures_util::future::{BoxFuture, try_join_all};
use redpanda::log::TopicPartition;
use tokio_postgres::Statement;

use super::{
    error::{failed, storable},
    pool::Postgres,
};
use crate::{
    StoreError,
    deadline::WRITE_MAX,
    projection::{Batch, Claim, PositionStore},
};

/// What is tried when a position moves, for errors.
const MOVING: &str = "moving a position";
/// The newest dead letters of a projection that are kept for each partition.
const DEAD_LETTERS_MAX: i64 = 1_000;

impl PositionStore for Postgres {
    /// Waits for a transaction of the former owner that is not yet committed.
    fn claim<'a>(
        &'a self,
        projection: &'a str,
        partition: &'a TopicPartition,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        let doing = "claiming a partition";
        let work = async move {
            let client = self.get().await?;
            let sql = "INSERT INTO positions (projection, topic, partition, epoch)
                       VALUES ($1, $2, $3, 1)
                       ON CONFLICT (projection, topic, partition)
                       DO UPDATE SET epoch = positions.epoch + 1
                       RETURNING epoch, next";
            let row = client
                .query_one(sql, &[&projection, &&*partition.topic, &partition.partition])
                .await
                .map_err(failed(doing))?;
            Ok(Claim { epoch: row.get(0), next: row.get(1) })
        };
        Box::pin(self.within(WRITE_MAX, doing, work))
    }

    fn current_claim<'a>(
        &'a self,
        projection: &'a str,
        partition: &'a TopicPartition,
    ) -> BoxFuture<'a, Result<Option<Claim>, StoreError>> {
        let doing = "looking at a position";
        let work = async move {
            let failed = failed(doing);
            let client = self.get().await?;
            let sql = "SELECT epoch, next FROM positions
                       WHERE projection = $1 AND topic = $2 AND partition = $3";
            let statement = client.prepare_cached(sql).await.map_err(&failed)?;
            let row = client
                .query_opt(&statement, &[&projection, &&*partition.topic, &partition.partition])
                .await
                .map_err(&failed)?;
            Ok(row.map(|row| Claim { epoch: row.get(0), next: row.get(1) }))
        };
        Box::pin(self.within(WRITE_MAX, doing, work))
    }

    fn write_dead_letter<'a>(
        &'a self,
        projection: &'a str,
        batch: &'a Batch<'a>,
        why: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let doing = "noting a dead letter";
        let work = async move {
            let failed = failed(doing);
            let mut client = self.get().await?;
            let transaction = client.transaction().await.map_err(&failed)?;
            advance(&transaction, projection, std::slice::from_ref(batch)).await?;
            let TopicPartition { topic, partition } = batch.partition;
            let (topic, why) = (&**topic, storable(why));
            let sql = r#"INSERT INTO dead_letters (projection, topic, partition, "offset", why)
                         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING"#;
            transaction
                .execute(sql, &[&projection, &topic, partition, &(batch.to - 1), &why])
                .await
                .map_err(&failed)?;
            let sql = r#"DELETE FROM dead_letters
                         WHERE projection = $1 AND topic = $2 AND partition = $3 AND "offset" <=
                             (SELECT "offset" FROM dead_letters
                              WHERE projection = $1 AND topic = $2 AND partition = $3
                              ORDER BY "offset" DESC LIMIT 1 OFFSET $4)"#;
            transaction
                .execute(sql, &[&projection, &topic, partition, &DEAD_LETTERS_MAX])
                .await
                .map_err(&failed)?;
            transaction.commit().await.map_err(&failed)
        };
        Box::pin(self.within(WRITE_MAX, doing, work))
    }
}

/// Moves a position if it and its epoch are still those of the claim.
const FENCED: &str = "UPDATE positions SET next = $1
    WHERE projection = $2 AND topic = $3 AND partition = $4
        AND epoch = $5 AND next IS NOT DISTINCT FROM $6";

/// The statement that moves a position.
#[cfg(not(feature = "mutants"))]
fn advance_sql() -> &'static str {
    FENCED
}

/// The statement that moves a position. The mutant `no-fence` ignores the claim.
#[cfg(feature = "mutants")]
fn advance_sql() -> &'static str {
    const UNFENCED: &str = "UPDATE positions SET next = $1
        WHERE projection = $2 AND topic = $3 AND partition = $4
            AND (true OR epoch = $5 AND next IS NOT DISTINCT FROM $6)";
    if redpanda::mutant::is_active("no-fence") { UNFENCED } else { FENCED }
}

/// The mutant `position-apart` commits the position before the rows.
#[cfg(feature = "mutants")]
async fn commit_apart(transaction: &Transaction<'_>) -> Result<(), tokio_postgres::Error> {
    if redpanda::mutant::is_active("position-apart") {
        transaction.batch_execute("COMMIT; BEGIN").await?;
        redpanda::fault::point("before-store");
    }
    Ok(())
}

/// Moves the positions behind batches, first of all statements of their transaction: the rows stay
/// locked until the commit. The statements are sent at once and run one after another, in the order
/// of the partitions, so that two owners lock rows in the same order.
///
/// # Errors
/// [`StoreError::Lost`] when another owner has claimed one of the partitions.
pub(super) async fn advance(
    transaction: &Transaction<'_>,
    projection: &str,
    batches: &[Batch<'_>],
) -> Result<(), StoreError> {
    let failed = failed(MOVING);
    let statement = transaction.prepare_cached(advance_sql()).await.map_err(&failed)?;
    let moves = batches.iter().map(|batch| move_one(transaction, &statement, projection, batch));
    let moves: Vec<_> = moves.collect();
    try_join_all(moves).await?;
    #[cfg(feature = "mutants")]
    commit_apart(transaction).await.map_err(&failed)?;
    Ok(())
}

/// Moves the position behind a batch.
async fn move_one(
    transaction: &Transaction<'_>,
    statement: &Statement,
    projection: &str,
    batch: &Batch<'_>,
) -> Result<(), StoreError> {
    let TopicPartition { topic, partition } = batch.partition;
    let Claim { epoch, next: from } = batch.claim;
    let moved = transaction
        .execute(statement, &[&batch.to, &projection, &&**topic, partition, &epoch, &from])
        .await
        .map_err(failed(MOVING))?;
    match moved {
        1 => Ok(()),
        _ => Err(StoreError::Lost { position: format!("{projection} {}", batch.partition) }),
    }
}

/// Deletes the positions and dead letters of a projection together with the rows that `statements`
/// delete.
pub(super) async fn erase(
    postgres: &Postgres,
    projection: &str,
    statements: Vec<&'static str>,
) -> Result<(), StoreError> {
    let doing = "erasing a projection";
    let work = async {
        let failed = failed(doing);
        let mut client = postgres.get().await?;
        let transaction = client.transaction().await.map_err(&failed)?;
        // The positions first, because this waits for transactions that have moved one.
        let sql = "DELETE FROM positions WHERE projection = $1";
        transaction.execute(sql, &[&projection]).await.map_err(&failed)?;
        let sql = "DELETE FROM dead_letters WHERE projection = $1";
        transaction.execute(sql, &[&projection]).await.map_err(&failed)?;
        for statement in statements {
            transaction.batch_execute(statement).await.map_err(&failed)?;
        }
        transaction.commit().await.map_err(&failed)
    };
    postgres.within(WRITE_MAX, doing, work).await
}

//! How a projection into PostgreSQL is written: a [`Model`] says what it reads and which rows a
//! batch changes. Claims, positions, dead letters, deadlines and transactions are the same for all
//! models and stand here and in `positions`. One transaction holds the batches of all partitions
//! that one poll returned.

use std::time::Duration;

use deadpool_postgres::Transaction;
use futures_util::{TryFutureExt as _, future::BoxFuture};
use schemas::{Codec, Schema};

use super::{error::failed, pool::Postgres, positions};
use crate::{
    StoreError,
    deadline::WRITE_MAX,
    projection::{Batch, PositionStore, Projection, REMOVE_MAX, Retention},
};

/// A projection into tables of PostgreSQL.
pub(crate) trait Model: Send + Sync + 'static {
    /// What is tried when a batch is written, for errors.
    const WRITING: &'static str;
    /// The fault points before a transaction begins and after it has moved the position.
    const FAULT_POINTS: Option<[&'static str; 2]> = None;
    /// See [`Projection::pace`].
    const PACE: Duration = Duration::ZERO;
    /// See [`Projection::records_max`].
    const RECORDS_MAX: usize = 2_000;
    /// See [`Projection::reads_values`].
    const READS_VALUES: bool = true;
    /// See [`Projection::removes_versions`].
    const REMOVES_VERSIONS: bool = false;
    /// What a batch says, decoded.
    type Changes<'a>: Send + Sync;
    /// What a write passes to [`Model::committed`].
    type Written: Send;

    /// The projection's name.
    fn name(&self) -> &'static str;

    /// The topics.
    fn topics(&self) -> &'static [&'static str];

    /// The schemas of the records that it reads.
    fn schemas() -> &'static [&'static Schema];

    /// The statements that delete all rows that it has written, in the order of their execution.
    fn erasure(&self) -> Vec<&'static str>;

    /// Decodes batches of different partitions. No two of them have records of one key.
    fn decode<'a>(batches: &[Batch<'a>], codec: &Codec) -> Result<Self::Changes<'a>, StoreError>;

    /// Writes the rows, within the transaction that has moved the position.
    fn write(
        &self,
        transaction: &Transaction<'_>,
        changes: &Self::Changes<'_>,
    ) -> impl Future<Output = Result<Self::Written, StoreError>> + Send;

    /// Called after the commit. Must not wait.
    fn committed(&self, _changes: &Self::Changes<'_>, _written: Self::Written) {}

    /// The statements that remove old rows, see [`Removal`].
    fn removals(_retention: Retention) -> Vec<Removal> {
        Vec::new()
    }
}

/// A statement that removes rows, oldest first.
pub(crate) struct Removal {
    /// `$1` is `before_ms`, and `$2` the most rows to remove.
    pub(crate) sql: &'static str,
    /// Rows that ended before this time are removed.
    pub(crate) before_ms: i64,
}

/// The projection of a [`Model`].
struct Projected<M> {
    postgres: Postgres,
    model: M,
}

impl Postgres {
    /// The projection of a model.
    pub(crate) fn projection<M: Model>(&self, model: M) -> Box<dyn Projection> {
        Box::new(Projected { postgres: self.clone(), model })
    }
}

impl<M: Model> Projected<M> {
    /// Writes batches of different partitions in one transaction.
    async fn write(&self, batches: &[Batch<'_>], codec: &Codec) -> Result<(), StoreError> {
        let failed = failed(M::WRITING);
        let changes = M::decode(batches, codec)?;
        let written = {
            let mut client = self.postgres.get().await?;
            let transaction = client.transaction().await.map_err(&failed)?;
            // The positions are moved first: their rows stay locked until the commit, so a claim
            // waits for this transaction, and a claim that came before makes this fail with nothing
            // written.
            positions::advance(&transaction, self.model.name(), batches).await?;
            fault_point::<M>(1);
            let written = self.model.write(&transaction, &changes).await?;
            transaction.commit().await.map_err(&failed)?;
            written
        };
        self.model.committed(&changes, written);
        Ok(())
    }

    fn apply_all<'a>(
        &'a self,
        batches: &'a [Batch<'a>],
        codec: &'a Codec,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            // Before the deadline begins: a process that is stopped here does write when it
            // continues, and is refused.
            fault_point::<M>(0);
            self.postgres.within(WRITE_MAX, M::WRITING, self.write(batches, codec)).await
        })
    }

    async fn remove(&self, removal: &Removal) -> Result<usize, StoreError> {
        let doing = "removing old rows";
        let removing = async {
            let client = self.postgres.get().await?;
            let statement = client.prepare_cached(removal.sql).await.map_err(failed(doing))?;
            let max = i64::try_from(REMOVE_MAX).unwrap_or(i64::MAX);
            client.execute(&statement, &[&removal.before_ms, &max]).await.map_err(failed(doing))
        };
        let removed = self.postgres.within(WRITE_MAX, doing, removing).await?;
        Ok(usize::try_from(removed).unwrap_or(usize::MAX))
    }
}

fn fault_point<M: Model>(index: usize) {
    if let Some(names) = M::FAULT_POINTS {
        redpanda::fault::point(names[index]);
    }
}

impl<M: Model> Projection for Projected<M> {
    fn name(&self) -> &'static str {
        self.model.name()
    }

    fn topics(&self) -> &'static [&'static str] {
        self.model.topics()
    }

    fn schemas(&self) -> Vec<&'static Schema> {
        M::schemas().to_vec()
    }

    fn positions(&self) -> &dyn PositionStore {
        &self.postgres
    }

    fn records_max(&self) -> usize {
        M::RECORDS_MAX
    }

    fn pace(&self) -> Duration {
        M::PACE
    }

    fn reads_values(&self) -> bool {
        M::READS_VALUES
    }

    fn prepare(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.postgres.migrate())
    }

    fn apply<'a>(
        &'a self,
        batch: &'a Batch<'a>,
        codec: &'a Codec,
    ) -> BoxFuture<'a, Result<i64, StoreError>> {
        let applied = self.apply_all(std::slice::from_ref(batch), codec);
        Box::pin(applied.map_ok(|()| batch.to))
    }

    fn apply_together<'a>(
        &'a self,
        batches: &'a [Batch<'a>],
        codec: &'a Codec,
    ) -> Option<BoxFuture<'a, Result<(), StoreError>>> {
        Some(self.apply_all(batches, codec))
    }

    fn removes_versions(&self) -> bool {
        M::REMOVES_VERSIONS
    }

    fn remove(&self, retention: Retention) -> BoxFuture<'_, Result<usize, StoreError>> {
        Box::pin(async move {
            let mut most = 0;
            for removal in M::removals(retention) {
                most = self.remove(&removal).await?.max(most);
            }
            Ok(most)
        })
    }

    fn erase(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(positions::erase(&self.postgres, self.model.name(), self.model.erasure()))
    }
}

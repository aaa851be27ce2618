//! Compares what the stores hold with the ledger: the read models, and what is beside them.

use anyhow::Context as _;

use super::{Stores, letters, models, statistics, traces};
use crate::ledger::{Ledger, Violation};

impl Stores {
    /// Compares the stores with the ledger.
    ///
    /// # Errors
    /// When a store does not answer, or has a row that can't be read.
    pub async fn compare(&self, ledger: &Ledger) -> anyhow::Result<Vec<Violation>> {
        let postgres = self.postgres().await.context("PostgreSQL")?;
        let mut broken = statistics::compare(&postgres, ledger).await.context("statistics")?;
        broken.extend(traces::compare(&postgres, ledger).await.context("traces")?);
        broken.extend(models::in_postgres(&postgres, ledger).await.context("PostgreSQL")?);
        broken.extend(models::in_mongo(&self.mongo().await?, ledger).await.context("MongoDB")?);
        broken.extend(models::in_redis(&mut self.redis().await?, ledger).await.context("Redis")?);
        broken.extend(letters::violations(&self.dead_letters().await.context("dead letters")?));
        Ok(broken)
    }
}

//! Dead letters of a projection: records that no version of the program can project, or whose data
//! the store refuses for good. A gap, or a record that a newer version may read, never becomes one.

use schemas::chain;

use crate::{
    StoreError,
    metrics::Metrics,
    projection::{Batch, Projection},
};

/// Whether the record that caused the error becomes a dead letter.
pub(super) fn is_one(error: &StoreError) -> bool {
    matches!(error, StoreError::Unfit { .. } | StoreError::Unstorable { .. })
}

/// Writes the only record of a batch as a dead letter. The store moves the position past it in the
/// same step, under the same claim as a batch, so an owner that was replaced can't skip a record.
pub(super) async fn write(
    projection: &dyn Projection,
    batch: &Batch<'_>,
    error: &StoreError,
    metrics: &Metrics,
) -> Result<(), StoreError> {
    let name = projection.name();
    let error = chain(error);
    projection.positions().write_dead_letter(name, batch, &error).await?;
    metrics.dead_letter(name);
    let (partition, offset) = (batch.partition, batch.to - 1);
    tracing::error!(projection = name, %partition, offset, error, "a record became a dead letter");
    Ok(())
}

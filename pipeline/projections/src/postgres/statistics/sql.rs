//! Loads and stores rows of `statistics` and `statistics_placed`. It knows no event.

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;
use tokio_postgres::{Error, types::ToSql};
use uuid::Uuid;

use super::gains::Gains;
use crate::postgres::error::storable;

/// When these orders were placed, of those that have not ended.
pub(super) async fn placed(
    transaction: &Transaction<'_>,
    orders: &[Uuid],
) -> Result<BTreeMap<Uuid, i64>, Error> {
    if orders.is_empty() {
        return Ok(BTreeMap::new());
    }
    let sql = "SELECT order_id, placed_at FROM statistics_placed WHERE order_id = ANY($1)";
    let statement = transaction.prepare_cached(sql).await?;
    let rows = transaction.query(&statement, &[&orders]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Adds to the windows. Owners of other partitions add to the same rows; all lock them in the order
/// of the primary key, so that they wait for each other and never in a circle. A sum that would not
/// fit stays at the greatest value.
const ADD: &str = "INSERT INTO statistics (width_ms, start_ms, figure, label, value)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[])
    ON CONFLICT (width_ms, start_ms, figure, label) DO UPDATE
    SET value = least(statistics.value::numeric + excluded.value, 9223372036854775807)::bigint";

/// Writes what a batch adds, at most one statement for each purpose.
pub(super) async fn add(transaction: &Transaction<'_>, gains: &Gains) -> Result<(), Error> {
    // The orders first: no other owner waits for their rows, as for those of the windows.
    if !gains.ended.is_empty() {
        let sql = "DELETE FROM statistics_placed WHERE order_id = ANY($1)";
        let statement = transaction.prepare_cached(sql).await?;
        let ended: Vec<Uuid> = gains.ended.iter().copied().collect();
        transaction.execute(&statement, &[&ended]).await?;
    }
    if !gains.opened.is_empty() {
        let sql = "INSERT INTO statistics_placed (order_id, placed_at)
                   SELECT * FROM unnest($1::uuid[], $2::bigint[])
                   ON CONFLICT (order_id) DO UPDATE SET placed_at = excluded.placed_at";
        let statement = transaction.prepare_cached(sql).await?;
        let orders: Vec<Uuid> = gains.opened.keys().copied().collect();
        let times: Vec<i64> = gains.opened.values().copied().collect();
        transaction.execute(&statement, &[&orders, &times]).await?;
    }
    if !gains.values.is_empty() {
        let statement = transaction.prepare_cached(ADD).await?;
        let keys = || gains.values.keys();
        let columns: [&(dyn ToSql + Sync); 5] = [
            &keys().map(|key| key.width_ms).collect::<Vec<_>>(),
            &keys().map(|key| key.start_ms).collect::<Vec<_>>(),
            &keys().map(|key| key.figure).collect::<Vec<_>>(),
            &keys().map(|key| storable(&key.label)).collect::<Vec<_>>(),
            &gains.values.values().copied().collect::<Vec<_>>(),
        ];
        transaction.execute(&statement, &columns).await?;
    }
    Ok(())
}

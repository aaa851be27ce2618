//! Writes rows of the tables `operations_*`. It knows no record.

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;
use tokio_postgres::{Error, types::ToSql};

use super::{
    DEAD_LETTERS_KEPT_MAX,
    changes::{Acted, Dead, KeyChange},
};
use crate::postgres::error::storable;

/// All values of one column.
macro_rules! column {
    ($rows:expr, $row:pat => $value:expr) => {
        &$rows.iter().map(|$row| $value).collect::<Vec<_>>() as &(dyn ToSql + Sync)
    };
}

/// Inserts dead letters, and deletes those that are too many.
pub(super) async fn dead_letters(
    transaction: &Transaction<'_>,
    processor: &str,
    dead: &[Dead],
) -> Result<(), Error> {
    if dead.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO operations_dead_letters (processor, topic, partition, dead_offset,
                   \"offset\", at, error, record_type, key, principal, bytes)
               SELECT $1, * FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[],
                   $6::bigint[], $7::text[], $8::text[], $9::text[], $10::text[], $11::bigint[])
               ON CONFLICT (topic, partition, dead_offset) DO NOTHING";
    let statement = transaction.prepare_cached(sql).await?;
    let columns = [
        &processor as &(dyn ToSql + Sync),
        column!(dead, it => storable(&it.topic)),
        column!(dead, it => it.partition),
        column!(dead, it => it.dead_offset),
        column!(dead, it => it.offset),
        column!(dead, it => it.at),
        column!(dead, it => storable(&it.error)),
        column!(dead, it => storable(&it.record_type)),
        column!(dead, it => it.key.as_deref().map(storable)),
        column!(dead, it => it.principal.as_deref().map(storable)),
        column!(dead, it => it.bytes),
    ];
    transaction.execute(&statement, &columns).await?;

    let mut newest: BTreeMap<(&str, i32), i64> = BTreeMap::new();
    for one in dead {
        let offset = newest.entry((&one.topic, one.partition)).or_default();
        *offset = one.dead_offset.max(*offset);
    }
    let sql = "DELETE FROM operations_dead_letters AS one
               USING unnest($1::text[], $2::int[], $3::bigint[])
                   AS newest (topic, partition, dead_offset)
               WHERE one.topic = newest.topic AND one.partition = newest.partition
                   AND one.dead_offset <= newest.dead_offset - $4";
    let statement = transaction.prepare_cached(sql).await?;
    let columns = [
        column!(newest, ((topic, _), _) => storable(topic)),
        column!(newest, ((_, partition), _) => *partition),
        column!(newest, (_, offset) => *offset),
        &DEAD_LETTERS_KEPT_MAX,
    ];
    transaction.execute(&statement, &columns).await?;
    Ok(())
}

/// Deletes records that were released, then inserts those that are parked.
pub(super) async fn keys(
    transaction: &Transaction<'_>,
    processor: &str,
    keys: &BTreeMap<(String, String), KeyChange>,
) -> Result<(), Error> {
    let released: Vec<_> = keys
        .iter()
        .filter_map(|((topic, key), change)| Some((topic, key, change.released_below?)))
        .collect();
    if !released.is_empty() {
        let sql = "DELETE FROM operations_parked AS one
                   USING unnest($1::text[], $2::text[], $3::bigint[])
                       AS released (topic, key, below)
                   WHERE one.topic = released.topic AND one.key = released.key
                       AND one.\"offset\" < released.below";
        let statement = transaction.prepare_cached(sql).await?;
        let columns = [
            column!(released, (topic, _, _) => storable(topic)),
            column!(released, (_, key, _) => storable(key)),
            column!(released, (_, _, below) => *below),
        ];
        transaction.execute(&statement, &columns).await?;
    }
    let parked: Vec<_> = keys
        .iter()
        .flat_map(|((_, key), change)| change.parked.values().map(move |parked| (key, parked)))
        .collect();
    if parked.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO operations_parked (processor, topic, key, \"offset\", partition, error,
                   record_type, principal, bytes, received_at, parked_at)
               SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bigint[], $5::int[],
                   $6::text[], $7::text[], $8::text[], $9::bigint[], $10::bigint[], $11::bigint[])
               ON CONFLICT (topic, key, \"offset\") DO UPDATE SET error = excluded.error";
    let statement = transaction.prepare_cached(sql).await?;
    let columns = [
        &processor as &(dyn ToSql + Sync),
        column!(parked, (_, it) => storable(&it.event.topic)),
        column!(parked, (key, _) => storable(key)),
        column!(parked, (_, it) => it.event.offset),
        column!(parked, (_, it) => it.event.partition),
        column!(parked, (_, it) => it.event.error.as_deref().map(storable)),
        column!(parked, (_, it) => storable(&it.event.record_type)),
        column!(parked, (_, it) => storable(&it.event.principal)),
        column!(parked, (_, it) => it.event.bytes),
        column!(parked, (_, it) => it.event.received_at),
        column!(parked, (_, it) => it.parked_at),
    ];
    transaction.execute(&statement, &columns).await?;
    Ok(())
}

/// Inserts who has re-driven keys.
pub(super) async fn actions(
    transaction: &Transaction<'_>,
    processor: &str,
    actions: &[Acted],
) -> Result<(), Error> {
    if actions.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO operations_actions (processor, partition, \"offset\", at, topic, key,
                   command_id, principal, reason, released, dropped_offset, parked_from)
               SELECT $1, * FROM unnest($2::int[], $3::bigint[], $4::bigint[], $5::text[],
                   $6::text[], $7::uuid[], $8::text[], $9::text[], $10::int[], $11::bigint[],
                   $12::bigint[])
               ON CONFLICT (processor, partition, \"offset\") DO NOTHING";
    let statement = transaction.prepare_cached(sql).await?;
    let columns = [
        &processor as &(dyn ToSql + Sync),
        column!(actions, it => it.partition),
        column!(actions, it => it.offset),
        column!(actions, it => it.event.redriven_at),
        column!(actions, it => storable(&it.event.topic)),
        column!(actions, it => storable(&it.key)),
        column!(actions, it => it.event.command_id),
        column!(actions, it => storable(&it.event.principal)),
        column!(actions, it => it.event.reason.as_deref().map(storable)),
        column!(actions, it => it.event.released),
        column!(actions, it => it.event.dropped_offset),
        column!(actions, it => it.event.parked_from),
    ];
    transaction.execute(&statement, &columns).await?;
    Ok(())
}

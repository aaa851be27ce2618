//! Writes rows of the tables `operations_*`. It knows no record.

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;
use tokio_postgres::{Error, types::ToSql};
use uuid::Uuid;

use super::{
    CONTENTS_KEPT_MAX, DEAD_LETTERS_KEPT_MAX,
    changes::{Act, Acted, Dead, KeyChange},
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
                   \"offset\", at, error, record_type, key, principal, bytes, headers, value,
                   personal, omitted, schema_id)
               SELECT $1, * FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[],
                   $6::bigint[], $7::text[], $8::text[], $9::text[], $10::text[], $11::bigint[],
                   $12::text[], $13::text[], $14::text[], $15::text[], $16::bigint[])
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
        column!(dead, it => storable(&it.shown.headers)),
        column!(dead, it => it.shown.value.as_deref().map(storable)),
        column!(dead, it => it.shown.personal.as_deref().map(storable)),
        column!(dead, it => it.shown.omitted.as_deref().map(storable)),
        column!(dead, it => it.shown.schema_id.map(i64::from)),
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
    let forget = "UPDATE operations_dead_letters AS one
                  SET headers = NULL, value = NULL, personal = NULL, omitted = NULL
                  FROM unnest($1::text[], $2::int[], $3::bigint[])
                      AS newest (topic, partition, dead_offset)
                  WHERE one.topic = newest.topic AND one.partition = newest.partition
                      AND one.dead_offset <= newest.dead_offset - $4
                      AND one.headers IS NOT NULL";
    for (sql, kept_max) in [(sql, DEAD_LETTERS_KEPT_MAX), (forget, CONTENTS_KEPT_MAX)] {
        let statement = transaction.prepare_cached(sql).await?;
        let columns = [
            column!(newest, ((topic, _), _) => storable(topic)),
            column!(newest, ((_, partition), _) => *partition),
            column!(newest, (_, offset) => *offset),
            &kept_max,
        ];
        transaction.execute(&statement, &columns).await?;
    }
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
                   record_type, principal, bytes, received_at, parked_at, headers, value, omitted,
                   schema_id)
               SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bigint[], $5::int[],
                   $6::text[], $7::text[], $8::text[], $9::bigint[], $10::bigint[], $11::bigint[],
                   $12::text[], $13::text[], $14::text[], $15::bigint[])
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
        column!(parked, (_, it) => it.event.headers.as_deref().map(storable)),
        column!(parked, (_, it) => it.event.value.as_deref().map(storable)),
        column!(parked, (_, it) => it.event.omitted.as_deref().map(storable)),
        column!(parked, (_, it) => it.event.schema_id),
    ];
    transaction.execute(&statement, &columns).await?;
    Ok(())
}

/// Inserts what operators have done.
pub(super) async fn actions(
    transaction: &Transaction<'_>,
    processor: &str,
    actions: &[Acted],
) -> Result<(), Error> {
    if actions.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO operations_actions (processor, partition, \"offset\", at, topic, key,
                   command_id, principal, reason, released, dropped_offset, parked_from,
                   revealed_offset, resent_partition, resent_offset, edited_offset, value_before,
                   value_after)
               SELECT $1, * FROM unnest($2::int[], $3::bigint[], $4::bigint[], $5::text[],
                   $6::text[], $7::uuid[], $8::text[], $9::text[], $10::int[], $11::bigint[],
                   $12::bigint[], $13::bigint[], $14::int[], $15::bigint[], $16::bigint[],
                   $17::text[], $18::text[])
               ON CONFLICT (processor, partition, \"offset\") DO NOTHING";
    let statement = transaction.prepare_cached(sql).await?;
    let rows: Vec<_> = actions.iter().map(|it| (it, ActionRow::of(&it.event))).collect();
    let columns = [
        &processor as &(dyn ToSql + Sync),
        column!(rows, (it, _) => it.partition),
        column!(rows, (it, _) => it.offset),
        column!(rows, (_, row) => row.at),
        column!(rows, (_, row) => storable(row.topic)),
        column!(rows, (it, _) => storable(&it.key)),
        column!(rows, (_, row) => row.command_id),
        column!(rows, (_, row) => storable(row.principal)),
        column!(rows, (_, row) => row.reason.map(storable)),
        column!(rows, (_, row) => row.released),
        column!(rows, (_, row) => row.dropped_offset),
        column!(rows, (_, row) => row.parked_from),
        column!(rows, (_, row) => row.revealed_offset),
        column!(rows, (_, row) => row.resent.map(|(partition, _)| partition)),
        column!(rows, (_, row) => row.resent.map(|(_, offset)| offset)),
        column!(rows, (_, row) => row.edited.as_ref().map(|it| it.offset)),
        column!(rows, (_, row) => row.edited.as_ref().and_then(|it| it.before.map(storable))),
        column!(rows, (_, row) => row.edited.as_ref().map(|it| storable(it.after))),
    ];
    transaction.execute(&statement, &columns).await?;
    Ok(())
}

/// The columns of an action that its event has.
struct ActionRow<'a> {
    at: i64,
    topic: &'a str,
    command_id: Uuid,
    principal: &'a str,
    reason: Option<&'a str>,
    released: i32,
    dropped_offset: Option<i64>,
    parked_from: Option<i64>,
    revealed_offset: Option<i64>,
    /// Partition and offset of a dead letter that was sent again.
    resent: Option<(i32, i64)>,
    edited: Option<Edited<'a>>,
}

/// A parked record that was applied with another value.
struct Edited<'a> {
    offset: i64,
    before: Option<&'a str>,
    after: &'a str,
}

impl<'a> ActionRow<'a> {
    fn of(event: &'a Act) -> Self {
        match event {
            Act::Redriven(it) => Self {
                at: it.redriven_at,
                topic: &it.topic,
                command_id: it.command_id,
                principal: &it.principal,
                reason: it.reason.as_deref(),
                released: it.released,
                dropped_offset: it.dropped_offset,
                parked_from: it.parked_from,
                revealed_offset: None,
                resent: None,
                edited: None,
            },
            Act::Revealed(it) => Self {
                at: it.revealed_at,
                topic: &it.topic,
                command_id: it.command_id,
                principal: &it.principal,
                reason: Some(&it.reason),
                released: 0,
                dropped_offset: None,
                parked_from: None,
                revealed_offset: Some(it.dead_offset),
                resent: None,
                edited: None,
            },
            Act::Resent(it) => Self {
                at: it.resent_at,
                topic: &it.topic,
                command_id: it.command_id,
                principal: &it.principal,
                reason: Some(&it.reason),
                released: 0,
                dropped_offset: None,
                parked_from: None,
                revealed_offset: None,
                resent: Some((it.partition, it.dead_offset)),
                edited: None,
            },
            Act::Edited(it) => Self {
                at: it.edited_at,
                topic: &it.topic,
                command_id: it.command_id,
                principal: &it.principal,
                reason: Some(&it.reason),
                released: it.released,
                dropped_offset: None,
                parked_from: it.parked_from,
                revealed_offset: None,
                resent: None,
                edited: Some(Edited {
                    offset: it.offset,
                    before: it.before.as_deref(),
                    after: &it.after,
                }),
            },
        }
    }
}

//! What the gateway reads of parked keys: page by page, or those of a selection. Never writes.

use std::{fmt, str::FromStr};

use tokio_postgres::{Row, types::ToSql};

use super::reads::{more_than, schema_id};
use crate::{
    StoreError,
    paging::{NotACursor, Page},
    postgres::{error::storable, reads::Reads},
};

/// A point in the list of parked keys, which is sorted by topic and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCursor {
    /// The topic of the last entry that was read.
    pub topic: String,
    /// Its key.
    pub key: String,
}

impl fmt::Display for KeyCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.key)
    }
}

impl FromStr for KeyCursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let (topic, key) = text.split_once('/').ok_or(NotACursor)?;
        Ok(Self { topic: topic.to_owned(), key: key.to_owned() })
    }
}

/// A selection of parked keys: those whose first record has all that is given here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParkedSelection {
    /// The topic from which it was read.
    pub topic: Option<String>,
    /// Why it has failed, word for word.
    pub error: Option<String>,
}

/// A parked key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedKey {
    /// The topic from which the records were read.
    pub topic: String,
    /// The key.
    pub key: String,
    /// The partition of its records.
    pub partition: i32,
    /// How many records are parked, the failed one included.
    pub records: i64,
    /// The sum of the sizes of their values.
    pub bytes: i64,
    /// When the first one was parked, in milliseconds.
    pub since: i64,
    /// The offset of the first one, which a re-drive applies first.
    pub offset: i64,
    /// Why it has failed.
    pub error: Option<String>,
    /// Its type; empty if it names none.
    pub record_type: String,
    /// Who sent it, or what caused it.
    pub principal: String,
}

/// A parked record with its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedRecord {
    /// Its offset.
    pub offset: i64,
    /// Why it has failed; `None` if it only waits.
    pub error: Option<String>,
    /// Its type; empty if it names none.
    pub record_type: String,
    /// Who sent it, or what caused it.
    pub principal: String,
    /// The size of its value; `None` for a tombstone.
    pub bytes: Option<i64>,
    /// When it was written, in milliseconds.
    pub received_at: i64,
    /// Its headers as a JSON object; `None` if an older version of the program has parked it.
    pub headers: Option<String>,
    /// Its value as JSON, with personal fields masked.
    pub value: Option<String>,
    /// Why there is no value.
    pub omitted: Option<String>,
    /// The registry's id of the schema that its value was written with; `None` if it names none, or
    /// if an older version of the program has parked it.
    pub schema_id: Option<u32>,
}

impl Reads {
    /// The parked records of a key from an offset on, in their order. The page names the offset of
    /// the last one if there are more.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn parked_records(
        &self,
        topic: &str,
        key: &str,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Page<ParkedRecord, i64>, StoreError> {
        let sql = "SELECT \"offset\", error, record_type, principal, bytes, received_at, headers,
                       value, omitted, schema_id
                   FROM operations_parked
                   WHERE topic = $1 AND key = $2 AND \"offset\" > $3
                   ORDER BY \"offset\" LIMIT $4";
        let (topic, key, after) = (storable(topic), storable(key), after.unwrap_or(-1));
        let parameters: [&(dyn ToSql + Sync); 4] = [&topic, &key, &after, &more_than(limit)];
        let rows = self.all("reading parked records", sql, &parameters).await?;
        let record = |row: &Row| ParkedRecord {
            offset: row.get(0),
            error: row.get(1),
            record_type: row.get(2),
            principal: row.get(3),
            bytes: row.get(4),
            received_at: row.get(5),
            headers: row.get(6),
            value: row.get(7),
            omitted: row.get(8),
            schema_id: schema_id(row, 9),
        };
        Ok(Page::cut(rows.iter().map(record).collect(), limit, |it| it.offset))
    }

    /// Parked keys by topic and key.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn parked_keys(
        &self,
        after: Option<KeyCursor>,
        limit: usize,
    ) -> Result<Page<ParkedKey, KeyCursor>, StoreError> {
        let (topic, key) = after.map_or_else(Default::default, |it| (it.topic, it.key));
        // The primary key has the order of the groups, so the server reads no more keys than shown.
        let sql = "SELECT one.topic, one.key, one.partition, keys.records, keys.bytes, keys.since,
                       one.\"offset\", one.error, one.record_type, one.principal
                   FROM (SELECT topic, key, count(*) AS records, min(\"offset\") AS first,
                             coalesce(sum(bytes), 0)::bigint AS bytes, min(parked_at) AS since
                         FROM operations_parked WHERE (topic, key) > ($1, $2)
                         GROUP BY topic, key ORDER BY topic, key LIMIT $3) AS keys
                   JOIN operations_parked AS one ON one.topic = keys.topic AND one.key = keys.key
                       AND one.\"offset\" = keys.first
                   ORDER BY one.topic, one.key";
        let most = more_than(limit);
        let rows = self
            .all("reading parked keys", sql, &[&storable(&topic), &storable(&key), &most])
            .await?;
        Ok(Page::cut(rows.iter().map(parked_key).collect(), limit, key_cursor))
    }

    /// The first `limit` parked keys of a selection, by topic and key. The page names a next one if
    /// the selection has more.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn selected_keys(
        &self,
        selection: &ParkedSelection,
        limit: usize,
    ) -> Result<Page<ParkedKey, KeyCursor>, StoreError> {
        // Only the first record of a key has an error, so the rest is read for selected keys only.
        let sql = "SELECT one.topic, one.key, one.partition, keys.records, keys.bytes, keys.since,
                       one.\"offset\", one.error, one.record_type, one.principal
                   FROM operations_parked AS one
                   CROSS JOIN LATERAL (
                       SELECT count(*) AS records, min(\"offset\") AS first,
                           coalesce(sum(bytes), 0)::bigint AS bytes, min(parked_at) AS since
                       FROM operations_parked AS its
                       WHERE its.topic = one.topic AND its.key = one.key) AS keys
                   WHERE one.error IS NOT NULL AND one.\"offset\" = keys.first
                       AND ($1::text IS NULL OR one.topic = $1)
                       AND ($2::text IS NULL OR one.error = $2)
                   ORDER BY one.topic, one.key LIMIT $3";
        let ParkedSelection { topic, error } = selection;
        let (topic, error) = (topic.as_deref().map(storable), error.as_deref().map(storable));
        let rows =
            self.all("selecting parked keys", sql, &[&topic, &error, &more_than(limit)]).await?;
        Ok(Page::cut(rows.iter().map(parked_key).collect(), limit, key_cursor))
    }
}

fn parked_key(row: &Row) -> ParkedKey {
    ParkedKey {
        topic: row.get(0),
        key: row.get(1),
        partition: row.get(2),
        records: row.get(3),
        bytes: row.get(4),
        since: row.get(5),
        offset: row.get(6),
        error: row.get(7),
        record_type: row.get(8),
        principal: row.get(9),
    }
}

fn key_cursor(it: &ParkedKey) -> KeyCursor {
    KeyCursor { topic: it.topic.clone(), key: it.key.clone() }
}

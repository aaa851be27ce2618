//! What the gateway reads of dead letters and re-drives, page by page. Never writes.

use std::{fmt, str::FromStr};

use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    StoreError,
    paging::{NotACursor, Page},
    postgres::{error::storable, reads::Reads},
};

/// A point in a list of records that is sorted by time, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordCursor {
    /// The time of the last entry that was read.
    pub at: i64,
    /// The name of its topic or processor.
    pub name: String,
    /// The partition of its topic.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
}

impl fmt::Display for RecordCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, name, partition, offset } = self;
        write!(f, "{at}_{partition}_{offset}_{name}")
    }
}

impl FromStr for RecordCursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let mut parts = text.splitn(4, '_');
        let mut part = || parts.next().ok_or(NotACursor);
        let (at, partition, offset, name) = (part()?, part()?, part()?, part()?);
        Ok(Self {
            at: at.parse().map_err(|_| NotACursor)?,
            name: name.to_owned(),
            partition: partition.parse().map_err(|_| NotACursor)?,
            offset: offset.parse().map_err(|_| NotACursor)?,
        })
    }
}

/// A dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The topic from which the record was read.
    pub topic: String,
    /// The partition of the record and of the dead letter.
    pub partition: i32,
    /// The record's offset, where it is known.
    pub offset: Option<i64>,
    /// The offset of the dead letter in `<topic>.dead`.
    pub dead_offset: i64,
    /// When the dead letter was written, in milliseconds.
    pub at: i64,
    /// Why the record could not be processed.
    pub error: String,
    /// The record's type; empty if it names none.
    pub record_type: String,
    /// The record's key.
    pub key: Option<String>,
    /// Who sent it.
    pub principal: Option<String>,
    /// The size of its value, if the dead letter has one.
    pub bytes: Option<i64>,
    /// The command that has sent it again, if one has.
    pub resent_by: Option<Uuid>,
}

/// A dead letter with its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadContent {
    /// The dead letter.
    pub letter: DeadLetter,
    /// Its headers as a JSON object; `None` if its content is not kept.
    pub headers: Option<String>,
    /// Its value as JSON, with personal fields masked.
    pub value: Option<String>,
    /// The same with its personal fields, if it has any. Only for who has given a reason.
    pub personal: Option<String>,
    /// Why there is no value, if the content is kept.
    pub omitted: Option<String>,
    /// The registry's id of the schema that its value was written with, if it names one.
    pub schema_id: Option<u32>,
}

/// What an operator has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// The processor whose key it was.
    pub processor: String,
    /// The partition of the event.
    pub partition: i32,
    /// The offset of the event.
    pub offset: i64,
    /// When the command was written, in milliseconds.
    pub at: i64,
    /// The topic of the parked records.
    pub topic: String,
    /// Their key.
    pub key: String,
    /// The command.
    pub command_id: Uuid,
    /// Who sent it.
    pub principal: String,
    /// Why.
    pub reason: Option<String>,
    /// The number of records that are no longer parked.
    pub released: i32,
    /// The offset of the record that was given up.
    pub dropped_offset: Option<i64>,
    /// The offset of the record that has failed again.
    pub parked_from: Option<i64>,
    /// The offset of the dead letter whose personal fields were read, for an action of this kind.
    pub revealed_offset: Option<i64>,
    /// Partition and offset of the dead letter that was sent again, for an action of this kind.
    pub resent: Option<(i32, i64)>,
    /// The offset of the parked record that was edited, for an action of this kind.
    pub edited_offset: Option<i64>,
    /// Its value before as JSON, with personal fields masked.
    pub value_before: Option<String>,
    /// The value with which it was applied, shown in the same way.
    pub value_after: Option<String>,
}

/// The columns of a dead letter without its content.
macro_rules! letter_columns {
    () => {
        "topic, partition, \"offset\", dead_offset, at, error, record_type, key, principal, bytes,
         (SELECT command_id FROM operations_actions AS act
          WHERE act.topic = one.topic AND act.resent_partition = one.partition
              AND act.resent_offset = one.dead_offset LIMIT 1)"
    };
}

impl Reads {
    /// Dead letters, newest first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn dead_letters(
        &self,
        after: Option<RecordCursor>,
        limit: usize,
    ) -> Result<Page<DeadLetter, RecordCursor>, StoreError> {
        let sql = concat!(
            "SELECT ",
            letter_columns!(),
            " FROM operations_dead_letters AS one
              WHERE (at, topic, partition, dead_offset) < ($1, $2, $3, $4)
              ORDER BY at DESC, topic DESC, partition DESC, dead_offset DESC LIMIT $5"
        );
        let rows = self.page("reading dead letters", sql, after, limit).await?;
        let cursor = |it: &DeadLetter| RecordCursor {
            at: it.at,
            name: it.topic.clone(),
            partition: it.partition,
            offset: it.dead_offset,
        };
        Ok(Page::cut(rows.iter().map(letter).collect(), limit, cursor))
    }

    /// The dead letter at `dead_offset` of a partition of `<topic>.dead`, with its content.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn dead_letter(
        &self,
        topic: &str,
        partition: i32,
        dead_offset: i64,
    ) -> Result<Option<DeadContent>, StoreError> {
        let sql = concat!(
            "SELECT ",
            letter_columns!(),
            ", headers, value, personal, omitted, schema_id FROM operations_dead_letters AS one
              WHERE topic = $1 AND partition = $2 AND dead_offset = $3"
        );
        let rows = self
            .all("reading a dead letter", sql, &[&storable(topic), &partition, &dead_offset])
            .await?;
        let content = |row: &Row| DeadContent {
            letter: letter(row),
            headers: row.get(11),
            value: row.get(12),
            personal: row.get(13),
            omitted: row.get(14),
            schema_id: schema_id(row, 15),
        };
        Ok(rows.first().map(content))
    }

    /// What operators have done, newest first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn actions(
        &self,
        after: Option<RecordCursor>,
        limit: usize,
    ) -> Result<Page<Action, RecordCursor>, StoreError> {
        let sql = "SELECT processor, partition, \"offset\", at, topic, key, command_id, principal,
                       reason, released, dropped_offset, parked_from, revealed_offset,
                       resent_partition, resent_offset, edited_offset, value_before, value_after
                   FROM operations_actions
                   WHERE (at, processor, partition, \"offset\") < ($1, $2, $3, $4)
                   ORDER BY at DESC, processor DESC, partition DESC, \"offset\" DESC LIMIT $5";
        let rows = self.page("reading what operators have done", sql, after, limit).await?;
        let action = |row: &Row| Action {
            processor: row.get(0),
            partition: row.get(1),
            offset: row.get(2),
            at: row.get(3),
            topic: row.get(4),
            key: row.get(5),
            command_id: row.get(6),
            principal: row.get(7),
            reason: row.get(8),
            released: row.get(9),
            dropped_offset: row.get(10),
            parked_from: row.get(11),
            revealed_offset: row.get(12),
            resent: Option::zip(row.get(13), row.get(14)),
            edited_offset: row.get(15),
            value_before: row.get(16),
            value_after: row.get(17),
        };
        let cursor = |it: &Action| RecordCursor {
            at: it.at,
            name: it.processor.clone(),
            partition: it.partition,
            offset: it.offset,
        };
        Ok(Page::cut(rows.iter().map(action).collect(), limit, cursor))
    }

    /// The rows of a page of records, and one more if there is one.
    async fn page(
        &self,
        doing: &'static str,
        sql: &str,
        after: Option<RecordCursor>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let newest = || RecordCursor { at: i64::MAX, name: String::new(), partition: 0, offset: 0 };
        let RecordCursor { at, name, partition, offset } = after.unwrap_or_else(newest);
        let name = storable(&name);
        self.all(doing, sql, &[&at, &name, &partition, &offset, &more_than(limit)]).await
    }
}

fn letter(row: &Row) -> DeadLetter {
    DeadLetter {
        topic: row.get(0),
        partition: row.get(1),
        offset: row.get(2),
        dead_offset: row.get(3),
        at: row.get(4),
        error: row.get(5),
        record_type: row.get(6),
        key: row.get(7),
        principal: row.get(8),
        bytes: row.get(9),
        resent_by: row.get(10),
    }
}

/// The id of a schema, if the column has one.
pub(super) fn schema_id(row: &Row, column: usize) -> Option<u32> {
    row.get::<_, Option<i64>>(column).and_then(|id| u32::try_from(id).ok())
}

pub(super) fn more_than(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

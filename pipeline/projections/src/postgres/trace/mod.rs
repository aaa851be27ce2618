//! Traces: the records that each command caused, by correlation id, for seven days. The projection
//! reads headers only, and holds no payload.
//!
//! - `entry`: what is kept of a record
//! - `pack`: rows of packed entries
//! - `causes`: which command caused each record, by the record's place
//! - `reads`: what the gateway reads
//!
//! Each service traces the topics that it reads or writes, in a table of its own: so no service
//! reads commands with password hashes but the one that decides them, and no trace waits for
//! another service. A row has all entries that one poll has returned of one command, and polls are
//! paced, because a row and a transaction cost far more than an entry.

mod causes;
mod entry;
mod pack;
mod reads;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::LazyLock, time::Duration};

use deadpool_postgres::Transaction;
use redpanda::topics::{self, Topic};
use schemas::{Codec, Schema};

pub use entry::{TraceEntry, names_address};
pub use pack::entries;
pub use reads::TraceView;

pub(super) use pack::DAY_MS;

use super::{
    error::failed,
    model::{Model, Removal},
};
use crate::{
    StoreError,
    clock::now_ms,
    event::records,
    projection::{Batch, Retention},
};
use causes::Causes;
use pack::Rows;

/// How long entries are kept, in days.
const KEPT_DAYS: i32 = 7;

/// What a service traces.
struct Source {
    /// The projection's name.
    name: String,
    topics: Vec<&'static str>,
    /// Inserts rows of entries.
    entries_insertion: String,
    /// Inserts rows that say which command caused each record.
    causes_insertion: String,
    /// Selects the row that may say which command caused a record.
    cause_selection: String,
    erasure: String,
    /// Drop old days and prepare the next ones.
    removals: [String; 2],
}

/// The sources, by service.
static SOURCES: LazyLock<BTreeMap<&str, Source>> = LazyLock::new(|| {
    let mut by_service: BTreeMap<&str, Vec<&'static str>> = BTreeMap::new();
    for topic in topics::all().iter() {
        if let Some(service) = service_of(topic) {
            by_service.entry(service).or_default().push(&topic.name);
        }
    }
    let source = |(service, topics)| (service, Source::of(service, topics));
    by_service.into_iter().map(source).collect()
});

/// The service that traces a topic: of commands the one that decides them, of any other topic the
/// one that writes it. `None` for a changelog, whose records repeat what events say.
fn service_of(topic: &'static Topic) -> Option<&'static str> {
    match topic.name.rsplit_once('.')? {
        (_, "state") => None,
        (context, "commands") => {
            let events = topics::all().get(&format!("{context}.events"));
            events.map(|events| events.owner.as_str())
        }
        _ => Some(&topic.owner),
    }
}

/// Drops the old days of what projectors have applied, which are kept as long as traces.
static PROGRESS_REMOVAL: LazyLock<String> = LazyLock::new(|| removal("progress"));

/// The statement that drops old days of a table, and prepares the next ones.
fn removal(table: &str) -> String {
    format!(
        "SELECT keep_trace('{table}', ($1::bigint / {DAY_MS})::int,
             ($1::bigint / {DAY_MS})::int + {KEPT_DAYS}, $2)"
    )
}

impl Source {
    fn of(service: &str, topics: Vec<&'static str>) -> Self {
        Self {
            name: format!("{service}-trace"),
            topics,
            entries_insertion: format!(
                "INSERT INTO trace_{service} (day, correlation_id, entries)
                 SELECT * FROM unnest($1::int[], $2::uuid[], $3::bytea[])"
            ),
            causes_insertion: format!(
                "INSERT INTO trace_records_{service} (day, topic, partition, last_offset, commands)
                 SELECT * FROM unnest($1::int[], $2::text[], $3::int[], $4::bigint[], $5::bytea[])"
            ),
            cause_selection: format!(
                "SELECT commands FROM trace_records_{service}
                 WHERE topic = $1 AND partition = $2 AND last_offset >= $3
                 ORDER BY last_offset LIMIT 1"
            ),
            erasure: format!("TRUNCATE trace_{service}, trace_records_{service}"),
            removals: [format!("trace_{service}"), format!("trace_records_{service}")]
                .map(|table| removal(&table)),
        }
    }
}

/// What a batch adds to the tables of a service.
#[derive(Default)]
pub(crate) struct Added {
    rows: Rows,
    causes: Causes,
}

/// The projection of what one service traces.
pub(crate) struct Trace {
    source: &'static Source,
}

impl Trace {
    /// The projection of what `service` traces; `None` if it owns no topic.
    pub(crate) fn of(service: &str) -> Option<Self> {
        SOURCES.get(service).map(|source| Self { source })
    }
}

impl Model for Trace {
    const WRITING: &'static str = "writing traces";
    /// A trace is complete at most a second after the outcome: this, the poll and the transaction.
    const PACE: Duration = Duration::from_millis(300);
    /// What comes within the pace at 500 orders a second, twice over.
    const RECORDS_MAX: usize = 6_000;
    const READS_VALUES: bool = false;
    type Changes<'a> = Added;
    type Written = ();

    fn name(&self) -> &'static str {
        &self.source.name
    }

    fn topics(&self) -> &'static [&'static str] {
        &self.source.topics
    }

    /// None: values are not read.
    fn schemas() -> &'static [&'static Schema] {
        &[]
    }

    fn erasure(&self) -> Vec<&'static str> {
        vec![self.source.erasure.as_str()]
    }

    /// Records older than what is kept are left out, so that a rebuild does not write the whole
    /// log.
    fn decode(batches: &[Batch<'_>], codec: &Codec) -> Result<Added, StoreError> {
        let first_ms = now_ms() - i64::from(KEPT_DAYS) * DAY_MS;
        let mut added = Added::default();
        for record in records(batches).filter(|record| record.timestamp_ms >= first_ms) {
            let (correlation, entry) = TraceEntry::of(record, codec);
            added.rows.add(correlation, &entry)?;
            added.causes.add(correlation, &entry)?;
        }
        Ok(added)
    }

    async fn write(
        &self,
        transaction: &Transaction<'_>,
        added: &Self::Changes<'_>,
    ) -> Result<(), StoreError> {
        let failed = failed(Self::WRITING);
        let (mut days, mut ids, mut entries) = (Vec::new(), Vec::new(), Vec::new());
        for (day, id, row) in added.rows.iter() {
            days.push(day);
            ids.push(id);
            entries.push(row);
        }
        if days.is_empty() {
            return Ok(());
        }
        let statement =
            transaction.prepare_cached(&self.source.entries_insertion).await.map_err(&failed)?;
        transaction.execute(&statement, &[&days, &ids, &entries]).await.map_err(&failed)?;

        let rows = added.causes.rows();
        let statement =
            transaction.prepare_cached(&self.source.causes_insertion).await.map_err(&failed)?;
        let inserted = transaction
            .execute(
                &statement,
                &[&rows.days, &rows.topics, &rows.partitions, &rows.last_offsets, &rows.commands],
            )
            .await;
        inserted.map(drop).map_err(failed)
    }

    /// Old days of all services: their age does not depend on the service.
    fn removals(retention: Retention) -> Vec<Removal> {
        let before_ms = retention.now_ms - i64::from(KEPT_DAYS) * DAY_MS;
        let traces = SOURCES.values().flat_map(|source| &source.removals);
        let all = traces.chain([&*PROGRESS_REMOVAL]);
        all.map(|sql| Removal { sql, before_ms }).collect()
    }
}

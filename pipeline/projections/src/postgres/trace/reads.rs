//! What the gateway reads of traces. Never writes.

use std::sync::LazyLock;

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{SOURCES, causes, entry::TraceEntry, pack};
use crate::{StoreError, postgres::reads::Reads};

/// The most rows that are read of one trace. What one command causes has a few.
const ROWS_MAX: usize = 64;
/// The most entries of one trace.
const ENTRIES_MAX: usize = 2_000;

/// The rows of a correlation id in the tables of all services.
static SELECT: LazyLock<String> = LazyLock::new(|| {
    let of = |service: &&str| {
        format!("SELECT entries FROM trace_{service} WHERE correlation_id = ANY($1)")
    };
    let all: Vec<_> = SOURCES.keys().map(of).collect();
    format!("{} LIMIT $2", all.join(" UNION ALL "))
});

/// The records that some commands caused, and the commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceView {
    /// By time; those of one time by topic, partition and offset.
    pub entries: Vec<TraceEntry>,
    /// Whether there are more than are read.
    pub is_cut: bool,
}

impl Reads {
    /// The trace of some commands together, as far as it is projected; empty if they are unknown.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn trace(&self, commands: &[Uuid]) -> Result<TraceView, StoreError> {
        let most = i64::try_from(ROWS_MAX).unwrap_or(i64::MAX);
        let rows = self.all("reading a trace", &SELECT, &[&commands, &most]).await?;
        let mut entries = Vec::new();
        for row in &rows {
            entries.extend(pack::entries(row.get(0))?);
        }
        let is_cut = rows.len() >= ROWS_MAX || entries.len() > ENTRIES_MAX;
        let place =
            |entry: &TraceEntry| (entry.at_ms, entry.topic.clone(), entry.partition, entry.offset);
        entries.sort_by_cached_key(place);
        entries.truncate(ENTRIES_MAX);
        Ok(TraceView { entries, is_cut })
    }

    /// The id of the command that caused a record, directly or not; `None` if the record is not
    /// traced.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn cause(
        &self,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Result<Option<Uuid>, StoreError> {
        let Some(source) = SOURCES.values().find(|source| source.topics.contains(&topic)) else {
            return Ok(None);
        };
        let doing = "reading which command caused a record";
        let parameters: [&(dyn ToSql + Sync); 3] = [&topic, &partition, &offset];
        let rows = self.all(doing, &source.cause_selection, &parameters).await?;
        rows.first().map_or(Ok(None), |row| causes::find(row.get(0), offset))
    }
}

//! Outcomes of commands. The first outcome of a command stays. After the commit, a notice takes the
//! outcome to the requests that wait for it; a notice that is lost delays them and loses nothing.
//!
//! Each service writes its outcomes to a topic of its own and has a projection of its own for them,
//! so that no outcome waits for another service. All of them fill one table, because a reader knows
//! only the command's id.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use deadpool_postgres::Transaction;
use redpanda::topics::{self, Topic};
use schemas::{Codec, Message as _, Outcome, Schema, Verdict};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{
    error::{failed, storable},
    model::{Model, Removal},
    reads::Reads,
};
use crate::{
    StoreError,
    event::{message, records, unfit},
    projection::{Batch, Retention},
    redis::{Redis, publish_outcomes},
};

/// How long an outcome is kept: as long as its topic keeps it.
const KEPT_MS: i64 = 30 * 24 * 3_600_000;

/// A topic of outcomes, and what follows from it in `topics.yaml`.
pub(crate) struct OutcomeSource {
    /// The projection's name.
    name: String,
    topics: [&'static str; 1],
    /// Deletes the rows of the owner only: those of the aggregates that it decides on.
    erasure: String,
}

/// The topics of outcomes, by their owner.
static SOURCES: LazyLock<BTreeMap<&str, OutcomeSource>> = LazyLock::new(|| {
    let outcomes = topics::all().of_kind("outcomes");
    outcomes.map(|topic| (topic.owner.as_str(), OutcomeSource::new(topic))).collect()
});

impl OutcomeSource {
    /// The topic of the outcomes that `service` decides; `None` if it has none.
    pub(crate) fn of(service: &str) -> Option<&'static Self> {
        SOURCES.get(service)
    }

    fn new(topic: &'static Topic) -> Self {
        let owned = topics::all().iter().filter(|other| other.owner == topic.owner);
        let contexts: Vec<_> = owned
            .filter_map(|topic| topic.name.strip_suffix(".events"))
            .map(|context| format!("'{context}'"))
            .collect();
        Self {
            name: format!("{}-outcomes", topic.owner),
            topics: [&topic.name],
            erasure: format!("DELETE FROM outcomes WHERE aggregate IN ({})", contexts.join(", ")),
        }
    }
}

/// The projection of one service's outcomes.
pub(crate) struct Outcomes {
    source: &'static OutcomeSource,
    redis: Redis,
}

impl Outcomes {
    /// The projection of a topic of outcomes that notifies over `redis`.
    pub(crate) fn new(source: &'static OutcomeSource, redis: &Redis) -> Self {
        Self { source, redis: redis.clone() }
    }
}

impl Model for Outcomes {
    const WRITING: &'static str = "writing outcomes";
    const FAULT_POINTS: Option<[&'static str; 2]> = Some(["before-outcomes", "in-outcomes"]);
    /// The first outcome of each command in the batch.
    type Changes<'a> = BTreeMap<Uuid, Outcome>;
    /// The commands that had no outcome before.
    type Written = BTreeSet<Uuid>;

    fn name(&self) -> &'static str {
        &self.source.name
    }

    fn topics(&self) -> &'static [&'static str] {
        &self.source.topics
    }

    fn schemas() -> &'static [&'static Schema] {
        Outcome::schemas()
    }

    fn erasure(&self) -> Vec<&'static str> {
        vec![self.source.erasure.as_str()]
    }

    fn decode(batches: &[Batch<'_>], codec: &Codec) -> Result<BTreeMap<Uuid, Outcome>, StoreError> {
        let mut first = BTreeMap::new();
        for record in records(batches) {
            let outcome: Option<Outcome> = message(record, codec)?;
            let outcome = outcome.ok_or_else(|| unfit(record, "expected a value"))?;
            first.entry(outcome.command_id).or_insert(outcome);
        }
        Ok(first)
    }

    async fn write(
        &self,
        transaction: &Transaction<'_>,
        outcomes: &Self::Changes<'_>,
    ) -> Result<BTreeSet<Uuid>, StoreError> {
        insert(transaction, outcomes).await.map_err(failed(Self::WRITING))
    }

    /// A notice carries the outcome only if that is the stored one. A request without a notice, or
    /// with an empty one, asks the store.
    fn committed(&self, outcomes: &Self::Changes<'_>, first: BTreeSet<Uuid>) {
        let is_stored = |id: &Uuid| first.contains(id);
        let notices = outcomes.iter().map(|(id, it)| (*id, is_stored(id).then_some(it)));
        publish_outcomes(&self.redis, notices);
    }

    /// Old rows of all services: their age does not depend on the service.
    fn removals(retention: Retention) -> Vec<Removal> {
        let sql = "DELETE FROM outcomes WHERE command_id IN
                       (SELECT command_id FROM outcomes
                        WHERE decided_at < $1 ORDER BY decided_at LIMIT $2)";
        vec![Removal { sql, before_ms: retention.now_ms - KEPT_MS }]
    }
}

/// All outcomes as one array for each column.
macro_rules! column {
    ($outcomes:expr, $outcome:ident => $value:expr) => {
        &$outcomes.values().map(|$outcome| $value).collect::<Vec<_>>() as &(dyn ToSql + Sync)
    };
}

/// Inserts outcomes, and returns the commands that had none before.
async fn insert(
    transaction: &Transaction<'_>,
    outcomes: &BTreeMap<Uuid, Outcome>,
) -> Result<BTreeSet<Uuid>, tokio_postgres::Error> {
    let sql = "INSERT INTO outcomes (command_id, command_type, verdict, code, detail, aggregate,
                   aggregate_id, version, principal, fingerprint, decided_at)
               SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[],
                   $6::text[], $7::text[], $8::bigint[], $9::text[], $10::text[], $11::bigint[])
               ON CONFLICT (command_id) DO NOTHING RETURNING command_id";
    let statement = transaction.prepare_cached(sql).await?;
    let ids: Vec<Uuid> = outcomes.keys().copied().collect();
    let columns = [
        &ids,
        column!(outcomes, outcome => storable(&outcome.command_type)),
        column!(outcomes, outcome => outcome.verdict.as_str()),
        column!(outcomes, outcome => outcome.code.as_deref().map(storable)),
        column!(outcomes, outcome => outcome.detail.as_deref().map(storable)),
        column!(outcomes, outcome => storable(&outcome.aggregate)),
        column!(outcomes, outcome => storable(&outcome.aggregate_id)),
        column!(outcomes, outcome => outcome.version),
        column!(outcomes, outcome => storable(&outcome.principal)),
        column!(outcomes, outcome => outcome.fingerprint.as_deref().map(storable)),
        column!(outcomes, outcome => outcome.decided_at),
    ];
    let first = transaction.query(&statement, &columns).await?;
    Ok(first.iter().map(|row| row.get(0)).collect())
}

impl Reads {
    /// The outcome of a command; `None` while it is not known.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn outcome(&self, command_id: Uuid) -> Result<Option<Outcome>, StoreError> {
        let sql = "SELECT command_id, command_type, verdict, code, detail, aggregate, aggregate_id,
                       version, principal, fingerprint, decided_at
                   FROM outcomes WHERE command_id = $1";
        Ok(self.one("reading an outcome", sql, command_id).await?.map(|row| Outcome {
            command_id: row.get(0),
            command_type: row.get(1),
            verdict: verdict(row.get(2)),
            code: row.get(3),
            detail: row.get(4),
            aggregate: row.get(5),
            aggregate_id: row.get(6),
            version: row.get(7),
            principal: row.get(8),
            fingerprint: row.get(9),
            decided_at: row.get(10),
        }))
    }
}

fn verdict(text: &str) -> Verdict {
    match text {
        "ACCEPTED" => Verdict::Accepted,
        "REFUSED" => Verdict::Refused,
        _ => Verdict::Failed,
    }
}

#[cfg(test)]
mod tests {
    use redpanda::topics::Keep;

    use super::*;

    #[test]
    fn outcome_is_kept_as_long_as_its_topic_keeps_it() {
        let days = u32::try_from(KEPT_MS / 24 / 3_600_000).expect("days");
        for source in SOURCES.values() {
            let topic = topics::all().get(source.topics[0]).expect("a topic");
            assert_eq!(topic.keep, Keep::Days(days), "{}", source.name);
        }
    }

    #[test]
    fn erasure_deletes_the_outcomes_of_all_aggregates_of_the_service() {
        let erasure = |service| SOURCES[service].erasure.strip_prefix("DELETE FROM outcomes ");
        assert_eq!(erasure("user"), Some("WHERE aggregate IN ('email', 'user')"));
        assert_eq!(erasure("notification"), Some("WHERE aggregate IN ('notification')"));
    }
}

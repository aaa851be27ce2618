//! Outcomes of commands. The first outcome of a command stays. After the commit, Redis notifies
//! requests that wait for one; a notice that is lost delays them and loses nothing.

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;
use schemas::{Codec, Message as _, Outcome, Schema, Verdict, chain};
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
    redis::{Redis, outcome_channel},
};

/// How long an outcome is kept: as long as its topic keeps it.
const KEPT_MS: i64 = 30 * 24 * 3_600_000;

/// The projection.
pub(crate) struct Outcomes {
    redis: Redis,
}

impl Outcomes {
    /// The projection that notifies over `redis`.
    pub(crate) fn new(redis: &Redis) -> Self {
        Self { redis: redis.clone() }
    }
}

impl Model for Outcomes {
    const NAME: &'static str = "outcomes";
    const TOPICS: &'static [&'static str] = &["outcomes"];
    const TABLES: &'static [&'static str] = &["outcomes"];
    const WRITING: &'static str = "writing outcomes";
    const FAULT_POINTS: Option<[&'static str; 2]> = Some(["before-outcomes", "in-outcomes"]);
    /// The first outcome of each command in the batch.
    type Changes<'a> = BTreeMap<Uuid, Outcome>;

    fn schemas() -> &'static [&'static Schema] {
        Outcome::schemas()
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
    ) -> Result<(), StoreError> {
        insert(transaction, outcomes).await.map_err(failed(Self::WRITING))
    }

    /// Sends the notices in a task of its own: a request without a notice asks the store.
    fn committed(&self, outcomes: &Self::Changes<'_>) {
        let mut pipe = redis::pipe();
        for command_id in outcomes.keys() {
            pipe.cmd("PUBLISH").arg(outcome_channel(*command_id)).arg("").ignore();
        }
        let mut connection = self.redis.connection();
        tokio::spawn(async move {
            if let Err(error) = pipe.query_async::<()>(&mut connection).await {
                tracing::debug!(error = chain(&error), "no notices of outcomes were sent");
            }
        });
    }

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

async fn insert(
    transaction: &Transaction<'_>,
    outcomes: &BTreeMap<Uuid, Outcome>,
) -> Result<(), tokio_postgres::Error> {
    let sql = "INSERT INTO outcomes (command_id, command_type, verdict, code, detail, aggregate,
                   aggregate_id, version, principal, fingerprint, decided_at)
               SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[],
                   $6::text[], $7::text[], $8::bigint[], $9::text[], $10::text[], $11::bigint[])
               ON CONFLICT (command_id) DO NOTHING";
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
    transaction.execute(&statement, &columns).await?;
    Ok(())
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
    use redpanda::topics::{self, Keep};

    use super::KEPT_MS;

    #[test]
    fn outcome_is_kept_as_long_as_its_topic_keeps_it() {
        let topic = topics::all().get("outcomes").expect("a topic");
        assert_eq!(topic.keep, Keep::Days(u32::try_from(KEPT_MS / 24 / 3_600_000).expect("days")));
    }
}

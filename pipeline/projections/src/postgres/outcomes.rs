//! What became of commands: the first outcome of each stays. After the commit Redis tells those who
//! wait.

use std::{borrow::Cow, collections::BTreeMap};

use futures_util::future::BoxFuture;
use redpanda::log::TopicPartition;
use schemas::{Codec, Outcome};
use uuid::Uuid;

use super::{Postgres, failed, position, storable};
use crate::{
    StoreError,
    deadline::WRITE_MAX,
    projection::{Batch, Claim, Projection, Retention, message, unfit},
    redis::{Redis, outcome_channel},
};

/// For how long an outcome is kept: as long as its topic keeps it.
const KEPT_MS: i64 = 30 * 24 * 3_600_000;

/// The projection.
pub(crate) struct Outcomes {
    pub(crate) postgres: Postgres,
    pub(crate) redis: Redis,
}

impl Projection for Outcomes {
    fn name(&self) -> &'static str {
        "outcomes"
    }

    fn topics(&self) -> &'static [&'static str] {
        &["outcomes"]
    }

    fn prepare(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.postgres.migrate())
    }

    fn claim<'a>(&'a self, place: &'a TopicPartition) -> BoxFuture<'a, Result<Claim, StoreError>> {
        Box::pin(position::claim(&self.postgres, self.name(), place))
    }

    fn held<'a>(
        &'a self,
        place: &'a TopicPartition,
    ) -> BoxFuture<'a, Result<Option<Claim>, StoreError>> {
        Box::pin(position::held(&self.postgres, self.name(), place))
    }

    fn bury<'a>(
        &'a self,
        batch: &'a Batch<'a>,
        why: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(position::bury(&self.postgres, self.name(), batch, why))
    }

    /// The topic lets them go after as long.
    fn remove(&self, retention: Retention) -> BoxFuture<'_, Result<usize, StoreError>> {
        let sql = "DELETE FROM outcomes WHERE command_id IN
                       (SELECT command_id FROM outcomes WHERE decided_at < $1 ORDER BY decided_at LIMIT $2)";
        Box::pin(self.postgres.remove(sql, retention.now_ms - KEPT_MS))
    }

    fn erase(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(position::erase(&self.postgres, self.name(), &["outcomes"]))
    }

    fn apply<'a>(
        &'a self,
        batch: &'a Batch<'a>,
        codec: &'a Codec,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let writing = async move {
            let outcomes = first(batch, codec)?;
            let failed = failed("writing outcomes");
            let mut client = self.postgres.get().await?;
            let transaction = client.transaction().await.map_err(&failed)?;
            position::advance(&transaction, self.name(), batch).await?;
            redpanda::fault::point("in-outcomes");
            insert(&transaction, &outcomes).await.map_err(&failed)?;
            transaction.commit().await.map_err(&failed)?;
            drop(client);
            self.tell(outcomes.into_keys());
            Ok(())
        };
        Box::pin(async move {
            // Before the deadline begins: who is stopped here and woken later does write, and is
            // refused.
            redpanda::fault::point("before-outcomes");
            self.postgres.within(WRITE_MAX, "writing outcomes", writing).await
        })
    }
}

impl Outcomes {
    /// Tells those who wait, without waiting for Redis: who is not told asks.
    fn tell(&self, commands: impl Iterator<Item = Uuid>) {
        let mut pipe = redis::pipe();
        for command_id in commands {
            pipe.cmd("PUBLISH").arg(outcome_channel(command_id)).arg("").ignore();
        }
        let mut connection = self.redis.connection();
        tokio::spawn(async move {
            if let Err(error) = pipe.query_async::<()>(&mut connection).await {
                tracing::debug!(%error, "nobody was told of outcomes");
            }
        });
    }
}

fn first(batch: &Batch<'_>, codec: &Codec) -> Result<BTreeMap<Uuid, Outcome>, StoreError> {
    let mut first = BTreeMap::new();
    for record in batch.records {
        let outcome: Option<Outcome> = message(record, codec)?;
        let outcome = outcome.ok_or_else(|| unfit(record, "it has no value".to_owned()))?;
        first.entry(outcome.command_id).or_insert(outcome);
    }
    Ok(first)
}

async fn insert(
    transaction: &deadpool_postgres::Transaction<'_>,
    outcomes: &BTreeMap<Uuid, Outcome>,
) -> Result<(), tokio_postgres::Error> {
    let sql = "INSERT INTO outcomes (command_id, command_type, verdict, code, detail, aggregate, aggregate_id, version,
                                     principal, fingerprint, decided_at)
               SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                                    $8::bigint[], $9::text[], $10::text[], $11::bigint[])
               ON CONFLICT (command_id) DO NOTHING";
    let statement = transaction.prepare_cached(sql).await?;
    let ids: Vec<Uuid> = outcomes.keys().copied().collect();
    let text =
        |of: fn(&Outcome) -> &str| outcomes.values().map(|outcome| storable(of(outcome))).collect();
    let texts = |of: fn(&Outcome) -> Option<&str>| {
        outcomes.values().map(|outcome| of(outcome).map(storable)).collect()
    };
    let types: Vec<Cow<'_, str>> = text(|outcome| &outcome.command_type);
    let verdicts: Vec<&str> = outcomes.values().map(|outcome| outcome.verdict.as_str()).collect();
    let codes: Vec<Option<Cow<'_, str>>> = texts(|outcome| outcome.code.as_deref());
    let details: Vec<Option<Cow<'_, str>>> = texts(|outcome| outcome.detail.as_deref());
    let aggregates: Vec<Cow<'_, str>> = text(|outcome| &outcome.aggregate);
    let aggregate_ids: Vec<Cow<'_, str>> = text(|outcome| &outcome.aggregate_id);
    let versions: Vec<i64> = outcomes.values().map(|outcome| outcome.version).collect();
    let principals: Vec<Cow<'_, str>> = text(|outcome| &outcome.principal);
    let fingerprints: Vec<Option<Cow<'_, str>>> = texts(|outcome| outcome.fingerprint.as_deref());
    let times: Vec<i64> = outcomes.values().map(|outcome| outcome.decided_at).collect();
    let columns: [&(dyn tokio_postgres::types::ToSql + Sync); 11] = [
        &ids,
        &types,
        &verdicts,
        &codes,
        &details,
        &aggregates,
        &aggregate_ids,
        &versions,
        &principals,
        &fingerprints,
        &times,
    ];
    transaction.execute(&statement, &columns).await?;
    Ok(())
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

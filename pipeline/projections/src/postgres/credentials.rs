//! What passwords are checked against: the newest credential of each user, gone with its tombstone.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use redpanda::log::TopicPartition;
use schemas::{Codec, user::Credential};
use uuid::Uuid;

use super::{Postgres, failed, position, storable};
use crate::{
    StoreError,
    deadline::WRITE_MAX,
    projection::{Batch, Claim, Projection, key, message, unfit},
};

/// The projection. The topic is compacted: there are no versions to follow each other, the newest
/// record counts.
pub(crate) struct Credentials {
    pub(crate) postgres: Postgres,
}

impl Projection for Credentials {
    fn name(&self) -> &'static str {
        "credentials"
    }

    fn topics(&self) -> &'static [&'static str] {
        &["user.credentials"]
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

    fn erase(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(position::erase(&self.postgres, self.name(), &["credentials"]))
    }

    fn apply<'a>(
        &'a self,
        batch: &'a Batch<'a>,
        codec: &'a Codec,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let writing = async move {
            let newest = newest(batch, codec)?;
            let failed = failed("writing credentials");
            let mut client = self.postgres.get().await?;
            let transaction = client.transaction().await.map_err(&failed)?;
            position::advance(&transaction, self.name(), batch).await?;

            let (mut gone, mut ids, mut hashes, mut versions, mut times) =
                (vec![], vec![], vec![], vec![], vec![]);
            for (user_id, credential) in newest {
                let Some(credential) = credential else {
                    gone.push(user_id);
                    continue;
                };
                ids.push(user_id);
                hashes.push(storable(&credential.password_hash).into_owned());
                versions.push(credential.credential_version);
                times.push(credential.changed_at);
            }
            if !ids.is_empty() {
                let sql = "INSERT INTO credentials (user_id, password_hash, credential_version, changed_at)
                           SELECT * FROM unnest($1::uuid[], $2::text[], $3::int[], $4::bigint[])
                           ON CONFLICT (user_id) DO UPDATE SET password_hash = excluded.password_hash,
                               credential_version = excluded.credential_version, changed_at = excluded.changed_at";
                let statement = transaction.prepare_cached(sql).await.map_err(&failed)?;
                transaction
                    .execute(&statement, &[&ids, &hashes, &versions, &times])
                    .await
                    .map_err(&failed)?;
            }
            if !gone.is_empty() {
                let sql = "DELETE FROM credentials WHERE user_id = ANY($1)";
                transaction.execute(sql, &[&gone]).await.map_err(&failed)?;
            }
            transaction.commit().await.map_err(&failed)
        };
        Box::pin(self.postgres.within(WRITE_MAX, "writing credentials", writing))
    }
}

/// The last word on each user.
fn newest(
    batch: &Batch<'_>,
    codec: &Codec,
) -> Result<BTreeMap<Uuid, Option<Credential>>, StoreError> {
    let mut newest = BTreeMap::new();
    for record in batch.records {
        let user_id =
            key(record)?.parse().map_err(|_| unfit(record, "its key is no user id".to_owned()))?;
        newest.insert(user_id, message(record, codec)?);
    }
    Ok(newest)
}

//! Positions beside the documents: one for each projection and partition, moved by compare-and-set.

use futures_util::future::BoxFuture;
use mongodb::{
    bson::{Document, doc},
    options::ReturnDocument,
};
use redpanda::log::TopicPartition;
use serde::Deserialize;

use super::{client::Mongo, errors::failed, updates::Update};
use crate::{
    StoreError,
    deadline::{WRITE_MAX, within},
    projection::{Batch, Claim, PositionStore},
};

const POSITIONS: &str = "positions";
const DEAD_LETTERS: &str = "dead_letters";
/// The newest dead letters of a projection that are kept for each partition.
const DEAD_LETTERS_MAX: u64 = 1_000;

#[derive(Deserialize)]
struct Position {
    epoch: i64,
    next: Option<i64>,
}

impl From<Position> for Claim {
    fn from(Position { epoch, next }: Position) -> Self {
        Self { epoch, next }
    }
}

impl PositionStore for Mongo {
    fn claim<'a>(
        &'a self,
        projection: &'a str,
        partition: &'a TopicPartition,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        let doing = "claiming a partition";
        let work = async move {
            let filter = doc! { "_id": position_id(projection, partition) };
            let positions = self.collection::<Position>(POSITIONS);
            let claimed = positions
                .find_one_and_update(filter, doc! { "$inc": { "epoch": 1_i64 } })
                .upsert(true)
                .return_document(ReturnDocument::After)
                .await
                .map_err(failed(doing))?;
            let none = || StoreError::failed(doing, "no answer");
            claimed.map(Claim::from).ok_or_else(none)
        };
        Box::pin(within(WRITE_MAX, doing, work))
    }

    fn current_claim<'a>(
        &'a self,
        projection: &'a str,
        partition: &'a TopicPartition,
    ) -> BoxFuture<'a, Result<Option<Claim>, StoreError>> {
        let doing = "looking at a position";
        let work = async move {
            let filter = doc! { "_id": position_id(projection, partition) };
            let found = self.collection::<Position>(POSITIONS).find_one(filter).await;
            Ok(found.map_err(failed(doing))?.map(Claim::from))
        };
        Box::pin(within(WRITE_MAX, doing, work))
    }

    fn write_dead_letter<'a>(
        &'a self,
        projection: &'a str,
        batch: &'a Batch<'a>,
        why: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let doing = "noting a dead letter";
        let work = async move {
            let failed = failed(doing);
            let letters = self.collection::<Document>(DEAD_LETTERS);
            let (of, offset) = (position_id(projection, batch.partition), batch.to - 1);
            let id = format!("{of}@{offset}");
            let letter = doc! { "_id": &id, "of": &of, "offset": offset, "why": why };
            letters.replace_one(doc! { "_id": &id }, letter).upsert(true).await.map_err(&failed)?;
            let own = doc! { "of": &of };
            let oldest =
                letters.find_one(own).sort(doc! { "offset": -1 }).skip(DEAD_LETTERS_MAX).await;
            if let Some(oldest) =
                oldest.map_err(&failed)?.and_then(|letter| letter.get_i64("offset").ok())
            {
                let older = doc! { "of": &of, "offset": { "$lte": oldest } };
                letters.delete_many(older).await.map_err(&failed)?;
            }
            // After the letter: an owner that dies in between writes the same letter again.
            self.advance(projection, batch).await
        };
        Box::pin(within(WRITE_MAX, doing, work))
    }
}

impl Mongo {
    /// Moves the position of `projection` behind a batch that was applied. For projections whose
    /// effects are outside of MongoDB it is the only write.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when another owner has claimed the partition, and others when the
    /// server does not answer.
    pub async fn advance(&self, projection: &str, batch: &Batch<'_>) -> Result<(), StoreError> {
        self.advance_all(projection, std::slice::from_ref(batch)).await
    }

    /// The same for batches of different partitions. After an error some of the positions may have
    /// moved.
    pub(super) async fn advance_all(
        &self,
        projection: &str,
        batches: &[Batch<'_>],
    ) -> Result<(), StoreError> {
        let doing = "moving a position";
        let ids: Vec<_> =
            batches.iter().map(|batch| position_id(projection, batch.partition)).collect();
        let updates = batches.iter().zip(&ids).map(|(batch, id)| {
            let Claim { epoch, next: from } = batch.claim;
            // A missing field equals null in a filter.
            let q = doc! { "_id": id, "epoch": epoch, "next": from };
            Update { q, u: doc! { "$set": { "next": batch.to } }, upsert: false }
        });
        let updates: Vec<_> = updates.collect();
        match within(WRITE_MAX, doing, self.update(POSITIONS, updates, doing)).await? {
            0 => Ok(()),
            _ => Err(StoreError::Lost { position: ids.join(", ") }),
        }
    }

    /// Deletes the documents, dead letters and positions of `projection`. Its owners are fenced
    /// before, so that nothing they still write keeps its position.
    pub(super) async fn erase(&self, projection: &str, collection: &str) -> Result<(), StoreError> {
        let work = async {
            let positions = self.collection::<Document>(POSITIONS);
            let own = doc! { "_id": { "$regex": format!("^{projection} ") } };
            let fence = doc! { "$inc": { "epoch": 1_i64 } };
            positions
                .update_many(own.clone(), fence)
                .await
                .map_err(failed("fencing projectors"))?;
            let documents = self.collection::<Document>(collection);
            documents.delete_many(doc! {}).await.map_err(failed("erasing documents"))?;
            let dead = doc! { "of": { "$regex": format!("^{projection} ") } };
            let letters = self.collection::<Document>(DEAD_LETTERS);
            letters.delete_many(dead).await.map_err(failed("erasing dead letters"))?;
            let forget = doc! { "$inc": { "epoch": 1_i64 }, "$unset": { "next": "" } };
            positions.update_many(own, forget).await.map_err(failed("erasing positions"))?;
            Ok(())
        };
        within(WRITE_MAX, "erasing a projection", work).await
    }
}

fn position_id(projection: &str, partition: &TopicPartition) -> String {
    format!("{projection} {partition}")
}

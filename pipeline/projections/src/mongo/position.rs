//! Positions beside the documents: one for each projection and partition, moved by compare-and-set.

use mongodb::{
    bson::{Document, doc},
    options::ReturnDocument,
};
use redpanda::log::TopicPartition;
use serde::Deserialize;

use super::{Mongo, failed};
use crate::{
    StoreError,
    deadline::{WRITE_MAX, within},
    projection::{Batch, Claim},
};

const POSITIONS: &str = "positions";
const DEAD_LETTERS: &str = "dead_letters";
/// Dead letters of a projection that are kept for each partition: the newest.
const BURIED_MAX: u64 = 1_000;

#[derive(Deserialize)]
struct Position {
    epoch: i64,
    next: Option<i64>,
}

impl Mongo {
    /// Makes a partition of `projection` the caller's: whoever claimed it before can't move its
    /// position any more.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn claim(
        &self,
        projection: &str,
        place: &TopicPartition,
    ) -> Result<Claim, StoreError> {
        let work = async {
            let filter = doc! { "_id": position_id(projection, place) };
            let positions = self.collection::<Position>(POSITIONS);
            let claimed = positions
                .find_one_and_update(filter, doc! { "$inc": { "epoch": 1_i64 } })
                .upsert(true)
                .return_document(ReturnDocument::After)
                .await
                .map_err(failed("claiming a partition"))?;
            let lost = || StoreError::Failed {
                doing: "claiming a partition",
                why: "no answer".to_owned(),
            };
            let Position { epoch, next } = claimed.ok_or_else(lost)?;
            Ok(Claim { epoch, next })
        };
        within(WRITE_MAX, "claiming a partition", work).await
    }

    /// The newest claim of a partition.
    pub async fn held(
        &self,
        projection: &str,
        place: &TopicPartition,
    ) -> Result<Option<Claim>, StoreError> {
        let work = async {
            let filter = doc! { "_id": position_id(projection, place) };
            let found = self.collection::<Position>(POSITIONS).find_one(filter).await;
            let found = found.map_err(failed("looking at a position"))?;
            Ok(found.map(|Position { epoch, next }| Claim { epoch, next }))
        };
        within(WRITE_MAX, "looking at a position", work).await
    }

    /// Moves the position of `projection` behind a batch that is applied.
    ///
    /// # Errors
    /// When it is somebody else's by now, or the server does not answer.
    pub async fn advance(&self, projection: &str, batch: &Batch<'_>) -> Result<(), StoreError> {
        let work = async {
            let id = position_id(projection, batch.place);
            // A missing field equals null in a filter.
            let filter = doc! { "_id": &id, "epoch": batch.epoch, "next": batch.from };
            let moved = self.collection::<Document>(POSITIONS);
            let moved = moved.update_one(filter, doc! { "$set": { "next": batch.to } }).await;
            match moved.map_err(failed("moving a position"))?.matched_count {
                0 => Err(StoreError::Lost { position: id }),
                _ => Ok(()),
            }
        };
        within(WRITE_MAX, "moving a position", work).await
    }

    /// Notes the record of a batch as a dead letter, then moves the position past it.
    ///
    /// # Errors
    /// As [`Mongo::advance`].
    pub async fn bury(
        &self,
        projection: &str,
        batch: &Batch<'_>,
        why: &str,
    ) -> Result<(), StoreError> {
        let work = async {
            let failed = failed("noting a dead letter");
            let letters = self.collection::<Document>(DEAD_LETTERS);
            let (of, offset) = (position_id(projection, batch.place), batch.to - 1);
            let id = format!("{of}@{offset}");
            let letter = doc! { "_id": &id, "of": &of, "offset": offset, "why": why };
            letters.replace_one(doc! { "_id": &id }, letter).upsert(true).await.map_err(&failed)?;
            let own = doc! { "of": &of };
            let oldest = letters.find_one(own).sort(doc! { "offset": -1 }).skip(BURIED_MAX).await;
            if let Some(oldest) =
                oldest.map_err(&failed)?.and_then(|letter| letter.get_i64("offset").ok())
            {
                let older = doc! { "of": &of, "offset": { "$lte": oldest } };
                letters.delete_many(older).await.map_err(&failed)?;
            }
            self.advance(projection, batch).await
        };
        within(WRITE_MAX, "noting a dead letter", work).await
    }

    /// Throws the documents of `projection` away, and its positions. Who works on it is fenced
    /// first, so that nothing of what they write stays.
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
            let buried = doc! { "of": { "$regex": format!("^{projection} ") } };
            let letters = self.collection::<Document>(DEAD_LETTERS);
            letters.delete_many(buried).await.map_err(failed("erasing dead letters"))?;
            let forget = doc! { "$inc": { "epoch": 1_i64 }, "$unset": { "next": "" } };
            positions.update_many(own, forget).await.map_err(failed("erasing positions"))?;
            Ok(())
        };
        within(WRITE_MAX, "erasing a projection", work).await
    }
}

fn position_id(projection: &str, place: &TopicPartition) -> String {
    format!("{projection} {place}")
}

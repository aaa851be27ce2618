//! Watches the positions of projections while faults happen: they never go back. Positions in Redis
//! are not watched, because Redis may be emptied.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use mongodb::bson::{Document, doc};
use mongodb::options::WriteConcern;

use super::{Stores, documents, number};
use crate::ledger::{Damage, Violation};

/// The pause between two reads of the positions.
const LOOK_EVERY: Duration = Duration::from_millis(100);

impl Stores {
    /// The positions that the store will not lose.
    ///
    /// A read shows writes that are not in the journal yet, which a killed server loses before it
    /// has acknowledged them. A write that is acknowledged afterwards shows that all of them are.
    async fn positions(&self) -> anyhow::Result<BTreeMap<String, i64>> {
        let mut positions = BTreeMap::new();
        let mongo = self.mongo().await?;
        for (id, document) in documents(&mongo, "positions").await? {
            positions.extend(number(&document, "next").map(|next| (id, next)));
        }
        mongo
            .collection::<Document>("proof_watch")
            .update_one(doc! { "_id": "positions" }, doc! { "$inc": { "reads": 1 } })
            .upsert(true)
            .write_concern(WriteConcern::builder().journal(true).build())
            .await?;
        Ok(positions)
    }

    /// Watches the positions in MongoDB until the watch ends.
    pub fn watch(&self) -> Watch {
        let (stores, seen) = (self.clone(), Arc::new(Seen::default()));
        let shared = seen.clone();
        tokio::spawn(async move {
            while !shared.end.load(Ordering::Relaxed) {
                // A store that does not answer has no position to check.
                if let Ok(positions) = stores.positions().await {
                    shared.add(positions);
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
        Watch { stores: self.clone(), seen }
    }
}

#[derive(Default)]
struct Seen {
    end: AtomicBool,
    state: Mutex<(BTreeMap<String, i64>, Vec<Violation>)>,
}

impl Seen {
    fn add(&self, positions: BTreeMap<String, i64>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, broken) = &mut *state;
        for (partition, next) in positions {
            if let Some(before) =
                last.insert(partition.clone(), next).filter(|before| *before > next)
            {
                broken.push(Violation::new(
                    'E',
                    Damage::Torn,
                    format!("{partition} went back from {before} to {next}"),
                ));
            }
        }
    }
}

/// A watch on the positions.
pub struct Watch {
    stores: Stores,
    seen: Arc<Seen>,
}

impl Watch {
    /// Ends the watch. Returns the positions that went back: all of PostgreSQL's, and those of
    /// MongoDB's that the watch saw.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub async fn end(self) -> anyhow::Result<Vec<Violation>> {
        self.seen.end.store(true, Ordering::Relaxed);
        let mut broken = self.seen.state.lock().unwrap_or_else(PoisonError::into_inner).1.clone();
        let postgres = self.stores.postgres().await.context("PostgreSQL")?;
        for row in postgres.query("DELETE FROM proof_went_back RETURNING what", &[]).await? {
            broken.push(Violation::new('E', Damage::Torn, row.get::<_, String>(0)));
        }
        Ok(broken)
    }
}

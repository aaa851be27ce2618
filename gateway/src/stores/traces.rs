//! Traces from PostgreSQL, and from all stores who has applied their records.

use futures_util::FutureExt;
use uuid::Uuid;

use super::{Stores, failed};
use crate::{
    reads::{Applied, Read, TraceEntry, TraceReads, TraceView},
    record_place::RecordPlace,
};

impl TraceReads for Stores {
    fn trace(&self, commands: Vec<Uuid>) -> Read<'_, TraceView> {
        async move { self.postgres.trace(&commands).await.map_err(failed("a trace")) }.boxed()
    }

    fn cause<'a>(&'a self, place: &'a RecordPlace) -> Read<'a, Option<Uuid>> {
        async move {
            let RecordPlace { topic, partition, offset } = place;
            let found = self.postgres.cause(topic, *partition, *offset).await;
            found.map_err(failed("which command caused a record"))
        }
        .boxed()
    }

    fn applied<'a>(&'a self, entries: &'a [TraceEntry]) -> Read<'a, Vec<Vec<Applied>>> {
        async move {
            self.who_applied.applied(entries).await.map_err(failed("who has applied records"))
        }
        .boxed()
    }
}

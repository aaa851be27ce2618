//! The operator's desk from PostgreSQL.

use futures_util::FutureExt;
use projections::postgres::{KeyCursor, ParkedSelection, RecordCursor};
use tokio::sync::watch;

use super::{Stores, failed, shape};
use crate::{
    answers::{Page, Read},
    desk::{Action, DeadContent, DeadId, DeadLetter, DeskReads, ParkedKey, ParkedRecord},
};

impl DeskReads for Stores {
    fn dead_letters(
        &self,
        cursor: Option<RecordCursor>,
        limit: usize,
    ) -> Read<'_, Page<DeadLetter>> {
        async move {
            let found = self.postgres.dead_letters(cursor, limit).await;
            Ok(shape::page(found.map_err(failed("dead letters"))?, DeadLetter::from))
        }
        .boxed()
    }

    fn dead_letter<'a>(&'a self, id: &'a DeadId) -> Read<'a, Option<DeadContent>> {
        async move {
            let DeadId { topic, partition, dead_offset } = id;
            let found = self.postgres.dead_letter(topic, *partition, *dead_offset).await;
            Ok(found.map_err(failed("a dead letter"))?.map(DeadContent::from))
        }
        .boxed()
    }

    fn parked_keys(&self, cursor: Option<KeyCursor>, limit: usize) -> Read<'_, Page<ParkedKey>> {
        async move {
            let found = self.postgres.parked_keys(cursor, limit).await;
            Ok(shape::page(found.map_err(failed("parked keys"))?, ParkedKey::from))
        }
        .boxed()
    }

    fn selected_keys<'a>(
        &'a self,
        selection: &'a ParkedSelection,
        limit: usize,
    ) -> Read<'a, Page<ParkedKey>> {
        async move {
            let found = self.postgres.selected_keys(selection, limit).await;
            Ok(shape::page(found.map_err(failed("selected parked keys"))?, ParkedKey::from))
        }
        .boxed()
    }

    fn parked_records<'a>(
        &'a self,
        topic: &'a str,
        key: &'a str,
        after: Option<i64>,
        limit: usize,
    ) -> Read<'a, Page<ParkedRecord>> {
        async move {
            let found = self.postgres.parked_records(topic, key, after, limit).await;
            Ok(shape::page(found.map_err(failed("parked records"))?, ParkedRecord::from))
        }
        .boxed()
    }

    fn actions(&self, cursor: Option<RecordCursor>, limit: usize) -> Read<'_, Page<Action>> {
        async move {
            let found = self.postgres.actions(cursor, limit).await;
            Ok(shape::page(found.map_err(failed("what operators have done"))?, Action::from))
        }
        .boxed()
    }

    fn desk_changes(&self) -> watch::Receiver<u64> {
        self.notices.operations()
    }
}

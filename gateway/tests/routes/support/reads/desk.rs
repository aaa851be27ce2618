//! The simulated desk of operators.

use gateway::{
    desk::{Action, DeadContent, DeadId, DeadLetter, DeskReads, ParkedKey, ParkedRecord},
    reads::{Page, Read},
};
use projections::postgres::{KeyCursor, ParkedSelection, RecordCursor};

use tokio::sync::watch;

use super::page;
use crate::support::world::World;

impl DeskReads for World {
    fn dead_letters(
        &self,
        cursor: Option<RecordCursor>,
        limit: usize,
    ) -> Read<'_, Page<DeadLetter>> {
        self.get(move |inner| {
            let is_next = |it: &&DeadLetter| {
                cursor.as_ref().is_none_or(|cursor| it.dead_offset < cursor.offset)
            };
            let mut page = page(inner.desk.dead.iter().filter(is_next).cloned(), limit);
            let last = page.items.last().filter(|last| last.dead_offset > 0);
            let next = |last: &DeadLetter| RecordCursor {
                at: 0,
                name: last.topic.clone(),
                partition: last.partition,
                offset: last.dead_offset,
            };
            page.next = last.map(|last| next(last).to_string());
            page
        })
    }
    fn dead_letter<'a>(&'a self, id: &'a DeadId) -> Read<'a, Option<DeadContent>> {
        self.get(move |inner| {
            let letter = inner.desk.dead.iter().find(|it| it.id == id.to_string())?.clone();
            Some(DeadContent { letter, ..inner.desk.content.clone()? })
        })
    }
    fn parked_keys(&self, cursor: Option<KeyCursor>, limit: usize) -> Read<'_, Page<ParkedKey>> {
        self.get(move |inner| {
            let is_next =
                |it: &&ParkedKey| cursor.as_ref().is_none_or(|cursor| it.key > cursor.key);
            page(inner.desk.parked.iter().filter(is_next).cloned(), limit)
        })
    }
    fn selected_keys<'a>(
        &'a self,
        selection: &'a ParkedSelection,
        limit: usize,
    ) -> Read<'a, Page<ParkedKey>> {
        self.get(move |inner| {
            let ParkedSelection { topic, error } = selection;
            let is_selected = |it: &&ParkedKey| {
                topic.as_ref().is_none_or(|topic| *topic == it.topic)
                    && error.as_ref().is_none_or(|error| it.error.as_ref() == Some(error))
            };
            let all: Vec<_> = inner.desk.parked.iter().filter(is_selected).cloned().collect();
            let next = (all.len() > limit).then(|| "next".to_owned());
            Page { next, ..page(all.into_iter(), limit) }
        })
    }
    fn parked_records<'a>(
        &'a self,
        _topic: &'a str,
        key: &'a str,
        after: Option<i64>,
        limit: usize,
    ) -> Read<'a, Page<ParkedRecord>> {
        self.get(move |inner| {
            let is_known = inner.desk.parked.iter().any(|it| it.key == key);
            let is_next = |it: &&ParkedRecord| after.is_none_or(|after| it.offset > after);
            let all = inner.desk.records.iter().filter(|_| is_known).filter(is_next).cloned();
            page(all, limit)
        })
    }
    fn actions(&self, _cursor: Option<RecordCursor>, limit: usize) -> Read<'_, Page<Action>> {
        self.get(move |inner| page(inner.desk.actions.iter().cloned(), limit))
    }
    fn desk_changes(&self) -> watch::Receiver<u64> {
        self.inner().desk_changes.subscribe()
    }
}

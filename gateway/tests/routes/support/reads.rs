//! The simulated projections and counters.

use std::time::Duration;

use futures_util::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use gateway::{
    commands::CommandRecord,
    counters::{Count, CounterError, Counters},
    desk::{Action, DeadContent, DeadId, DeadLetter, DeskReads, ParkedKey, ParkedRecord},
    health::{Health, cause},
    reads::{
        Applied, Credential, Cursor, HistoryEntry, Notice, Notification, Order, Page, Product,
        Read, ReadError, Reads, StreamItem, StreamScope, TraceEntry, User, ViewNotice,
    },
    record_place::RecordPlace,
    statistics::{By, Statistics},
};
use projections::postgres::{KeyCursor, ParkedSelection, RecordCursor, TraceView};
use schemas::Outcome;
use serde_json::json;
use tokio::sync::watch;
use uuid::Uuid;

use super::world::{Inner, Notices, World};

impl World {
    fn get<'a, T: Send + 'a>(&'a self, get: impl FnOnce(&Inner) -> T + Send + 'a) -> Read<'a, T> {
        async move {
            while self.inner().stores_stuck {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let mut inner = self.inner();
            inner.reads += 1;
            if inner.stores_down {
                return Err(ReadError::new("everything", "down"));
            }
            Ok(get(&inner))
        }
        .boxed()
    }
}

fn page<T>(items: impl Iterator<Item = T>, limit: usize) -> Page<T> {
    Page { items: items.take(limit).collect(), next: None }
}

impl Reads for World {
    fn user(&self, id: Uuid) -> Read<'_, Option<User>> {
        self.get(move |inner| inner.users.get(&id).cloned())
    }
    fn session_began(&self, session_id: Uuid) -> Read<'_, Option<i64>> {
        self.get(move |inner| inner.sessions.get(&session_id).copied())
    }
    fn credential_by_email<'a>(
        &'a self,
        email_fingerprint: &'a str,
    ) -> Read<'a, Option<Credential>> {
        self.get(move |inner| {
            inner.credentials.values().find(|(f, _)| f == email_fingerprint).map(|(_, c)| c.clone())
        })
    }
    fn credential(&self, user_id: Uuid) -> Read<'_, Option<Credential>> {
        self.get(move |inner| inner.credentials.get(&user_id).map(|(_, c)| c.clone()))
    }
    fn outcome(&self, command: Uuid) -> Read<'_, Option<Outcome>> {
        self.get(move |inner| inner.outcomes.get(&command).cloned())
    }
    fn trace(&self, commands: Vec<Uuid>) -> Read<'_, TraceView> {
        self.get(move |inner| {
            let mut all = TraceView::default();
            for found in commands.iter().filter_map(|command| inner.traces.get(command)) {
                all.entries.extend(found.entries.clone());
                all.is_cut |= found.is_cut;
            }
            all
        })
    }
    fn cause<'a>(&'a self, place: &'a RecordPlace) -> Read<'a, Option<Uuid>> {
        self.get(move |inner| {
            let is_it = |it: &TraceEntry| {
                (&it.topic, it.partition, it.offset)
                    == (&place.topic, place.partition, place.offset)
            };
            let has_it = |(_, view): &(&Uuid, &TraceView)| view.entries.iter().any(is_it);
            inner.traces.iter().find(has_it).map(|(command, _)| *command)
        })
    }
    fn applied<'a>(&'a self, entries: &'a [TraceEntry]) -> Read<'a, Vec<Vec<Applied>>> {
        self.get(move |inner| {
            let of = |entry: &TraceEntry| inner.applied.get(&entry.id).cloned().unwrap_or_default();
            entries.iter().map(of).collect()
        })
    }
    fn notice(&self, command: Uuid) -> Notice {
        let world = self.clone();
        Box::pin(async move {
            loop {
                {
                    let inner = world.inner();
                    let is_lost = matches!(inner.notices, Notices::None);
                    if let Some(outcome) = inner.outcomes.get(&command).filter(|_| !is_lost) {
                        return Some(outcome.clone());
                    }
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
    }
    fn view_notice(&self, aggregate: &str, id: &str) -> Option<ViewNotice> {
        match self.inner().notices {
            Notices::None | Notices::Outcomes => return None,
            Notices::LostViews => return Some(Box::new(|_| std::future::pending().boxed())),
            Notices::All => {}
        }
        let (world, name) = (self.clone(), (aggregate.to_owned(), id.to_owned()));
        Some(Box::new(move |version| {
            async move {
                while world.inner().versions.get(&name).is_none_or(|held| *held < version) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            .boxed()
        }))
    }
    fn version<'a>(&'a self, aggregate: &'a str, id: &'a str) -> Read<'a, Option<i64>> {
        self.get(move |inner| inner.versions.get(&(aggregate.to_owned(), id.to_owned())).copied())
    }
    fn products<'a>(&'a self, after: Option<&'a str>, limit: usize) -> Read<'a, Page<Product>> {
        self.get(move |inner| {
            page(
                inner
                    .products
                    .values()
                    .filter(|p| after.is_none_or(|after| p.sku.as_str() > after))
                    .cloned(),
                limit,
            )
        })
    }
    fn product<'a>(&'a self, sku: &'a str) -> Read<'a, Option<Product>> {
        self.get(move |inner| inner.products.get(sku).cloned())
    }
    fn orders(
        &self,
        user_id: Uuid,
        _cursor: Option<Cursor>,
        limit: usize,
    ) -> Read<'_, Page<Order>> {
        self.get(move |inner| {
            page(inner.orders.values().filter(|o| o.user_id == user_id).cloned(), limit)
        })
    }
    fn order(&self, id: Uuid) -> Read<'_, Option<Order>> {
        self.get(move |inner| inner.orders.get(&id).cloned())
    }
    fn history(&self, order_id: Uuid) -> Read<'_, Vec<HistoryEntry>> {
        self.get(move |inner| {
            let key = order_id.to_string();
            let sent = inner.written.iter().filter(|sent| sent.key == key);
            let entry = |(sent, version): (&CommandRecord, i64)| HistoryEntry {
                version,
                kind: if version == 1 { "OrderPlaced" } else { "OrderCancelled" }.into(),
                at: "2026-01-01T00:00:00.000Z".into(),
                command: Some(sent.id),
                data: json!({}),
            };
            sent.zip(1..).map(entry).collect()
        })
    }
    fn notifications(
        &self,
        user_id: Uuid,
        _cursor: Option<Cursor>,
        limit: usize,
    ) -> Read<'_, Page<Notification>> {
        self.get(move |inner| {
            page(inner.notifications.values().filter(|n| n.user_id == user_id).cloned(), limit)
        })
    }
    fn unread(&self, user_id: Uuid) -> Read<'_, Option<i64>> {
        self.get(move |inner| {
            i64::try_from(
                inner.notifications.values().filter(|n| n.user_id == user_id && !n.read).count(),
            )
            .ok()
        })
    }
    fn notification(&self, id: Uuid) -> Read<'_, Option<Notification>> {
        self.get(move |inner| inner.notifications.get(&id).cloned())
    }
    fn stream(
        &self,
        scope: StreamScope,
        position: Option<String>,
    ) -> Read<'_, BoxStream<'static, StreamItem>> {
        async move {
            let mut inner = self.inner();
            inner.opened.push((scope, position));
            let items = stream::iter(inner.items.clone());
            Ok(if inner.endless { items.chain(stream::pending()).boxed() } else { items.boxed() })
        }
        .boxed()
    }
    fn statistics(&self, by: By) -> Read<'_, Statistics> {
        self.get(move |inner| Statistics { by, ..inner.statistics.clone() })
    }
    fn statistics_changes(&self) -> watch::Receiver<u64> {
        self.inner().statistics_changes.subscribe()
    }
    fn health(&self) -> BoxFuture<'_, Health> {
        async {
            let down = self.inner().stores_down;
            Health::from([("postgres", if down { Err(cause("down at 10.0.0.7")) } else { Ok(()) })])
        }
        .boxed()
    }
}

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
}

impl Counters for World {
    fn hit<'a>(
        &'a self,
        key: &'a str,
        window: Duration,
    ) -> BoxFuture<'a, Result<Count, CounterError>> {
        async move {
            let mut inner = self.inner();
            if inner.counters_down {
                return Err(CounterError::Timeout);
            }
            let (count, left) = inner.counts.entry(key.to_owned()).or_insert((0, window));
            *count += 1;
            Ok(Count { count: *count, left: *left })
        }
        .boxed()
    }
    fn left<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Duration>, CounterError>> {
        async move {
            let inner = self.inner();
            if inner.counters_down {
                return Err(CounterError::Timeout);
            }
            Ok(inner.counts.get(key).map(|(_, left)| *left))
        }
        .boxed()
    }
    fn forget<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), CounterError>> {
        async move {
            self.inner().counts.remove(key);
            Ok(())
        }
        .boxed()
    }
    fn claim<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        _window: Duration,
    ) -> BoxFuture<'a, Result<String, CounterError>> {
        async move {
            let mut inner = self.inner();
            if inner.counters_down {
                return Err(CounterError::Timeout);
            }
            Ok(inner.claims.entry(key.to_owned()).or_insert_with(|| value.to_owned()).clone())
        }
        .boxed()
    }
}

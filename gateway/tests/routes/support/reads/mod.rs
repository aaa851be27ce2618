//! The simulated projections: what commands have changed in the [`World`], and what tests have put
//! there.

mod accounts;
mod desk;
mod shop;
mod traces;

use std::time::Duration;

use futures_util::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use gateway::{
    health::{Health, cause},
    reads::{
        Notice, Page, Read, ReadError, Reads, StreamItem, StreamScope, ViewNotice, has_versions,
    },
    statistics::{By, Statistics},
};
use schemas::Outcome;
use tokio::sync::watch;
use uuid::Uuid;

use super::world::{Inner, Notices, World};

impl World {
    fn get<'a, T: Send + 'a>(&'a self, get: impl FnOnce(&Inner) -> T + Send + 'a) -> Read<'a, T> {
        async move {
            while self.inner().stores_stuck {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            if self.inner().stores_yield {
                tokio::task::yield_now().await;
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
    fn outcome(&self, command: Uuid) -> Read<'_, Option<Outcome>> {
        self.get(move |inner| {
            inner.outcomes.get(&command).filter(|_| !inner.outcomes_late).cloned()
        })
    }
    fn notice(&self, command: Uuid) -> Notice {
        let world = self.clone();
        Box::pin(async move {
            loop {
                {
                    let inner = world.inner();
                    let is_lost = inner.outcomes_late || matches!(inner.notices, Notices::None);
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
        self.get(move |inner| {
            let held = inner.versions.get(&(aggregate.to_owned(), id.to_owned())).copied();
            held.filter(|_| has_versions(aggregate))
        })
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

//! What the stream of the desk hands out: the first page of each list, when it has changed.

use std::sync::Arc;

use futures_util::FutureExt as _;
use serde::Serialize;
use serde_json::json;
use tokio::sync::watch;

use crate::{
    answers::{PAGE_SIZE_DEFAULT, Page},
    hub,
    reads::{Read, Reads},
};

/// The first pages of the lists.
#[derive(Debug)]
pub struct Lists {
    /// The number of the frame, from 1.
    pub number: u64,
    lists: [List; 3],
}

#[derive(Debug)]
struct List {
    /// The name of its events.
    name: &'static str,
    /// The page, as the API shows it.
    json: Arc<str>,
    /// The frame that has brought this page.
    number: u64,
}

impl Lists {
    /// The events for a client that has got the frame `seen` last, 0 for none: names and data.
    pub fn events(&self, seen: u64) -> impl Iterator<Item = (&'static str, Arc<str>)> {
        let changed = self.lists.iter().filter(move |list| list.number > seen);
        changed.map(|list| (list.name, list.json.clone()))
    }
}

fn json(page: &Page<impl Serialize>) -> Arc<str> {
    json!({ "items": page.items, "next": page.next }).to_string().into()
}

impl hub::Frame for Lists {
    fn changes(reads: &dyn Reads) -> watch::Receiver<u64> {
        reads.desk_changes()
    }

    fn next<'a>(reads: &'a dyn Reads, before: Option<&'a Self>) -> Read<'a, Option<Self>> {
        async move {
            let (parked, dead, actions) = tokio::try_join!(
                reads.parked_keys(None, PAGE_SIZE_DEFAULT),
                reads.dead_letters(None, PAGE_SIZE_DEFAULT),
                reads.actions(None, PAGE_SIZE_DEFAULT)
            )?;
            let number = before.map_or(0, |it| it.number) + 1;
            let pages = [
                ("parked", json(&parked)),
                ("dead-letters", json(&dead)),
                ("actions", json(&actions)),
            ];
            let mut lists = pages.map(|(name, json)| List { name, json, number });
            for (list, old) in lists.iter_mut().zip(before.iter().flat_map(|it| &it.lists)) {
                if list.json == old.json {
                    list.number = old.number;
                }
            }
            let has_changed = lists.iter().any(|list| list.number == number);
            Ok(has_changed.then_some(Self { number, lists }))
        }
        .boxed()
    }
}

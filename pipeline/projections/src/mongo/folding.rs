//! Folds a batch's events into the documents of a [`Model`].

use std::collections::BTreeMap;

use schemas::Message;

use super::model::Model;
use crate::{
    StoreError,
    event::{Event, follows, not_first},
};

/// A document that a batch has changed.
pub(super) struct Change<D> {
    pub(super) key: String,
    /// The version in the store; 0 if there was no document.
    pub(super) held: i64,
    pub(super) document: D,
}

/// The keys of events, each once, and of those the keys whose first event is not here.
pub(super) fn keys<'a, E: Message>(events: &[Event<'a, E>]) -> (Vec<&'a str>, Vec<&'a str>) {
    let mut begins: BTreeMap<&str, bool> = BTreeMap::new();
    for event in events {
        begins.entry(event.key).or_insert(event.version == 1);
    }
    let old = begins.iter().filter(|(_, begins)| !**begins).map(|(key, _)| *key).collect();
    (begins.into_keys().collect(), old)
}

/// Folds events into the documents that the store has.
pub(super) fn fold_all<M: Model>(
    held: &BTreeMap<String, M::Document>,
    events: &[Event<'_, M::Event>],
) -> Result<Vec<Change<M::Document>>, StoreError> {
    let mut changed: BTreeMap<&str, M::Document> = BTreeMap::new();
    for event in events {
        let before = changed.get(event.key).or_else(|| held.get(event.key));
        let before = before.filter(|before| !M::begins_anew(before, event));
        if !follows(M::COLLECTION, event.key, before.map_or(0, M::version), event.version)? {
            continue;
        }
        let after =
            M::fold(before.cloned(), event).ok_or_else(|| not_first(M::COLLECTION, event))?;
        changed.insert(event.key, after);
    }
    let change = |(key, document): (&str, M::Document)| {
        let held = held.get(key).map_or(0, M::version);
        Change { key: key.to_owned(), held, document }
    };
    Ok(changed.into_iter().map(change).collect())
}

#[cfg(test)]
mod tests {
    use schemas::notification::{self, NotificationRead};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn only_documents_whose_first_event_is_not_in_the_batch_are_loaded() {
        let (notification_id, user_id) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let read = NotificationRead { notification_id, user_id, read_at: 30 };
        let events = [("old", 2), ("new", 1), ("old", 3), ("new", 2)].map(|(key, version)| {
            let message: notification::Event = read.clone().into();
            Event { key, version, at: 1, command: None, message }
        });
        assert_eq!(keys(&events), (vec!["new", "old"], vec!["old"]));
    }
}

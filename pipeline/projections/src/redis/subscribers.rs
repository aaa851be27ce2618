//! Who waits for which notice. It knows no connection. Each entry belongs to a waiting request,
//! which removes it when it ends, so there are at most as many as requests in flight.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use schemas::Outcome;
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Requests that wait for the outcome of a command.
#[derive(Default)]
pub(super) struct Outcomes(Mutex<HashMap<Uuid, Vec<oneshot::Sender<Option<Outcome>>>>>);

impl Outcomes {
    pub(super) fn add(&self, command_id: Uuid) -> oneshot::Receiver<Option<Outcome>> {
        let (sender, receiver) = oneshot::channel();
        locked(&self.0).entry(command_id).or_default().push(sender);
        receiver
    }

    /// Hands an outcome out. `None` only says that there is one.
    pub(super) fn send(&self, command_id: Uuid, outcome: Option<Outcome>) {
        for sender in locked(&self.0).remove(&command_id).unwrap_or_default() {
            // The request may have ended.
            let _ = sender.send(outcome.clone());
        }
    }

    /// Removes the requests that wait no more.
    pub(super) fn remove_closed(&self, command_id: Uuid) {
        let mut subscribers = locked(&self.0);
        if let Some(senders) = subscribers.get_mut(&command_id) {
            senders.retain(|sender| !sender.is_closed());
            if senders.is_empty() {
                subscribers.remove(&command_id);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        locked(&self.0).is_empty()
    }
}

/// Requests that wait for a version of an aggregate's read model.
#[derive(Default)]
pub(super) struct Views(Mutex<HashMap<String, View>>);

#[derive(Default)]
struct View {
    /// How many requests wait. They are counted here and not by their receivers, because requests
    /// that end at the same time would see each other's.
    subscribers: usize,
    /// The newest version that was announced since the first of them came.
    newest: watch::Sender<i64>,
}

impl Views {
    pub(super) fn add(&self, name: &str) -> watch::Receiver<i64> {
        let mut views = locked(&self.0);
        let view = views.entry(name.to_owned()).or_default();
        view.subscribers += 1;
        view.newest.subscribe()
    }

    /// Hands versions out, under the names of their aggregates.
    pub(super) fn send<'a>(&self, versions: impl Iterator<Item = (&'a str, i64)>) {
        let views = locked(&self.0);
        for (name, version) in versions {
            if let Some(view) = views.get(name) {
                view.newest.send_if_modified(|newest| {
                    let is_newer = version > *newest;
                    *newest = version.max(*newest);
                    is_newer
                });
            }
        }
    }

    /// Removes a request, once.
    pub(super) fn remove(&self, name: &str) {
        let mut views = locked(&self.0);
        let Some(view) = views.get_mut(name) else { return };
        view.subscribers -= 1;
        if view.subscribers == 0 {
            views.remove(name);
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        locked(&self.0).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn view_is_forgotten_when_all_its_requests_have_ended_at_the_same_time() {
        let views = Views::default();
        // Both still have their receivers.
        let _receivers = [views.add("order/o1"), views.add("order/o1")];
        views.remove("order/o1");
        assert!(!views.is_empty());
        views.remove("order/o1");
        assert!(views.is_empty());
    }
}

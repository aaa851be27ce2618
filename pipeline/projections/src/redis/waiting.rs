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
        for waiting in locked(&self.0).remove(&command_id).unwrap_or_default() {
            // The request may have ended.
            let _ = waiting.send(outcome.clone());
        }
    }

    /// Removes the requests that wait no more.
    pub(super) fn remove_closed(&self, command_id: Uuid) {
        let mut waiting = locked(&self.0);
        if let Some(senders) = waiting.get_mut(&command_id) {
            senders.retain(|sender| !sender.is_closed());
            if senders.is_empty() {
                waiting.remove(&command_id);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        locked(&self.0).is_empty()
    }
}

/// Requests that wait for a version of an aggregate's read model, with the newest version that was
/// announced since the first of them came.
#[derive(Default)]
pub(super) struct Views(Mutex<HashMap<String, watch::Sender<i64>>>);

impl Views {
    pub(super) fn add(&self, name: &str) -> watch::Receiver<i64> {
        locked(&self.0).entry(name.to_owned()).or_default().subscribe()
    }

    /// Hands versions out, under the names of their aggregates.
    pub(super) fn send<'a>(&self, versions: impl Iterator<Item = (&'a str, i64)>) {
        let waiting = locked(&self.0);
        for (name, version) in versions {
            if let Some(sender) = waiting.get(name) {
                sender.send_if_modified(|newest| {
                    let is_newer = version > *newest;
                    *newest = version.max(*newest);
                    is_newer
                });
            }
        }
    }

    /// Removes a request that still has its receiver.
    pub(super) fn remove(&self, name: &str) {
        let mut waiting = locked(&self.0);
        if waiting.get(name).is_some_and(|sender| sender.receiver_count() <= 1) {
            waiting.remove(name);
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        locked(&self.0).is_empty()
    }
}

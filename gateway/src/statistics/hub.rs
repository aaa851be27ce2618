//! Reads the statistics by minute once for all clients of a gateway's stream, and hands each client
//! the newest frame. A client that is slow gets fewer frames, and never makes another one wait. The
//! hub keeps one frame, and reads nothing while it has no clients.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use schemas::chain;
use tokio::{sync::watch, time::timeout};

use super::{Audience, By, Statistics};
use crate::reads::Reads;

/// The pause after a read: at most four reads a second, however many events and clients there are.
const READ_INTERVAL: Duration = Duration::from_millis(250);
/// How long the hub waits for a change before it reads anyway: a notice may be lost, and windows
/// become too old.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// What has changed, as JSON for each audience.
#[derive(Debug, Default)]
pub struct Frame {
    /// The number of the frame, from 1.
    pub number: u64,
    /// All windows, for admins and for everyone.
    whole: [Arc<str>; 2],
    /// The windows that differ from the frame before.
    changed: [Arc<str>; 2],
}

impl Frame {
    fn new(number: u64, before: Option<&Statistics>, now: &Statistics) -> serde_json::Result<Self> {
        let known = before.map(|before| &*before.view.windows).unwrap_or_default();
        let json = |audience, known| -> serde_json::Result<Arc<str>> {
            Ok(serde_json::to_string(&now.shown_without(audience, known))?.into())
        };
        let (admins, everyone) = (Audience::Admins, Audience::Everyone);
        Ok(Self {
            number,
            whole: [json(admins, &[])?, json(everyone, &[])?],
            changed: [json(admins, known)?, json(everyone, known)?],
        })
    }

    /// The event for a client that has got the frame `seen` last: its name and its data.
    pub fn event(&self, audience: Audience, seen: Option<u64>) -> (&'static str, Arc<str>) {
        let index = usize::from(audience == Audience::Everyone);
        match seen {
            Some(seen) if seen + 1 == self.number => ("changed", self.changed[index].clone()),
            _ => ("statistics", self.whole[index].clone()),
        }
    }
}

type Frames = watch::Sender<Option<Arc<Frame>>>;

/// The clients' subscription to the statistics.
pub struct Hub {
    reads: Arc<dyn Reads>,
    /// The sender of the task that reads, while it runs.
    frames: Mutex<Option<Arc<Frames>>>,
}

impl Hub {
    /// A hub without clients.
    pub fn new(reads: Arc<dyn Reads>) -> Arc<Self> {
        Arc::new(Self { reads, frames: Mutex::default() })
    }

    /// Subscribes a client. The first one starts the task that reads; it ends with the last one.
    pub fn subscribe(self: &Arc<Self>) -> watch::Receiver<Option<Arc<Frame>>> {
        let mut frames = self.frames();
        if let Some(frames) = &*frames {
            return frames.subscribe();
        }
        let (sender, receiver) = watch::channel(None);
        let sender = Arc::new(sender);
        *frames = Some(sender.clone());
        tokio::spawn(self.clone().run(sender));
        receiver
    }

    async fn run(self: Arc<Self>, frames: Arc<Frames>) {
        let mut changes = self.reads.statistics_changes();
        let (mut last, mut number) = (None, 0);
        while self.has_clients(&frames) {
            changes.mark_unchanged();
            match self.reads.statistics(By::Minute).await {
                Ok(statistics) if last.as_ref() == Some(&statistics) => {}
                Ok(statistics) => match Frame::new(number + 1, last.as_ref(), &statistics) {
                    Ok(frame) => {
                        frames.send_replace(Some(Arc::new(frame)));
                        (last, number) = (Some(statistics), number + 1);
                    }
                    Err(error) => tracing::error!(%error, "statistics are no JSON"),
                },
                Err(error) => {
                    tracing::warn!(error = chain(&error), "the statistics could not be read");
                }
            }
            tokio::time::sleep(READ_INTERVAL).await;
            // Whether a change came or none did: it is time to read.
            let _ = timeout(POLL_INTERVAL, changes.changed()).await;
        }
    }

    /// Whether somebody subscribes. If not, the next client starts another task.
    fn has_clients(&self, sender: &Frames) -> bool {
        let mut frames = self.frames();
        let has_clients = sender.receiver_count() > 0;
        if !has_clients {
            *frames = None;
        }
        has_clients
    }

    fn frames(&self) -> MutexGuard<'_, Option<Arc<Frames>>> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Reads something once for all clients of a gateway's streams of it, and hands each client the
//! newest frame. A client that is slow gets fewer frames, and never makes another one wait. The hub
//! keeps one frame, and reads nothing while it has no clients. It does not know what is streamed.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use schemas::chain;
use tokio::{sync::watch, time::timeout};

use crate::reads::{Read, Reads};

/// The pause after a read: at most four reads a second, however many events and clients there are.
const READ_INTERVAL: Duration = Duration::from_millis(250);
/// How long the hub waits for a change before it reads anyway: a notice may be lost, and what is
/// shown may become too old.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// What a hub hands out.
pub trait Frame: Sized + Send + Sync + 'static {
    /// Changes when there may be another frame. A change may be missed.
    fn changes(reads: &dyn Reads) -> watch::Receiver<u64>;
    /// The frame after this one, or the first one; `None` if nothing has changed.
    fn next<'a>(reads: &'a dyn Reads, before: Option<&'a Self>) -> Read<'a, Option<Self>>;
}

type Frames<F> = watch::Sender<Option<Arc<F>>>;

/// The clients' subscription to the frames.
pub struct Hub<F> {
    reads: Arc<dyn Reads>,
    /// The sender of the task that reads, while it runs.
    frames: Mutex<Option<Arc<Frames<F>>>>,
}

impl<F: Frame> Hub<F> {
    /// A hub without clients.
    pub fn new(reads: Arc<dyn Reads>) -> Arc<Self> {
        Arc::new(Self { reads, frames: Mutex::default() })
    }

    /// Subscribes a client. The first one starts the task that reads; it ends with the last one.
    pub fn subscribe(self: &Arc<Self>) -> watch::Receiver<Option<Arc<F>>> {
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

    async fn run(self: Arc<Self>, frames: Arc<Frames<F>>) {
        let mut changes = F::changes(&*self.reads);
        let mut last: Option<Arc<F>> = None;
        while self.has_clients(&frames) {
            changes.mark_unchanged();
            match F::next(&*self.reads, last.as_deref()).await {
                Ok(None) => {}
                Ok(Some(frame)) => {
                    let frame = Arc::new(frame);
                    last = Some(frame.clone());
                    frames.send_replace(Some(frame));
                }
                Err(error) => {
                    tracing::warn!(error = chain(&error), "a stream's next frame can't be read");
                }
            }
            tokio::time::sleep(READ_INTERVAL).await;
            // Whether a change came or none did: it is time to read.
            let _ = timeout(POLL_INTERVAL, changes.changed()).await;
        }
    }

    /// Whether somebody subscribes. If not, the next client starts another task.
    fn has_clients(&self, sender: &Frames<F>) -> bool {
        let mut frames = self.frames();
        let has_clients = sender.receiver_count() > 0;
        if !has_clients {
            *frames = None;
        }
        has_clients
    }

    fn frames(&self) -> MutexGuard<'_, Option<Arc<Frames<F>>>> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Notices over Redis' publish and subscribe: one connection for the whole process, shared by all
//! requests that wait.
//!
//! A notice may be lost, and one that was sent before the subscription is lost for certain, so
//! every waiting request polls the store as well.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use futures_util::StreamExt;
use schemas::chain;
use tokio::{
    sync::{oneshot, watch},
    time::timeout,
};
use uuid::Uuid;

use super::connection::{ANSWER_MAX, Redis};

/// The wait before a lost connection is opened again.
const RECONNECT_AFTER: Duration = Duration::from_millis(250);
/// A connection that is silent for this long is pinged.
const PING_EVERY: Duration = Duration::from_secs(5);

/// The prefix of the channels of outcomes.
const OUTCOME: &str = "outcome:";
/// The channel of new entries in any live stream.
pub(super) const LIVE: &str = "live";

/// The channel of the outcome of a command.
pub(crate) fn outcome_channel(command_id: Uuid) -> String {
    format!("{OUTCOME}{command_id}")
}

/// The subscriptions of a process. Clones share the connection, which closes with the last of them.
#[derive(Clone)]
pub struct Notices {
    shared: Arc<Shared>,
}

struct Shared {
    waiting: Mutex<HashMap<Uuid, Vec<oneshot::Sender<()>>>>,
    live: watch::Sender<u64>,
    listener: Mutex<Option<tokio::task::AbortHandle>>,
}

impl Notices {
    /// Subscribes in a task of its own, which reconnects whenever the connection is lost.
    pub fn start(redis: &Redis) -> Self {
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            live: watch::Sender::new(0),
            listener: Mutex::default(),
        });
        let weak = Arc::downgrade(&shared);
        let redis = redis.clone();
        let task = tokio::spawn(async move {
            while weak.strong_count() > 0 {
                if let Err(error) = listen(&redis, &weak).await {
                    tracing::debug!(error = chain(&error), "not subscribed to Redis");
                }
                tokio::time::sleep(RECONNECT_AFTER).await;
            }
        });
        *shared.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.abort_handle());
        Self { shared }
    }

    /// Subscribes to the outcome of a command. The caller subscribes before it writes the command,
    /// so that no outcome can come before the subscription.
    pub fn subscribe(&self, command_id: Uuid) -> Notice {
        let (sender, receiver) = oneshot::channel();
        self.shared.waiting().entry(command_id).or_default().push(sender);
        Notice { command_id, receiver, shared: self.shared.clone() }
    }

    /// Changes whenever a live stream may have new entries.
    pub(super) fn live(&self) -> watch::Receiver<u64> {
        self.shared.live.subscribe()
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, HashMap<Uuid, Vec<oneshot::Sender<()>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(listener) = self.listener.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            listener.abort();
        }
    }
}

/// Hands out notices until the connection is lost.
async fn listen(redis: &Redis, shared: &Weak<Shared>) -> redis::RedisResult<()> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let mut connection =
        timeout(ANSWER_MAX, redis.client().get_async_pubsub()).await.map_err(late)??;
    timeout(ANSWER_MAX, connection.psubscribe(format!("{OUTCOME}*"))).await.map_err(late)??;
    timeout(ANSWER_MAX, connection.subscribe(LIVE)).await.map_err(late)??;
    let (mut commands, mut messages) = connection.split();
    loop {
        let Ok(message) = timeout(PING_EVERY, messages.next()).await else {
            // Silence means either that nothing was published or that the peer has vanished.
            timeout(ANSWER_MAX, commands.ping::<redis::Value>()).await.map_err(late)??;
            continue;
        };
        let (Some(message), Some(shared)) = (message, shared.upgrade()) else { return Ok(()) };
        let channel = message.get_channel_name();
        if channel == LIVE {
            shared.live.send_modify(|count| *count += 1);
        } else if let Some(id) = channel.strip_prefix(OUTCOME).and_then(|id| id.parse().ok()) {
            for waiting in shared.waiting().remove(&id).unwrap_or_default() {
                // The request may have ended.
                let _ = waiting.send(());
            }
        }
    }
}

/// A subscription to the outcome of a command.
pub struct Notice {
    command_id: Uuid,
    receiver: oneshot::Receiver<()>,
    shared: Arc<Shared>,
}

impl Notice {
    /// Waits until the outcome was published, by when it is in PostgreSQL. Without a notice it
    /// waits for ever.
    pub async fn wait(&mut self) {
        if (&mut self.receiver).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Notice {
    fn drop(&mut self) {
        self.receiver.close();
        let mut waiting = self.shared.waiting();
        if let Some(senders) = waiting.get_mut(&self.command_id) {
            senders.retain(|sender| !sender.is_closed());
            if senders.is_empty() {
                waiting.remove(&self.command_id);
            }
        }
    }
}

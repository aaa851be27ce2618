//! Notices over Redis' publish and subscribe: one connection for the whole process, handed out to
//! all who wait.
//!
//! A notice may be lost, and one that was sent before the subscription is: whoever waits asks the
//! store as well.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::StreamExt;
use tokio::{
    sync::{oneshot, watch},
    time::timeout,
};
use uuid::Uuid;

use super::{ANSWER_MAX, LIVE, OUTCOME, Redis};

/// The wait before a lost connection is made again.
const AGAIN: Duration = Duration::from_millis(250);
/// A connection that is silent for so long is asked whether it still works.
const PING_EVERY: Duration = Duration::from_secs(5);

/// Hands out notices. Clones share the connection, which ends with the last of them.
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
    /// Begins to listen, in a task of its own, and goes on through all losses of the connection.
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
                    tracing::debug!(%error, "not listening to Redis");
                }
                tokio::time::sleep(AGAIN).await;
            }
        });
        *shared.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.abort_handle());
        Self { shared }
    }

    /// From now on waits for the outcome of a command. To be called before the command is written.
    pub fn subscribe(&self, command_id: Uuid) -> Notice {
        let (sender, receiver) = oneshot::channel();
        self.shared.waiting().entry(command_id).or_default().push(sender);
        Notice { command_id, receiver, shared: self.shared.clone() }
    }

    /// Changes whenever there may be new entries in a live stream.
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

async fn listen(redis: &Redis, shared: &std::sync::Weak<Shared>) -> redis::RedisResult<()> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let mut connection =
        timeout(ANSWER_MAX, redis.client.get_async_pubsub()).await.map_err(late)??;
    timeout(ANSWER_MAX, connection.psubscribe(format!("{OUTCOME}*"))).await.map_err(late)??;
    timeout(ANSWER_MAX, connection.subscribe(LIVE)).await.map_err(late)??;
    let (mut questions, mut messages) = connection.split();
    loop {
        let Ok(message) = timeout(PING_EVERY, messages.next()).await else {
            // Silence may mean that there is no news, or that the connection swallows it.
            timeout(ANSWER_MAX, questions.ping::<redis::Value>()).await.map_err(late)??;
            continue;
        };
        let (Some(message), Some(shared)) = (message, shared.upgrade()) else { return Ok(()) };
        let channel = message.get_channel_name();
        if channel == LIVE {
            shared.live.send_modify(|count| *count += 1);
        } else if let Some(id) = channel.strip_prefix(OUTCOME).and_then(|id| id.parse().ok()) {
            for waiting in shared.waiting().remove(&id).unwrap_or_default() {
                // Who has gone does not need it.
                let _ = waiting.send(());
            }
        }
    }
}

/// Someone who waits for the outcome of a command.
pub struct Notice {
    command_id: Uuid,
    receiver: oneshot::Receiver<()>,
    shared: Arc<Shared>,
}

impl Notice {
    /// Ends when the outcome has been told of; that may never happen. The outcome is in PostgreSQL
    /// by then.
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

//! Subscriptions to notices over Redis' publish and subscribe: one connection for the whole
//! process, shared by all requests that wait.
//!
//! A notice may be lost, and one that was sent before the subscription is lost for certain, so
//! every waiting request polls the store as well.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt;
use schemas::{Outcome, chain};
use tokio::{
    sync::{oneshot, watch},
    time::timeout,
};
use uuid::Uuid;

use super::{
    connection::{ANSWER_MAX, Redis},
    publish::{ANNOUNCED, LIVE, OPERATIONS, OUTCOME, STATISTICS, VIEW},
    subscribers::{Outcomes, Views},
};

/// The wait before a lost connection is opened again.
const RECONNECT_AFTER: Duration = Duration::from_millis(250);
/// A connection that is silent for this long is pinged.
const PING_EVERY: Duration = Duration::from_secs(5);

/// The subscriptions of a process. Clones share the connection, which closes with the last of them.
#[derive(Clone)]
pub struct Notices {
    shared: Arc<Shared>,
}

struct Shared {
    outcomes: Outcomes,
    views: Views,
    live: watch::Sender<u64>,
    statistics: watch::Sender<u64>,
    operations: watch::Sender<u64>,
    /// Whether notices arrive.
    is_subscribed: AtomicBool,
    listener: Mutex<Option<tokio::task::AbortHandle>>,
}

impl Notices {
    /// Subscribes in a task of its own, which reconnects whenever the connection is lost.
    pub fn start(redis: &Redis) -> Self {
        let shared = Arc::new(Shared {
            outcomes: Outcomes::default(),
            views: Views::default(),
            live: watch::Sender::new(0),
            statistics: watch::Sender::new(0),
            operations: watch::Sender::new(0),
            is_subscribed: AtomicBool::new(false),
            listener: Mutex::default(),
        });
        let weak = Arc::downgrade(&shared);
        let redis = redis.clone();
        let task = tokio::spawn(async move {
            while weak.strong_count() > 0 {
                let ended = listen(&redis, &weak).await;
                if let Some(shared) = weak.upgrade() {
                    shared.is_subscribed.store(false, Ordering::Relaxed);
                }
                if let Err(error) = ended {
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
        Notice {
            command_id,
            receiver: self.shared.outcomes.add(command_id),
            shared: self.shared.clone(),
        }
    }

    /// Subscribes to the versions of an aggregate in its read model; the caller does so before it
    /// writes a command. `None` if no notice would come: while Redis is not connected, and for an
    /// aggregate whose versions are not announced.
    pub fn subscribe_view(&self, aggregate: &str, id: &str) -> Option<ViewNotice> {
        let is_announced = ANNOUNCED.contains(&aggregate);
        if !is_announced || !self.shared.is_subscribed.load(Ordering::Relaxed) {
            return None;
        }
        let name = format!("{aggregate}/{id}");
        let newest = self.shared.views.add(&name);
        Some(ViewNotice { name, newest, shared: self.shared.clone() })
    }

    /// Changes whenever a live stream may have new entries.
    pub(super) fn live(&self) -> watch::Receiver<u64> {
        self.shared.live.subscribe()
    }

    /// Changes whenever the statistics may have changed. A notice may be lost.
    pub fn statistics(&self) -> watch::Receiver<u64> {
        self.shared.statistics.subscribe()
    }

    /// Changes whenever what operators see may have changed. A notice may be lost.
    pub fn operations(&self) -> watch::Receiver<u64> {
        self.shared.operations.subscribe()
    }
}

impl Shared {
    fn receive(&self, channel: &str, content: &[u8]) {
        let counts =
            [(LIVE, &self.live), (STATISTICS, &self.statistics), (OPERATIONS, &self.operations)];
        if let Some((_, count)) = counts.iter().find(|(name, _)| *name == channel) {
            count.send_modify(|count| *count += 1);
        } else if channel == VIEW {
            let lines = std::str::from_utf8(content).unwrap_or_default().lines();
            self.views.send(lines.filter_map(|line| {
                let (name, version) = line.rsplit_once('@')?;
                Some((name, version.parse().ok()?))
            }));
        } else if let Some(id) = channel.strip_prefix(OUTCOME).and_then(|id| id.parse().ok()) {
            let outcome = serde_json::from_slice(content).ok();
            self.outcomes.send(id, outcome.filter(|outcome: &Outcome| outcome.command_id == id));
        }
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
    timeout(ANSWER_MAX, connection.subscribe(VIEW)).await.map_err(late)??;
    for channel in [LIVE, STATISTICS, OPERATIONS] {
        timeout(ANSWER_MAX, connection.subscribe(channel)).await.map_err(late)??;
    }
    if let Some(shared) = shared.upgrade() {
        shared.is_subscribed.store(true, Ordering::Relaxed);
        // What has changed before the subscription was not announced.
        shared.statistics.send_modify(|count| *count += 1);
        shared.operations.send_modify(|count| *count += 1);
    }
    let (mut commands, mut messages) = connection.split();
    loop {
        let Ok(message) = timeout(PING_EVERY, messages.next()).await else {
            // Silence means either that nothing was published or that the peer has vanished.
            timeout(ANSWER_MAX, commands.ping::<redis::Value>()).await.map_err(late)??;
            continue;
        };
        let (Some(message), Some(shared)) = (message, shared.upgrade()) else { return Ok(()) };
        shared.receive(message.get_channel_name(), message.get_payload_bytes());
    }
}

/// A subscription to the outcome of a command.
pub struct Notice {
    command_id: Uuid,
    receiver: oneshot::Receiver<Option<Outcome>>,
    shared: Arc<Shared>,
}

impl Notice {
    /// Waits until the outcome was published, by when it is in PostgreSQL, and returns it. Returns
    /// `None` if the notice does not contain it. Without a notice it never ends.
    pub async fn wait(&mut self) -> Option<Outcome> {
        match (&mut self.receiver).await {
            Ok(outcome) => outcome,
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Notice {
    fn drop(&mut self) {
        self.receiver.close();
        self.shared.outcomes.remove_closed(self.command_id);
    }
}

/// A subscription to the versions of an aggregate in its read model.
pub struct ViewNotice {
    name: String,
    newest: watch::Receiver<i64>,
    shared: Arc<Shared>,
}

impl ViewNotice {
    /// Waits until a notice has said that the read model holds `version` or a later one. Without
    /// such a notice it never ends.
    pub async fn reaches(&mut self, version: i64) {
        if self.newest.wait_for(|newest| *newest >= version).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for ViewNotice {
    fn drop(&mut self) {
        self.shared.views.remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use schemas::Verdict;

    use super::*;

    async fn notices() -> Notices {
        // Nothing listens there.
        let notices = Notices::start(&Redis::new("redis://127.0.0.1:1").expect("a URL"));
        notices.shared.is_subscribed.store(true, Ordering::Relaxed);
        notices
    }

    fn outcome(command_id: Uuid) -> Outcome {
        Outcome {
            command_id,
            command_type: "millrace.order.PlaceOrder".to_owned(),
            verdict: Verdict::Refused,
            code: Some("out_of_stock".to_owned()),
            detail: None,
            aggregate: "order".to_owned(),
            aggregate_id: "o1".to_owned(),
            version: 3,
            principal: "p".to_owned(),
            fingerprint: Some("f".to_owned()),
            decided_at: 1_700_000_000_000,
        }
    }

    #[tokio::test]
    async fn notice_carries_the_outcome_of_its_own_command_only() {
        let (notices, id, other) = (notices().await, Uuid::from_u128(1), Uuid::from_u128(2));
        let channel = format!("{OUTCOME}{id}");
        for (content, expected) in [
            (serde_json::to_vec(&outcome(id)).expect("JSON"), Some(outcome(id))),
            (serde_json::to_vec(&outcome(other)).expect("JSON"), None),
            (Vec::new(), None),
        ] {
            let (mut first, mut second) = (notices.subscribe(id), notices.subscribe(id));
            assert_eq!(first.wait().now_or_never(), None, "nothing was published yet");
            notices.shared.receive(&channel, &content);
            assert_eq!(first.wait().await, expected);
            assert_eq!(second.wait().await, expected);
        }
        assert!(notices.shared.outcomes.is_empty());
    }

    #[tokio::test]
    async fn view_notice_ends_with_the_version_or_a_later_one_of_its_aggregate() {
        let notices = notices().await;
        let view = || notices.subscribe_view("order", "o1").expect("a subscription");
        let (mut early, mut late) = (view(), view());
        notices.shared.receive(VIEW, b"order/o1@2\norder/o2@9\nstock/o1@9\nnonsense");
        assert_eq!(early.reaches(2).now_or_never(), Some(()));
        assert_eq!(late.reaches(3).now_or_never(), None);
        // A notice that comes out of order takes nothing back.
        notices.shared.receive(VIEW, b"order/o1@4");
        notices.shared.receive(VIEW, b"order/o1@3");
        assert_eq!(late.reaches(4).now_or_never(), Some(()));
        drop(early);
        assert!(!notices.shared.views.is_empty());
        drop(late);
        assert!(notices.shared.views.is_empty());
    }

    #[tokio::test]
    async fn view_has_no_subscription_if_no_notice_would_come() {
        let notices = notices().await;
        assert!(notices.subscribe_view("stock", "rye").is_none(), "two read models hold it");
        assert!(notices.subscribe_view("order", "o1").is_some());
        notices.shared.is_subscribed.store(false, Ordering::Relaxed);
        assert!(notices.subscribe_view("order", "o1").is_none());
    }
}

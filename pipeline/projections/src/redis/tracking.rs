//! Changes of hot products, as Redis reports them to a client that tracks their keys (RESP3,
//! `CLIENT TRACKING` in broadcasting mode). It reads no product and keeps none.

use std::{sync::Arc, time::Duration};

use redis::{AsyncConnectionConfig, PushInfo, PushKind, Value};
use schemas::chain;
use tokio::{
    sync::Notify,
    task::AbortHandle,
    time::{sleep, timeout},
};

use super::{
    connection::{ANSWER_MAX, Redis},
    hot_products::product_key,
    reads::Reads,
};

/// The wait before a lost connection is opened again.
const RECONNECT_AFTER: Duration = Duration::from_millis(250);
/// How often the connection is pinged, because one whose peer has vanished does not break.
const PING_EVERY: Duration = Duration::from_secs(1);

/// What a listener learns about the hot products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracked {
    /// From now on, changes are reported.
    Begun,
    /// A product has changed, or all may have.
    Changed,
    /// Changes are not reported any more, and some may not have been.
    Lost,
}

/// Tracks until it is dropped.
pub struct Tracking(AbortHandle);

impl Drop for Tracking {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Reads {
    /// Reports changes of hot products to `listener`, which must not block. It connects in a task
    /// of its own, again whenever the connection is lost.
    pub fn track_products(&self, listener: impl Fn(Tracked) + Send + Sync + 'static) -> Tracking {
        let (redis, listener) = (self.redis.clone(), Arc::new(listener));
        let task = tokio::spawn(async move {
            loop {
                if let Err(error) = track(&redis, &listener).await {
                    tracing::debug!(error = chain(&error), "hot products are not tracked");
                }
                listener(Tracked::Lost);
                sleep(RECONNECT_AFTER).await;
            }
        });
        Tracking(task.abort_handle())
    }
}

/// Reports changes until the connection is lost.
async fn track(
    redis: &Redis,
    listener: &Arc<impl Fn(Tracked) + Send + Sync + 'static>,
) -> redis::RedisResult<()> {
    let disconnected = Arc::new(Notify::new());
    let (pushed, ended) = (listener.clone(), disconnected.clone());
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(ANSWER_MAX))
        .set_response_timeout(Some(ANSWER_MAX))
        .set_push_sender(move |push: PushInfo| {
            match push.kind {
                PushKind::Invalidate => pushed(Tracked::Changed),
                PushKind::Disconnection => ended.notify_one(),
                _ => {}
            }
            Ok::<_, std::convert::Infallible>(())
        });
    let client = redis.pushing_client();
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    let mut command = redis::cmd("CLIENT");
    command.arg("TRACKING").arg("ON").arg("BCAST").arg("PREFIX").arg(product_key(""));
    command.query_async::<()>(&mut connection).await?;
    listener(Tracked::Begun);
    while timeout(PING_EVERY, disconnected.notified()).await.is_err() {
        redis::cmd("PING").query_async::<Value>(&mut connection).await?;
    }
    Ok(())
}

//! Redis: hot products, counters of unread notifications, the live stream, and notices of outcomes. What is lost here is
//! rebuilt from the log; nothing is ever trusted to be here.

mod feed;
mod hot;
mod live;
mod notices;
mod position;
mod reads;
mod unread;

use std::time::Duration;

use redis::{
    Client, IntoConnectionInfo,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use uuid::Uuid;

pub use live::{Batch as LiveBatch, Entry as LiveEntry, Live, NotAPosition, Positions};
pub use notices::{Notice, Notices};
pub use reads::Reads;

use crate::{StoreError, projection::Projection};

/// Nobody waits longer for Redis: what it holds can be had, or done without, elsewhere.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// Reconnects no slower than this.
const RECONNECT_MAX: Duration = Duration::from_secs(1);

/// The server. Clones share one multiplexed connection, which comes back by itself.
#[derive(Clone)]
pub struct Redis {
    client: Client,
    connection: ConnectionManager,
}

impl Redis {
    /// The server at `url`; connects when it is needed. To be called on a Tokio runtime.
    ///
    /// # Errors
    /// When the URL is malformed.
    pub fn new(url: &str) -> Result<Self, StoreError> {
        let doing = "reading the URL of Redis";
        let info = url.into_connection_info().map_err(failed(doing))?;
        let client = Client::open(info).map_err(failed(doing))?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(ANSWER_MAX))
            .set_response_timeout(Some(ANSWER_MAX))
            .set_max_delay(RECONNECT_MAX)
            .set_number_of_retries(1);
        let connection =
            ConnectionManager::new_lazy_with_config(client.clone(), config).map_err(failed(doing))?;
        Ok(Self { client, connection })
    }

    /// Whether the server answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        redis::cmd("PING").query_async::<()>(&mut self.connection()).await.map_err(failed("asking Redis"))
    }

    /// Products that are read often.
    pub(crate) fn hot_products(&self) -> Box<dyn Projection> {
        Box::new(hot::HotProducts { redis: self.clone() })
    }

    /// Counters of unread notifications.
    pub(crate) fn unread(&self) -> Box<dyn Projection> {
        Box::new(unread::Unread { redis: self.clone() })
    }

    /// The live stream of some topics.
    pub(crate) fn live(&self, name: &'static str, topics: &'static [&'static str]) -> Box<dyn Projection> {
        Box::new(feed::Feed { redis: self.clone(), name, topics })
    }

    pub(crate) fn connection(&self) -> ConnectionManager {
        self.connection.clone()
    }
}

pub(crate) fn failed(doing: &'static str) -> impl Fn(redis::RedisError) -> StoreError {
    move |error| StoreError::Failed { doing, why: error.to_string() }
}

/// The channel on which the outcome of a command is told.
pub(crate) fn outcome_channel(command_id: Uuid) -> String {
    format!("{OUTCOME}{command_id}")
}

/// What the channels of outcomes begin with.
pub(crate) const OUTCOME: &str = "outcome:";
/// The channel that tells of new entries in any live stream.
pub(crate) const LIVE: &str = "live";

/// Where a product is kept: a hash of `version` and `json`.
pub(crate) fn product_key(sku: &str) -> String {
    format!("product:{sku}")
}

/// Where a user's unread notifications are counted.
pub(crate) fn unread_key(user_id: Uuid) -> String {
    format!("unread:{user_id}")
}

/// The live stream of a partition.
pub(crate) fn live_key(topic: &str, partition: i32) -> String {
    format!("live:{topic}:{partition}")
}

/// Where a projection keeps its positions: a hash with `<topic>:<partition>` and `<topic>:<partition>:epoch`.
pub(crate) fn positions_key(projection: &str) -> String {
    format!("position:{projection}")
}

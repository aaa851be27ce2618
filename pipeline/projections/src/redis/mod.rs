//! Redis: hot products, counters of unread notifications, the live stream, and notices of outcomes.
//! What is lost here is rebuilt from the log; nothing is ever trusted to be here.

mod feed;
mod hot;
mod live;
mod notices;
mod position;
mod reads;
mod unread;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{
    Client, Cmd, ConnectionAddr, IntoConnectionInfo, Pipeline, RedisFuture, RedisResult,
    TlsCertificates, Value,
    aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig},
    io::tcp::TcpSettings,
};
use redpanda::tls::Tls;
use uuid::Uuid;

pub use live::{Batch as LiveBatch, Entry as LiveEntry, Live, NotAPosition, Positions};
pub use notices::{Notice, Notices};
pub use reads::Reads;

use crate::{StoreError, projection::Projection};

/// Nobody waits longer for Redis: what it holds can be had, or done without, elsewhere.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// Reconnects no slower than this.
const RECONNECT_MAX: Duration = Duration::from_secs(1);
/// A connection on which nothing that was sent is acknowledged for so long is broken.
const SILENT_MAX: Duration = Duration::from_secs(10);

/// The server. Clones share one multiplexed connection, which comes back by itself.
#[derive(Clone)]
pub struct Redis {
    client: Client,
    answer_max: Duration,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    manager: ConnectionManager,
    /// How often the connection was replaced.
    generation: u64,
}

/// The shared connection. It is replaced when an answer is late, because the client's own manager
/// replaces only connections that break, and one that swallows everything does not break for a
/// quarter of an hour.
#[derive(Clone)]
pub struct Connection {
    redis: Redis,
    manager: ConnectionManager,
    generation: u64,
}

impl Connection {
    fn noted<T>(&self, answer: RedisResult<T>) -> RedisResult<T> {
        if answer.as_ref().is_err_and(redis::RedisError::is_timeout) {
            self.redis.replace(self.generation);
        }
        answer
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let answer = self.manager.req_packed_command(command).await;
            self.noted(answer)
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let answer = self.manager.req_packed_commands(pipeline, offset, count).await;
            self.noted(answer)
        })
    }

    fn get_db(&self) -> i64 {
        self.manager.get_db()
    }
}

impl Redis {
    /// The server at `url`; connects when it is needed. To be called on a Tokio runtime.
    ///
    /// # Errors
    /// When the URL is malformed.
    pub fn new(url: &str) -> Result<Self, StoreError> {
        Self::over(url, &Tls::default())
    }

    /// The same; with the scheme `rediss`, connections trust whom `tls` trusts.
    ///
    /// # Errors
    /// When the URL is malformed.
    pub fn over(url: &str, tls: &Tls) -> Result<Self, StoreError> {
        Self::answering_within(url, tls, ANSWER_MAX)
    }

    /// The same for callers who wait no longer than `answer_max`, for a connection and for an
    /// answer.
    ///
    /// # Errors
    /// When the URL is malformed.
    pub fn answering_within(
        url: &str,
        tls: &Tls,
        answer_max: Duration,
    ) -> Result<Self, StoreError> {
        let doing = "reading the URL of Redis";
        let client = client(url, tls).map_err(failed(doing))?;
        let manager = manager(&client, answer_max).map_err(failed(doing))?;
        let shared = Arc::new(Mutex::new(Shared { manager, generation: 0 }));
        Ok(Self { client, answer_max, shared })
    }

    /// Whether the server answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        redis::cmd("PING")
            .query_async::<()>(&mut self.connection())
            .await
            .map_err(failed("asking Redis"))
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
    pub(crate) fn live(
        &self,
        name: &'static str,
        topics: &'static [&'static str],
    ) -> Box<dyn Projection> {
        Box::new(feed::Feed { redis: self.clone(), name, topics })
    }

    /// The connection, for the commands of one call.
    pub fn connection(&self) -> Connection {
        let shared = self.shared();
        Connection {
            redis: self.clone(),
            manager: shared.manager.clone(),
            generation: shared.generation,
        }
    }

    /// Makes a new connection in place of that of `generation`, if nobody has done so.
    fn replace(&self, generation: u64) {
        let mut shared = self.shared();
        if shared.generation == generation
            && let Ok(manager) = manager(&self.client, self.answer_max)
        {
            *shared = Shared { manager, generation: generation + 1 };
        }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client of the server at `url`, which connects nowhere yet.
///
/// # Errors
/// When the URL is malformed.
pub fn client(url: &str, tls: &Tls) -> RedisResult<Client> {
    let info = url.into_connection_info()?;
    let info = info
        .set_tcp_settings(TcpSettings::default().set_nodelay(true).set_user_timeout(SILENT_MAX));
    match tls.ca_pem().filter(|_| matches!(info.addr(), ConnectionAddr::TcpTls { .. })) {
        Some(pem) => Client::build_with_tls(
            info,
            TlsCertificates { client_tls: None, root_cert: Some(pem.to_vec()) },
        ),
        None => Client::open(info),
    }
}

/// A connection that is made when it is needed, and again when it breaks.
fn manager(client: &Client, answer_max: Duration) -> RedisResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(answer_max))
        .set_response_timeout(Some(answer_max))
        .set_max_delay(RECONNECT_MAX)
        .set_number_of_retries(1);
    ConnectionManager::new_lazy_with_config(client.clone(), config)
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

/// Where a projection keeps its positions: a hash with `<topic>:<partition>` and
/// `<topic>:<partition>:epoch`.
pub(crate) fn positions_key(projection: &str) -> String {
    format!("position:{projection}")
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Read as _, Write as _},
        net::{TcpListener, TcpStream},
        sync::atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    /// Answers what a client says of itself at first, and nothing more.
    fn swallow(mut stream: TcpStream) -> io::Result<()> {
        let (mut chunk, asked) = ([0; 4096], b"SETINFO");
        loop {
            let length = stream.read(&mut chunk)?;
            let known = chunk[..length].windows(asked.len()).filter(|part| part == asked).count();
            stream.write_all("+OK\r\n".repeat(known).as_bytes())?;
            if length == 0 {
                return Ok(());
            }
        }
    }

    #[tokio::test]
    async fn connection_that_swallows_a_question_is_replaced() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("redis://{}", listener.local_addr().expect("an address"));
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                counted.fetch_add(1, Ordering::Relaxed);
                std::thread::spawn(move || swallow(stream?));
            }
        });
        let redis = Redis::new(&url).expect("a URL");

        for attempt in 1..=3 {
            redis.ping().await.expect_err("no answer");
            assert!(
                connections.load(Ordering::Relaxed) >= attempt,
                "the old connection is used again"
            );
        }
    }
}

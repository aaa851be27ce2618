//! The connection to Redis: one for the whole process, replaced when an answer is late. It knows no
//! key.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{
    Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline, ProtocolVersion,
    RedisFuture, RedisResult, TlsCertificates, Value,
    aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig},
    io::tcp::TcpSettings,
};
use redpanda::tls::Tls;

use crate::StoreError;

/// The deadline of an answer. Short, because every reader can do without Redis.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(1);
/// The longest wait before a reconnect.
const RECONNECT_MAX: Duration = Duration::from_secs(1);
/// The time without an acknowledgement after which a connection counts as broken.
const SILENT_MAX: Duration = Duration::from_secs(10);

/// The server. Clones share one multiplexed connection, which reconnects by itself.
#[derive(Clone)]
pub struct Redis {
    client: Client,
    /// The same with the protocol in which the server sends messages that answer no command.
    pushing_client: Client,
    answer_max: Duration,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    manager: ConnectionManager,
    /// The number of replacements.
    generation: u64,
}

/// The shared connection. It is replaced when an answer is late: the client's own manager replaces
/// only connections that break, and one whose peer has vanished does not break for a quarter of an
/// hour.
#[derive(Clone)]
pub struct Connection {
    redis: Redis,
    manager: ConnectionManager,
    generation: u64,
}

impl Connection {
    /// Replaces the connection if the answer is late.
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
    /// The server at `url`. It connects when it is first used. Must be called on a Tokio runtime.
    ///
    /// # Errors
    /// When the URL is malformed.
    pub fn new(url: &str) -> Result<Self, StoreError> {
        Self::with_tls(url, &Tls::default())
    }

    /// The same; with the scheme `rediss`, connections trust the authorities of `tls`.
    ///
    /// # Errors
    /// When the URL is malformed.
    pub fn with_tls(url: &str, tls: &Tls) -> Result<Self, StoreError> {
        Self::answering_within(url, tls, ANSWER_MAX)
    }

    /// The same with the deadline `answer_max` for a connection and for an answer.
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
        let pushing_client = pushing_client(url, tls).map_err(failed(doing))?;
        let manager = manager(&client, answer_max).map_err(failed(doing))?;
        let shared = Arc::new(Mutex::new(Shared { manager, generation: 0 }));
        Ok(Self { client, pushing_client, answer_max, shared })
    }

    /// Checks that the server answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        redis::cmd("PING")
            .query_async::<()>(&mut self.connection())
            .await
            .map_err(failed("asking Redis"))
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

    /// A client of the same server, for connections of its own.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The same for connections on which the server sends messages that answer no command.
    pub(super) fn pushing_client(&self) -> &Client {
        &self.pushing_client
    }

    /// Replaces the connection of `generation`, unless another call has already done so.
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

/// A client of the server at `url`. It does not connect.
///
/// # Errors
/// When the URL is malformed.
pub fn client(url: &str, tls: &Tls) -> RedisResult<Client> {
    client_of(url.into_connection_info()?, tls)
}

/// A client of the server at `url` on whose connections the server may send messages that answer no
/// command.
fn pushing_client(url: &str, tls: &Tls) -> RedisResult<Client> {
    let info = url.into_connection_info()?;
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    client_of(info.set_redis_settings(settings), tls)
}

fn client_of(info: ConnectionInfo, tls: &Tls) -> RedisResult<Client> {
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

/// A connection that connects when it is first used, and again when it breaks.
fn manager(client: &Client, answer_max: Duration) -> RedisResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(answer_max))
        .set_response_timeout(Some(answer_max))
        .set_max_delay(RECONNECT_MAX)
        .set_number_of_retries(1);
    ConnectionManager::new_lazy_with_config(client.clone(), config)
}

/// The error of a call.
pub(super) fn failed(doing: &'static str) -> impl Fn(redis::RedisError) -> StoreError {
    move |error| StoreError::failed(doing, error)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Read as _, Write as _},
        net::{TcpListener, TcpStream},
        sync::atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    /// Answers the `CLIENT SETINFO` commands of a new connection, and nothing else.
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
    async fn connection_without_an_answer_is_replaced() {
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

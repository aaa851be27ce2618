//! The gate: a proxy for Kafka's protocol between all clients and Apache Kafka. It makes Kafka
//! answer as Redpanda does wherever the two differ and Millrace could notice. Each difference is
//! one entry of [`rules::RULES`]. A request that no rule is about passes without being decoded.
//! Kafka must advertise the gate's address, so the gate never rewrites an address. It keeps the
//! state of transactions in memory while brokers restart, and depends on no other crate of this
//! workspace.

mod connection;
pub mod relay;
pub mod rules;
pub mod table;
pub(crate) mod wire;

use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};

pub use wire::Request;

/// An address for clients, and the broker behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The address that clients connect to, which the broker advertises.
    pub listen: SocketAddr,
    /// The address on which the broker listens, as `HOST:PORT`.
    pub upstream: String,
}

impl FromStr for Listener {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (listen, upstream) = text.split_once('=').ok_or("expected LISTEN=UPSTREAM")?;
        let listen = listen.parse().map_err(|error| format!("{listen} is no IP:PORT: {error}"))?;
        let port = upstream.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        match port {
            Some(Ok(_)) => Ok(Self { listen, upstream: upstream.to_owned() }),
            _ => Err(format!("{upstream} is no HOST:PORT")),
        }
    }
}

/// The gate's decision about a request.
pub enum Plan {
    /// The request goes to Kafka and the response to the client, neither decoded.
    Pass,
    /// The gate answers itself; Kafka never gets the request.
    Answer(Bytes),
    /// A rule looks at Kafka's response.
    Exchange {
        /// The request to Kafka: the client's, or another one instead of it.
        request: Bytes,
        /// Looks at the response.
        exchange: Box<dyn Exchange>,
        /// Whether later requests of the connection wait until this one is answered. Set if the
        /// request may be repeated.
        alone: bool,
    },
}

/// A rule that looks at one response of Kafka.
pub trait Exchange: Send + Sync {
    /// Decides what follows Kafka's response.
    fn answered(&mut self, response: Bytes) -> anyhow::Result<Next>;
}

/// The decision of a rule about a response of Kafka.
pub enum Next {
    /// The client gets this response.
    Respond(Bytes),
    /// The gate sends Kafka this request after a pause, and the client waits.
    Ask {
        /// The request.
        request: Bytes,
        /// The pause.
        after: Duration,
    },
}

/// Redpanda's cluster settings, with its defaults, and rules that are off by default.
#[derive(Clone, Debug, clap::Args)]
pub struct Settings {
    /// Longest transaction timeout that a producer may ask for
    #[arg(long, value_name = "MS", default_value_t = 900_000)]
    pub transaction_max_timeout_ms: i32,
    /// Shortest session timeout of a member of a group
    #[arg(long, value_name = "MS", default_value_t = 6000)]
    pub group_min_session_timeout_ms: i32,
    /// Longest session timeout of a member of a group
    #[arg(long, value_name = "MS", default_value_t = 300_000)]
    pub group_max_session_timeout_ms: i32,
    /// Let each fetch of committed records that finds none wait for its whole maximum wait
    #[arg(long, env = "MILLRACE_COMMITTED_FETCH_WAIT")]
    pub committed_fetch_wait: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            transaction_max_timeout_ms: 900_000,
            group_min_session_timeout_ms: 6000,
            group_max_session_timeout_ms: 300_000,
            committed_fetch_wait: false,
        }
    }
}

/// The state that all listeners of one cluster share.
#[derive(Debug, Default)]
pub struct Gate {
    settings: Settings,
    transactions: rules::Transactions,
}

impl Gate {
    /// Creates a gate that has seen no transaction.
    pub fn new(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// Decides what is done with a request. On an error the client's connection is closed, as
    /// Redpanda does.
    pub fn plan(&self, request: &Request) -> anyhow::Result<Plan> {
        rules::plan(self, request)
    }

    /// Accepts clients on every listener. It returns only if an address cannot be bound.
    pub async fn serve(self: Arc<Self>, listeners: &[Listener]) -> anyhow::Result<()> {
        let mut accepting = tokio::task::JoinSet::new();
        for Listener { listen, upstream } in listeners {
            let bound =
                TcpListener::bind(listen).await.with_context(|| format!("listen on {listen}"))?;
            accepting.spawn(self.clone().accept(bound, upstream.clone()));
        }
        while accepting.join_next().await.is_some() {}
        Ok(())
    }

    /// Serves every client of one listener, each in a task of its own.
    pub async fn accept(self: Arc<Self>, listener: TcpListener, upstream: String) {
        let unreachable = Arc::new(AtomicBool::new(false));
        loop {
            let (client, address) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // The process may be out of file descriptors until a connection ends.
                    tell!("gate: accept: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (gate, upstream, unreachable) =
                (self.clone(), upstream.clone(), unreachable.clone());
            tokio::spawn(async move {
                let kafka = match TcpStream::connect(&upstream).await {
                    Ok(kafka) => kafka,
                    Err(error) => {
                        // Clients of a dead broker reconnect many times a second; one line is
                        // enough.
                        if !unreachable.swap(true, Ordering::Relaxed) {
                            tell!(
                                "gate: {upstream} cannot be reached, so clients are closed: {error}"
                            );
                        }
                        return;
                    }
                };
                unreachable.store(false, Ordering::Relaxed);
                // Connections are often reset, which is no news; an error of a rule or the codec is
                // logged.
                if let Err(error) = connection::serve(gate, client, kafka).await
                    && !error.is::<std::io::Error>()
                {
                    tell!("gate: {address} to {upstream}: {error:#}");
                }
            });
        }
    }
}

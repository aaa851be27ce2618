//! The gate: a proxy for Kafka's protocol between all clients and Apache Kafka. It makes Kafka
//! answer as Redpanda does wherever the two differ and Millrace could notice; each difference is
//! one entry of [`rules::RULES`]. Requests that no rule is about pass undecoded. Kafka must
//! advertise the gate's address, so the gate never rewrites where brokers are. It keeps the state
//! of transactions in memory while brokers come and go, and it needs no crate of the house.

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

/// Where clients connect, and the broker that stands behind it.
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

/// What the gate does with a request.
pub enum Plan {
    /// The request goes to Kafka and the response to the client, neither decoded.
    Pass,
    /// The gate answers by itself; Kafka never sees the request.
    Answer(Bytes),
    /// A rule looks at Kafka's response.
    Exchange {
        /// What Kafka is asked: the client's request, or another in its place.
        request: Bytes,
        /// Looks at the response.
        exchange: Box<dyn Exchange>,
        /// Later requests of the connection wait until this one is answered. Set where Kafka may be
        /// asked twice.
        alone: bool,
    },
}

/// A rule's interest in one response of Kafka.
pub trait Exchange: Send + Sync {
    /// Decides on what Kafka answered.
    fn answered(&mut self, response: Bytes) -> anyhow::Result<Next>;
}

/// What follows a response of Kafka.
pub enum Next {
    /// The client gets this response.
    Respond(Bytes),
    /// Kafka is asked this after a while, and the client waits.
    Ask {
        /// The request.
        request: Bytes,
        /// How long the gate waits before.
        after: Duration,
    },
}

/// What Redpanda has as cluster settings, with its defaults, and what the gate imitates only when
/// asked.
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
    /// A gate that has seen no transaction.
    pub fn new(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// Decides what is done with a request. An error closes the client's connection, as Redpanda
    /// does.
    pub fn plan(&self, request: &Request) -> anyhow::Result<Plan> {
        rules::plan(self, request)
    }

    /// Accepts clients on every listener; returns only when an address cannot be bound.
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
                        // Clients of a dead broker try again many times a second: once is enough.
                        if !unreachable.swap(true, Ordering::Relaxed) {
                            tell!(
                                "gate: {upstream} cannot be reached, so clients are closed: {error}"
                            );
                        }
                        return;
                    }
                };
                unreachable.store(false, Ordering::Relaxed);
                // Connections end in resets all the time; what a rule or the codec says is worth a
                // line.
                if let Err(error) = connection::serve(gate, client, kafka).await
                    && !error.is::<std::io::Error>()
                {
                    tell!("gate: {address} to {upstream}: {error:#}");
                }
            });
        }
    }
}

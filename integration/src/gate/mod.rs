//! The gate: a proxy for Kafka's protocol between all clients and Apache Kafka. It makes Kafka
//! answer as Redpanda does. Each difference that it imitates is one entry of [`rules::RULES`]. A
//! request that no rule concerns passes without being decoded. Kafka must advertise the gate's
//! address, so the gate never rewrites an address. It keeps the state of transactions in memory
//! while brokers restart, and depends on no other crate of this workspace.

mod connection;
mod listener;
mod plan;
pub mod relay;
pub mod rules;
mod settings;
pub mod table;
pub(crate) mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use tokio::net::{TcpListener, TcpStream};

pub use listener::{Listener, ListenerError};
pub use plan::{Exchange, Next, Plan};
pub use settings::Settings;
pub use wire::Request;

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
        rules::plan(&self.settings, &self.transactions, request)
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
                // Connections are often reset, which is normal; an error of a rule or the codec is
                // logged.
                if let Err(error) = connection::serve(gate, client, kafka).await
                    && !error.is::<std::io::Error>()
                {
                    tell!("gate: {address} to {upstream}: {}", crate::chain(&*error));
                }
            });
        }
    }
}

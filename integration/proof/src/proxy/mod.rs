//! A proxy between programs and a server, or the brokers of a cluster. It understands just enough
//! of the server's protocol to know when something is committed: Kafka's EndTxn, PostgreSQL's
//! COMMIT, a write of MongoDB's, a script of Redis' that has written. It cuts, delays, drops or
//! keeps that answer, or lets the request for it arrive when nobody waits for it any more.

mod link;
mod protocol;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};

use link::Link;

pub use protocol::{Protocol, TransactionRequest};

/// What the proxy does to messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Passes every message.
    Pass,
    /// Delays every message.
    Delay(Duration),
    /// Breaks the connection instead of passing the answer to a commit.
    DropAnswer,
    /// Holds back the answer to a commit, and everything after it, until the server closes its
    /// connection.
    KeepAnswer,
    /// Drops every message, without closing the connection. A connection that has dropped a message
    /// drops all later ones too, also when the mode changes.
    Swallow,
    /// Holds back such a request to Kafka, breaks the client's connection, and sends the request to
    /// the broker this time after the next transaction has begun.
    Late(TransactionRequest, Duration),
}

/// A running proxy.
pub struct Proxy {
    at: Vec<String>,
    mode: watch::Sender<Mode>,
    cut: broadcast::Sender<()>,
    harmed: Arc<AtomicUsize>,
    /// The number of times that a mode other than a delay may still take effect.
    left: Arc<AtomicU64>,
    transactions: Arc<watch::Sender<Transactions>>,
}

/// What the proxy has seen of the transactions of one producer.
#[derive(Clone, Copy, Debug, Default)]
struct Transactions {
    /// The number that have begun, which is when records follow the end of the one before.
    begun: u64,
    /// Whether the last one has ended.
    ended: bool,
}

impl Proxy {
    /// Listens at the first address of each pair for the server at the second, both `host:port`. A
    /// mode applies to all of them.
    pub async fn start(pairs: &[(&str, &str)], protocol: Protocol) -> anyhow::Result<Self> {
        let mut proxy = Self {
            at: Vec::new(),
            mode: watch::Sender::new(Mode::Pass),
            cut: broadcast::Sender::new(4),
            harmed: Arc::default(),
            left: Arc::default(),
            transactions: Arc::default(),
        };
        for (at, server) in pairs {
            let listener = TcpListener::bind(at).await?;
            proxy.at.push(listener.local_addr()?.to_string());
            proxy.accept(listener, (*server).to_owned(), protocol);
        }
        Ok(proxy)
    }

    fn accept(&self, listener: TcpListener, server: String, protocol: Protocol) {
        let (mode, cut) = (self.mode.clone(), self.cut.clone());
        let (harmed, left) = (self.harmed.clone(), self.left.clone());
        let transactions = self.transactions.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // If the server does not run, the client's connection is closed.
                let Ok(server) = TcpStream::connect(&server).await else { continue };
                let link = Link {
                    protocol,
                    mode: mode.subscribe(),
                    commit_requests: Mutex::default(),
                    swallows: AtomicBool::new(false),
                    harmed: harmed.clone(),
                    left: left.clone(),
                    transactions: transactions.clone(),
                };
                tokio::spawn(link.carry(client, server, cut.subscribe()));
            }
        });
    }

    /// The addresses at which it listens, `host:port`, comma separated.
    pub fn at(&self) -> String {
        self.at.join(",")
    }

    /// Sets the mode, which affects at most `times` commits.
    pub fn set(&self, mode: Mode, times: u64) {
        self.left.store(times, Ordering::Relaxed);
        self.mode.send_replace(mode);
    }

    /// Breaks every connection, and returns how many there were.
    pub fn cut(&self) -> usize {
        // An error means that there is no connection.
        self.cut.send(()).unwrap_or(0)
    }

    /// The number of commits that were affected, and of messages that were delayed.
    pub fn harmed(&self) -> usize {
        self.harmed.load(Ordering::Relaxed)
    }

    /// Waits until more than `before` commits were affected. Returns whether that happened within
    /// `at_most`.
    pub async fn harms(&self, before: usize, at_most: Duration) -> bool {
        let waiting = async {
            while self.harmed() <= before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(at_most, waiting).await.is_ok()
    }
}

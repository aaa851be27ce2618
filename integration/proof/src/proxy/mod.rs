//! A proxy between programs and a server, or the brokers of a cluster. It understands just enough of the
//! server's protocol to know when something is committed: Kafka's EndTxn, PostgreSQL's COMMIT, a write of
//! MongoDB's, a script of Redis' that has written. It cuts, delays, drops or keeps that answer, or lets
//! the request for it arrive when nobody waits for it any more.

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

pub use protocol::{Asked, Protocol};

/// What the proxy does to what passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing.
    Pass,
    /// Every message waits so long.
    Delay(Duration),
    /// The connection breaks where the answer to a commit should pass.
    DropAnswer,
    /// The answer to a commit is kept back, and all that comes after it, until the server's side
    /// ends.
    KeepAnswer,
    /// Every connection that anything passes over swallows it, and everything after it, also when
    /// the mode changes: nobody ever hears of it again.
    Swallow,
    /// Such a request to Kafka is held back and the client's connection broken; the broker gets it
    /// after so long.
    Late(Asked, Duration),
}

/// A running proxy.
pub struct Proxy {
    at: Vec<String>,
    mode: watch::Sender<Mode>,
    cut: broadcast::Sender<()>,
    harmed: Arc<AtomicUsize>,
    /// At most so many times in all a mode other than delay does harm.
    left: Arc<AtomicU64>,
}

impl Proxy {
    /// Listens for each pair at its first address on behalf of the server at its second, both
    /// `host:port`. What the proxy does, it does to all of them.
    pub async fn start(pairs: &[(&str, &str)], protocol: Protocol) -> anyhow::Result<Self> {
        let mut proxy = Self {
            at: Vec::new(),
            mode: watch::Sender::new(Mode::Pass),
            cut: broadcast::Sender::new(4),
            harmed: Arc::default(),
            left: Arc::default(),
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
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // Who connects to a server that is away is told so by the end of the connection.
                let Ok(server) = TcpStream::connect(&server).await else { continue };
                let link = Link {
                    protocol,
                    mode: mode.subscribe(),
                    wishes: Mutex::default(),
                    swallows: AtomicBool::new(false),
                    harmed: harmed.clone(),
                    left: left.clone(),
                };
                tokio::spawn(link.carry(client, server, cut.subscribe()));
            }
        });
    }

    /// Where it listens, `host:port`, comma separated.
    pub fn at(&self) -> String {
        self.at.join(",")
    }

    /// From now on does this, to at most `times` commits.
    pub fn set(&self, mode: Mode, times: u64) {
        self.left.store(times, Ordering::Relaxed);
        self.mode.send_replace(mode);
    }

    /// Breaks every connection.
    pub fn cut(&self) {
        // Nobody listening means that there is none.
        drop(self.cut.send(()));
    }

    /// How many commits were harmed.
    pub fn harmed(&self) -> usize {
        self.harmed.load(Ordering::Relaxed)
    }

    /// Waits until more than `before` commits were harmed; tells whether that came within
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

//! One connection through the proxy, and what is done to it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{broadcast, watch};

use super::protocol::{Protocol, SCRIPT_OK, TransactionRequest, word};
use super::{Mode, Transactions};

/// How long a request is held back until the next transaction begins.
const NEXT_MAX: Duration = Duration::from_secs(15);

/// One connection.
pub(super) struct Link {
    pub(super) protocol: Protocol,
    pub(super) mode: watch::Receiver<Mode>,
    /// The ids of commit requests that are not answered yet.
    pub(super) commit_requests: Mutex<HashSet<i32>>,
    /// Whether it drops all messages.
    pub(super) swallows: AtomicBool,
    pub(super) harmed: Arc<AtomicUsize>,
    pub(super) left: Arc<AtomicU64>,
    pub(super) transactions: Arc<watch::Sender<Transactions>>,
}

/// A request that is held back, with its connection to the server.
struct Late {
    to: OwnedWriteHalf,
    message: Vec<u8>,
    after: Duration,
    /// The number of transactions that had begun when the client sent it.
    begun: u64,
}

impl Link {
    pub(super) async fn carry(
        self,
        client: TcpStream,
        server: TcpStream,
        mut cut: broadcast::Receiver<()>,
    ) {
        // Without this option a small answer would wait for the next one.
        drop((client.set_nodelay(true), server.set_nodelay(true)));
        let ((from_client, to_client), (from_server, to_server)) =
            (client.into_split(), server.into_split());
        let late = tokio::select! {
            late = self.requests(from_client, to_server) => late,
            () = self.answers(from_server, to_client) => None,
            _ = cut.recv() => None,
        };
        // The client's connection is closed now; the request that was held back is still delivered.
        if let Some(Late { mut to, message, after, begun }) = late {
            let mut transactions = self.transactions.subscribe();
            let next = transactions.wait_for(|transactions| transactions.begun > begun);
            let has_begun = tokio::time::timeout(NEXT_MAX, next).await.is_ok();
            tokio::time::sleep(after).await;
            if to.write_all(&message).await.is_ok() && has_begun {
                self.harmed.fetch_add(1, Ordering::Relaxed);
            }
            // The server needs time to read it before the connection is closed.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Follows the transactions of the producer, which may have a connection to each broker.
    fn follow(&self, message: &[u8]) {
        if self.protocol.asks(message, TransactionRequest::EndTxn) {
            self.transactions.send_modify(|transactions| transactions.ended = true);
        } else if self.protocol.asks(message, TransactionRequest::Produce) {
            self.transactions.send_if_modified(|transactions| {
                let begins = std::mem::take(&mut transactions.ended);
                transactions.begun += u64::from(begins);
                begins
            });
        }
    }

    /// Whether this message is dropped.
    fn swallows(&self, mode: Mode) -> bool {
        if mode == Mode::Swallow && !self.swallows.swap(true, Ordering::Relaxed) {
            self.harmed.fetch_add(1, Ordering::Relaxed);
        }
        self.swallows.load(Ordering::Relaxed)
    }

    /// Takes one of the times that a mode may still take effect, if one is left.
    fn take(&self) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }

    /// The same for a mode whose effect is immediate.
    fn take_now(&self) -> bool {
        let taken = self.take();
        self.harmed.fetch_add(usize::from(taken), Ordering::Relaxed);
        taken
    }

    async fn requests(&self, from: OwnedReadHalf, mut to: OwnedWriteHalf) -> Option<Late> {
        let mut from = BufReader::new(from);
        while let Some(message) = self.protocol.request(&mut from).await {
            let mode = *self.mode.borrow();
            let commit_id = self.protocol.commit_id(&message);
            if let Some(id) = commit_id {
                self.commit_requests.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
            }
            self.follow(&message);
            match mode {
                _ if self.swallows(mode) => continue,
                Mode::Delay(by) => {
                    self.harmed.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(by).await;
                }
                Mode::Late(asked, after) if self.protocol.asks(&message, asked) && self.take() => {
                    let begun = self.transactions.borrow().begun;
                    return Some(Late { to, message, after, begun });
                }
                _ => {}
            }
            to.write_all(&message).await.ok()?;
        }
        None
    }

    async fn answers(&self, from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut from = BufReader::new(from);
        while let Some(message) = self.protocol.answer(&mut from).await {
            let mode = *self.mode.borrow();
            let committed = self.is_commit(&message);
            match mode {
                _ if self.swallows(mode) => continue,
                Mode::Delay(by) => {
                    self.harmed.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(by).await;
                }
                Mode::DropAnswer if committed && self.take_now() => return,
                Mode::KeepAnswer if committed && self.take_now() => {
                    while self.protocol.answer(&mut from).await.is_some() {}
                    return;
                }
                _ => {}
            }
            if to.write_all(&message).await.is_err() {
                return;
            }
        }
        // The client must not notice that the server closes the connection either.
        if self.swallows.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    /// Whether this answer says that something is committed.
    pub(super) fn is_commit(&self, message: &[u8]) -> bool {
        let answers = |id: Option<i32>| {
            let mut commit_requests =
                self.commit_requests.lock().unwrap_or_else(PoisonError::into_inner);
            id.is_some_and(|id| commit_requests.remove(&id))
        };
        match self.protocol {
            Protocol::Kafka => answers(word(message, 4).map(i32::from_be_bytes)),
            Protocol::Mongo => answers(word(message, 8).map(i32::from_le_bytes)),
            Protocol::Postgres => {
                message.first() == Some(&b'C') && message.get(5..) == Some(b"COMMIT\0")
            }
            Protocol::Redis => message.windows(SCRIPT_OK.len()).any(|part| part == SCRIPT_OK),
        }
    }
}

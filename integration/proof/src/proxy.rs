//! A proxy between one service and the broker that understands just enough of Kafka's protocol to know a wish to end a transaction
//! (EndTxn, key 26) and its answer. It cuts, delays, drops that answer, or lets the wish arrive when nobody waits for it any more.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{broadcast, watch},
};

/// The protocol's number of EndTxn.
const END_TXN: i16 = 26;
/// Frames above this are no Kafka.
const FRAME_MAX: usize = 100 << 20;

/// What the proxy does to what passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing.
    Pass,
    /// Every frame waits so long.
    Delay(Duration),
    /// The connection breaks where an answer to EndTxn should pass.
    DropEndAnswer,
    /// EndTxn is held back and the client's connection broken; the broker gets it after so long.
    LateEnd(Duration),
}

/// A running proxy.
pub struct Proxy {
    mode: watch::Sender<Mode>,
    cut: broadcast::Sender<()>,
    harmed: Arc<AtomicUsize>,
    /// At most so many times in all a mode other than delay does harm.
    left: Arc<AtomicU64>,
}

impl Proxy {
    /// Listens at `at` for a service, on behalf of the broker's listener `broker`.
    pub async fn start(at: &str, broker: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(at).await?;
        let proxy = Self {
            mode: watch::Sender::new(Mode::Pass),
            cut: broadcast::Sender::new(4),
            harmed: Arc::default(),
            left: Arc::default(),
        };
        let (mode, cut, broker) = (proxy.mode.clone(), proxy.cut.clone(), broker.to_owned());
        let (harmed, left) = (proxy.harmed.clone(), proxy.left.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&broker).await else { continue };
                let link = Link {
                    mode: mode.subscribe(),
                    ends: Arc::default(),
                    harmed: harmed.clone(),
                    left: left.clone(),
                };
                tokio::spawn(link.carry(client, server, cut.subscribe()));
            }
        });
        Ok(proxy)
    }

    /// From now on does this, to at most `times` transactions.
    pub fn set(&self, mode: Mode, times: u64) {
        self.left.store(times, Ordering::Relaxed);
        self.mode.send_replace(mode);
    }

    /// Breaks every connection.
    pub fn cut(&self) {
        // Nobody listening means that there is none.
        drop(self.cut.send(()));
    }

    /// How many ends of transactions were harmed.
    pub fn harmed(&self) -> usize {
        self.harmed.load(Ordering::Relaxed)
    }
}

/// One connection.
struct Link {
    mode: watch::Receiver<Mode>,
    /// The correlation ids of the wishes to end a transaction that are not answered.
    ends: Arc<Mutex<HashSet<i32>>>,
    harmed: Arc<AtomicUsize>,
    left: Arc<AtomicU64>,
}

impl Link {
    async fn carry(self, client: TcpStream, server: TcpStream, mut cut: broadcast::Receiver<()>) {
        // Without these an answer waits for the next one.
        drop((client.set_nodelay(true), server.set_nodelay(true)));
        let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
        let late = tokio::select! {
            late = self.requests(from_client, to_server) => late,
            () = self.answers(from_server, to_client) => None,
            _ = cut.recv() => None,
        };
        // The client's side is closed by now; what was held back still arrives.
        if let Some((mut to_server, frame, after)) = late {
            tokio::time::sleep(after).await;
            drop(to_server.write_all(&frame).await);
            // Time to be read before the connection ends.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    fn take(&self) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok();
        if taken {
            self.harmed.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    async fn requests(
        &self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
    ) -> Option<(OwnedWriteHalf, Vec<u8>, Duration)> {
        while let Some(frame) = read(&mut from).await {
            let mode = *self.mode.borrow();
            let key = i16::from_be_bytes([*frame.get(4)?, *frame.get(5)?]);
            if key == END_TXN {
                let id = i32::from_be_bytes(frame.get(8..12)?.try_into().ok()?);
                self.ends.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
            }
            match mode {
                Mode::Delay(by) => tokio::time::sleep(by).await,
                Mode::LateEnd(after) if key == END_TXN && self.take() => return Some((to, frame, after)),
                _ => {}
            }
            to.write_all(&frame).await.ok()?;
        }
        None
    }

    async fn answers(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        while let Some(frame) = read(&mut from).await {
            let mode = *self.mode.borrow();
            let id = frame.get(4..8).and_then(|id| id.try_into().ok()).map(i32::from_be_bytes);
            let end =
                id.is_some_and(|id| self.ends.lock().unwrap_or_else(PoisonError::into_inner).remove(&id));
            match mode {
                Mode::Delay(by) => tokio::time::sleep(by).await,
                Mode::DropEndAnswer if end && self.take() => return,
                _ => {}
            }
            if to.write_all(&frame).await.is_err() {
                return;
            }
        }
    }
}

/// A frame with its length in front.
async fn read(from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length).await.ok()?;
    let size = usize::try_from(i32::from_be_bytes(length)).ok().filter(|size| *size < FRAME_MAX)?;
    let mut frame = vec![0; 4 + size];
    frame[..4].copy_from_slice(&length);
    from.read_exact(&mut frame[4..]).await.ok()?;
    Some(frame)
}

//! A mail server that accepts every mail. Without one, notifications are retried for minutes and
//! the log is never quiet. It can be slow, and counts how often it has accepted each mail. It
//! stores no mail.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// The running server. Clones share it.
#[derive(Clone, Default)]
pub struct Mail {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    delay_ms: AtomicU64,
    taken: Mutex<HashMap<String, u32>>,
}

impl Mail {
    /// Listens at `at` (`host:port`) until the process ends.
    ///
    /// # Errors
    /// When the address can't be bound.
    pub async fn serve(at: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(at).await?;
        let mail = Self::default();
        let shared = mail.shared.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = shared.clone();
                // A client whose connection breaks sends its mail again.
                tokio::spawn(async move { drop(shared.converse(stream).await) });
            }
        });
        Ok(mail)
    }

    /// Delays the answer to each further mail.
    pub fn delay(&self, by: Duration) {
        let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.shared.delay_ms.store(by_ms, Ordering::Relaxed);
    }

    /// Resets the counts.
    pub fn forget(&self) {
        self.shared.taken().clear();
    }

    /// The number of different mails that were accepted.
    pub fn taken(&self) -> usize {
        self.shared.taken().len()
    }

    /// The Message-IDs of the mails that were accepted more than once.
    pub fn repeated(&self) -> Vec<String> {
        let taken = self.shared.taken();
        taken.iter().filter(|(_, times)| **times > 1).map(|(id, _)| id.clone()).collect()
    }
}

impl Shared {
    fn taken(&self) -> MutexGuard<'_, HashMap<String, u32>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn converse(&self, stream: TcpStream) -> std::io::Result<()> {
        let (from, mut to) = stream.into_split();
        let mut lines = BufReader::new(from).lines();
        to.write_all(b"220 here\r\n").await?;
        let (mut in_body, mut id) = (false, None);
        while let Some(line) = lines.next_line().await? {
            let answer: &[u8] = match (in_body, line.as_str()) {
                (true, ".") => {
                    in_body = false;
                    tokio::time::sleep(Duration::from_millis(
                        self.delay_ms.load(Ordering::Relaxed),
                    ))
                    .await;
                    *self.taken().entry(id.take().unwrap_or_default()).or_default() += 1;
                    b"250 taken\r\n"
                }
                (true, line) => {
                    if let Some(named) = line.strip_prefix("Message-ID: ") {
                        id = Some(named.to_owned());
                    }
                    continue;
                }
                (false, "DATA") => {
                    in_body = true;
                    b"354 go on\r\n"
                }
                (false, "QUIT") => return to.write_all(b"221 bye\r\n").await,
                (false, _) => b"250 fine\r\n",
            };
            to.write_all(answer).await?;
        }
        Ok(())
    }
}

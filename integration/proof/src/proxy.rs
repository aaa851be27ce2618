//! A proxy between programs and a server, or the brokers of a cluster, that understands just enough
//! of the server's protocol to know when something is committed: Kafka's EndTxn, PostgreSQL's
//! COMMIT, a write of MongoDB's, a script of Redis' that has written. It cuts, delays, drops or
//! keeps that answer, or lets what asks for it arrive when nobody waits for it any more.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{broadcast, watch},
};

/// The number of OP_MSG in MongoDB's.
const OP_MSG: i32 = 2013;
/// Messages above this are of no protocol that is known here.
const MESSAGE_MAX: usize = 100 << 20;
/// What is read at once of a protocol whose messages need not be told apart.
const CHUNK: usize = 16 << 10;
/// What a script answers, in Redis' protocol, that has written and moved its position.
const SCRIPT_OK: &[u8] = b"$2\r\nok\r\n";

/// What is spoken between program and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Kafka's: a commit is what EndTxn asks for.
    Kafka,
    /// PostgreSQL's, without TLS: a commit is what is answered with `COMMIT`.
    Postgres,
    /// MongoDB's: an insert or an update.
    Mongo,
    /// Redis': a script that answers `ok`.
    Redis,
}

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

/// Requests to Kafka of a transaction, by their numbers in its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Records are to be appended.
    Produce = 0,
    /// The transaction is to be committed or aborted.
    EndTxn = 26,
    /// Offsets of a group are to be staged in it.
    TxnOffsetCommit = 28,
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

/// One connection.
struct Link {
    protocol: Protocol,
    mode: watch::Receiver<Mode>,
    /// The ids of requests for a commit that are not answered.
    wishes: Mutex<HashSet<i32>>,
    /// Whether it has begun to swallow.
    swallows: AtomicBool,
    harmed: Arc<AtomicUsize>,
    left: Arc<AtomicU64>,
}

impl Link {
    async fn carry(self, client: TcpStream, server: TcpStream, mut cut: broadcast::Receiver<()>) {
        // Without these an answer waits for the next one.
        drop((client.set_nodelay(true), server.set_nodelay(true)));
        let ((from_client, to_client), (from_server, to_server)) =
            (client.into_split(), server.into_split());
        let late = tokio::select! {
            late = self.requests(from_client, to_server) => late,
            () = self.answers(from_server, to_client) => None,
            _ = cut.recv() => None,
        };
        // The client's side is closed by now; what was held back still arrives.
        if let Some((mut to_server, message, after)) = late {
            tokio::time::sleep(after).await;
            drop(to_server.write_all(&message).await);
            // Time to be read before the connection ends.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Whether what has come is swallowed.
    fn swallows(&self, mode: Mode) -> bool {
        if mode == Mode::Swallow && !self.swallows.swap(true, Ordering::Relaxed) {
            self.harmed.fetch_add(1, Ordering::Relaxed);
        }
        self.swallows.load(Ordering::Relaxed)
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
        from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
    ) -> Option<(OwnedWriteHalf, Vec<u8>, Duration)> {
        let mut from = BufReader::new(from);
        while let Some(message) = self.protocol.request(&mut from).await {
            let mode = *self.mode.borrow();
            let wish = self.protocol.wish(&message);
            if let Some(id) = wish {
                self.wishes.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
            }
            match mode {
                _ if self.swallows(mode) => continue,
                Mode::Delay(by) => tokio::time::sleep(by).await,
                Mode::Late(asked, after) if self.protocol.asks(&message, asked) && self.take() => {
                    return Some((to, message, after));
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
                Mode::Delay(by) => tokio::time::sleep(by).await,
                Mode::DropAnswer if committed && self.take() => return,
                Mode::KeepAnswer if committed && self.take() => {
                    while self.protocol.answer(&mut from).await.is_some() {}
                    return;
                }
                _ => {}
            }
            if to.write_all(&message).await.is_err() {
                return;
            }
        }
        // The server's end of the connection is not to be heard of either.
        if self.swallows.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    /// Whether an answer says that something is committed.
    fn is_commit(&self, message: &[u8]) -> bool {
        let answers = |id: Option<i32>| {
            let mut wishes = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
            id.is_some_and(|id| wishes.remove(&id))
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

type Reading = BufReader<OwnedReadHalf>;

impl Protocol {
    /// The next message from a client; of a protocol whose requests need not be understood, what
    /// there is.
    async fn request(self, from: &mut Reading) -> Option<Vec<u8>> {
        match self {
            Self::Kafka | Self::Mongo => self.answer(from).await,
            Self::Postgres | Self::Redis => chunk(from).await,
        }
    }

    /// The next message from the server.
    async fn answer(self, from: &mut Reading) -> Option<Vec<u8>> {
        match self {
            Self::Kafka => {
                whole(from, 0, |length| i32::from_be_bytes(length).try_into().ok()).await
            }
            // These lengths count themselves.
            Self::Mongo => {
                whole(from, 0, |length| (i32::from_le_bytes(length) - 4).try_into().ok()).await
            }
            Self::Postgres => {
                whole(from, 1, |length| (i32::from_be_bytes(length) - 4).try_into().ok()).await
            }
            Self::Redis => chunk(from).await,
        }
    }

    /// Whether this is such a request to Kafka.
    fn asks(self, message: &[u8], asked: Asked) -> bool {
        let key = message.get(4..6).and_then(|key| key.try_into().ok()).map(i16::from_be_bytes);
        self == Self::Kafka && key == Some(asked as i16)
    }

    /// The id of a request whose answer says that something is committed. PostgreSQL's and Redis'
    /// answers say so themselves.
    fn wish(self, message: &[u8]) -> Option<i32> {
        match self {
            Self::Kafka => self
                .asks(message, Asked::EndTxn)
                .then(|| word(message, 8).map(i32::from_be_bytes))?,
            Self::Mongo => {
                // Header, flags, the section's kind, its document's length, and a type; then the
                // first field names the command.
                let is_message = word(message, 12).map(i32::from_le_bytes) == Some(OP_MSG);
                let name = message.get(26..)?.split(|byte| *byte == 0).next()?;
                (is_message && [&b"insert"[..], b"update"].contains(&name))
                    .then(|| word(message, 4).map(i32::from_le_bytes))?
            }
            Self::Postgres | Self::Redis => None,
        }
    }
}

fn word(message: &[u8], at: usize) -> Option<[u8; 4]> {
    message.get(at..at + 4)?.try_into().ok()
}

/// A message: `ahead` bytes, four that say how many follow, and those.
async fn whole(
    from: &mut Reading,
    ahead: usize,
    follow: fn([u8; 4]) -> Option<usize>,
) -> Option<Vec<u8>> {
    let mut message = vec![0; ahead + 4];
    from.read_exact(&mut message).await.ok()?;
    let more = follow(word(&message, ahead)?).filter(|more| *more < MESSAGE_MAX)?;
    message.resize(ahead + 4 + more, 0);
    from.read_exact(&mut message[ahead + 4..]).await.ok()?;
    Some(message)
}

async fn chunk(from: &mut Reading) -> Option<Vec<u8>> {
    let mut chunk = vec![0; CHUNK];
    let length = from.read(&mut chunk).await.ok().filter(|length| *length > 0)?;
    chunk.truncate(length);
    Some(chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(protocol: Protocol) -> Link {
        Link {
            protocol,
            mode: watch::Sender::new(Mode::Pass).subscribe(),
            wishes: Mutex::default(),
            swallows: AtomicBool::new(false),
            harmed: Arc::default(),
            left: Arc::default(),
        }
    }

    #[test]
    fn a_commit_is_known_by_its_answer_in_postgres_and_redis() {
        assert!(link(Protocol::Postgres).is_commit(b"C\0\0\0\x0bCOMMIT\0"));
        assert!(!link(Protocol::Postgres).is_commit(b"C\0\0\0\x0aBEGIN\0"));
        assert!(link(Protocol::Redis).is_commit(b":1\r\n$2\r\nok\r\n"));
        assert!(!link(Protocol::Redis).is_commit(b"$4\r\nlost\r\n"));
    }

    #[test]
    fn requests_of_a_transaction_are_known_by_their_numbers() {
        let offsets = b"\0\0\0\x08\0\x1c\0\x03\0\0\0\x07";
        assert!(Protocol::Kafka.asks(offsets, Asked::TxnOffsetCommit));
        assert!(
            !Protocol::Kafka.asks(offsets, Asked::EndTxn)
                && !Protocol::Mongo.asks(offsets, Asked::TxnOffsetCommit)
        );
        assert!(Protocol::Kafka.asks(b"\0\0\0\x08\0\0\0\x07\0\0\0\x07", Asked::Produce));
    }

    async fn told(server: TcpListener, answer: &'static [u8]) {
        let (mut stream, _) = server.accept().await.expect("the proxy connects");
        stream.write_all(answer).await.expect("it takes");
        stream.flush().await.expect("it takes");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    #[tokio::test]
    async fn each_address_stands_for_a_server_of_its_own() {
        let (one, two) =
            (TcpListener::bind("127.0.0.1:0").await, TcpListener::bind("127.0.0.1:0").await);
        let (one, two) = (one.expect("a port"), two.expect("a port"));
        let at = |server: &TcpListener| server.local_addr().expect("its number").to_string();
        let pairs = [("127.0.0.1:0", &*at(&one)), ("127.0.0.1:0", &*at(&two))];
        let proxy = Proxy::start(&pairs, Protocol::Redis).await.expect("it listens");
        tokio::spawn(told(one, b"1"));
        tokio::spawn(told(two, b"2"));
        let mut seen = Vec::new();
        for address in proxy.at().split(',') {
            let mut client = TcpStream::connect(address).await.expect("the proxy listens");
            seen.push(client.read_u8().await.expect("an answer"));
        }
        assert_eq!(seen, b"12");
    }

    #[test]
    fn a_commit_is_known_by_its_request_in_kafka_and_mongo() {
        // Length, key 26, version 3, correlation id 7; the answer has the id behind its length.
        let end = b"\0\0\0\x08\0\x1a\0\x03\0\0\0\x07";
        assert_eq!(Protocol::Kafka.wish(end), Some(7));
        assert_eq!(Protocol::Kafka.wish(b"\0\0\0\x08\0\x00\0\x03\0\0\0\x07"), None);
        let asked = link(Protocol::Kafka);
        asked.wishes.lock().expect("a lock").insert(7);
        assert!(
            asked.is_commit(b"\0\0\0\x04\0\0\0\x07") && !asked.is_commit(b"\0\0\0\x04\0\0\0\x07")
        );

        let mongo = |name: &[u8]| {
            let header = [&40_i32, &9, &0, &OP_MSG, &0].map(|word| word.to_le_bytes()).concat();
            [&header[..], b"\0\x13\0\0\0\x02", name, b"\0..."].concat()
        };
        assert_eq!(Protocol::Mongo.wish(&mongo(b"update")), Some(9));
        assert_eq!(Protocol::Mongo.wish(&mongo(b"find")), None);
    }
}

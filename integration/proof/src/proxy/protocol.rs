//! Messages of the four protocols, and which of them commit.

use tokio::io::{AsyncReadExt, BufReader};
use tokio::net::tcp::OwnedReadHalf;

/// The operation code of OP_MSG in MongoDB's protocol.
pub(super) const OP_MSG: i32 = 2013;

/// A longer message is of no protocol that the proxy knows.
const MESSAGE_MAX: usize = 100 << 20;

/// The size of a read, for a protocol whose messages need not be separated.
const CHUNK: usize = 16 << 10;

/// The answer, in Redis' protocol, of a script that has written and moved its position.
pub(super) const SCRIPT_OK: &[u8] = b"$2\r\nok\r\n";

/// The protocol between program and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Kafka's: EndTxn commits.
    Kafka,
    /// PostgreSQL's, without TLS: a statement commits that is answered with `COMMIT`.
    Postgres,
    /// MongoDB's: an insert or an update commits.
    Mongo,
    /// Redis': a script commits that answers `ok`.
    Redis,
}

/// Requests of a transaction to Kafka, by their API keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionRequest {
    /// Appends records.
    Produce = 0,
    /// Commits or aborts the transaction.
    EndTxn = 26,
    /// Stages offsets of a group in the transaction.
    TxnOffsetCommit = 28,
}

type Reading = BufReader<OwnedReadHalf>;

impl Protocol {
    /// The next message from a client or, for a protocol whose requests need not be separated, the
    /// next bytes.
    pub(super) async fn request(self, from: &mut Reading) -> Option<Vec<u8>> {
        match self {
            Self::Kafka | Self::Mongo => self.answer(from).await,
            Self::Postgres | Self::Redis => chunk(from).await,
        }
    }

    /// The next message from the server.
    pub(super) async fn answer(self, from: &mut Reading) -> Option<Vec<u8>> {
        match self {
            Self::Kafka => {
                whole(from, 0, |length| i32::from_be_bytes(length).try_into().ok()).await
            }
            // These lengths include themselves.
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
    pub(super) fn asks(self, message: &[u8], asked: TransactionRequest) -> bool {
        let key = message.get(4..6).and_then(|key| key.try_into().ok()).map(i16::from_be_bytes);
        self == Self::Kafka && key == Some(asked as i16)
    }

    /// The id of a request whose answer says that something is committed. Answers of PostgreSQL and
    /// Redis say so themselves.
    pub(super) fn commit_id(self, message: &[u8]) -> Option<i32> {
        match self {
            Self::Kafka => self
                .asks(message, TransactionRequest::EndTxn)
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

pub(super) fn word(message: &[u8], at: usize) -> Option<[u8; 4]> {
    message.get(at..at + 4)?.try_into().ok()
}

/// Reads a message: `ahead` bytes, four bytes for the length of the rest, and the rest.
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

//! Commands on their way into the log: rskafka, no transaction, acknowledged by all replicas.
//!
//! It never reads: rskafka shows aborted records. A write may land twice, or after its deadline;
//! the processor's memory of command ids is what makes it count once.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use rskafka::{
    BackoffConfig,
    client::{
        Client,
        partition::{Compression, PartitionClient, UnknownTopicHandling},
    },
    record::Record,
};
use tokio::sync::{Mutex, Semaphore};

use crate::{
    brokers::Brokers,
    log::Headers,
    partition_of,
    topics::{self, Topics},
};

/// Writes that may be under way, those included for which nobody waits any more.
const UNDER_WAY_MAX: usize = 4_096;
/// For how long a write goes on after its deadline. Then it is torn off, with the connection that
/// has swallowed it.
const LATE_MAX: Duration = Duration::from_secs(30);

/// Why a command is not known to be in the log.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It was not acknowledged in time. It may still be written.
    #[error("{topic}: not acknowledged within {deadline:?}; it may still be written")]
    Deadline {
        /// Where to.
        topic: String,
        /// How long it was tried.
        deadline: Duration,
    },
    /// It was not tried, as too many writes before it have not ended.
    #[error(
        "{topic}: not written, since {under_way} writes are under way and have not been acknowledged"
    )]
    Full {
        /// Where to.
        topic: String,
        /// How many are under way.
        under_way: usize,
    },
    /// The log refused it.
    #[error("{topic}: {cause}")]
    Refused {
        /// Where to.
        topic: String,
        /// What the log said.
        cause: String,
    },
}

/// Writes commands. Clones share their connections.
#[derive(Clone)]
pub struct CommandWriter(Arc<Inner>);

struct Inner {
    brokers: Brokers,
    topics: Topics,
    client: Mutex<Option<Arc<Client>>>,
    partitions: Mutex<HashMap<(String, i32), Arc<PartitionClient>>>,
    /// How often the connections were forgotten.
    forgotten: AtomicU64,
    /// How many writes may be under way.
    under_way_max: usize,
    room: Arc<Semaphore>,
    late_max: Duration,
}

impl CommandWriter {
    /// A writer for the cluster behind `brokers`. It connects at the first write.
    pub fn new(brokers: impl Into<Brokers>) -> Self {
        Self::of(brokers, topics::all().clone())
    }

    /// The same for other topics than those of `topics.yaml`.
    pub fn of(brokers: impl Into<Brokers>, topics: Topics) -> Self {
        Self::bounded(brokers.into(), topics, UNDER_WAY_MAX, LATE_MAX)
    }

    fn bounded(brokers: Brokers, topics: Topics, under_way_max: usize, late_max: Duration) -> Self {
        let room = Arc::new(Semaphore::new(under_way_max));
        let (client, partitions) = (Mutex::default(), Mutex::default());
        let forgotten = AtomicU64::new(0);
        Self(Arc::new(Inner {
            brokers,
            topics,
            client,
            partitions,
            forgotten,
            under_way_max,
            room,
            late_max,
        }))
    }

    /// Writes one record to the partition of its key, and gives partition and offset.
    ///
    /// # Errors
    /// When it is not acknowledged within `deadline`, refused, or not tried.
    pub async fn write(
        &self,
        topic: &str,
        key: &str,
        value: Bytes,
        headers: &Headers,
        deadline: Duration,
    ) -> Result<(i32, i64), WriteError> {
        let refused = |cause: String| WriteError::Refused { topic: topic.to_owned(), cause };
        let declared =
            self.0.topics.get(topic).ok_or_else(|| refused("there is no such topic".to_owned()))?;
        let partition = partition_of(key.as_bytes(), declared.partitions);
        let record = Record {
            key: Some(key.as_bytes().to_vec()),
            value: Some(value.to_vec()),
            headers: headers
                .iter()
                .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec()))
                .collect::<BTreeMap<_, _>>(),
            // The broker sets its own: every topic has LogAppendTime.
            timestamp: rskafka::chrono::DateTime::default(),
        };
        let Ok(room) = self.0.room.clone().try_acquire_owned() else {
            return Err(WriteError::Full {
                topic: topic.to_owned(),
                under_way: self.0.under_way_max,
            });
        };
        let (inner, name) = (self.0.clone(), topic.to_owned());
        let forgotten = inner.forgotten.load(Ordering::Relaxed);
        let at_most = deadline.saturating_add(inner.late_max);
        // A task of its own: what is under way at the deadline goes on for a while, and is only not
        // waited for.
        let writing = tokio::spawn(async move {
            let writing = async {
                let client = inner.partition(&name, partition).await?;
                client.produce(vec![record], Compression::NoCompression).await
            };
            let written = tokio::time::timeout(at_most, writing).await;
            drop(room);
            written
        });
        match tokio::time::timeout(deadline, writing).await {
            Err(_) | Ok(Ok(Err(_))) => {
                self.0.reconnect(forgotten).await;
                Err(WriteError::Deadline { topic: topic.to_owned(), deadline })
            }
            Ok(Err(error)) => Err(refused(error.to_string())),
            Ok(Ok(Ok(Err(error)))) => Err(refused(error.to_string())),
            Ok(Ok(Ok(Ok(offsets)))) => {
                Ok((partition, offsets.first().copied().unwrap_or_default()))
            }
        }
    }

    /// Whether the cluster answers.
    ///
    /// # Errors
    /// When it does not within `deadline`.
    pub async fn ping(&self, deadline: Duration) -> Result<(), WriteError> {
        let refused =
            |cause: String| WriteError::Refused { topic: "the brokers".to_owned(), cause };
        let asking = async {
            let client = self.0.client().await?;
            client.list_topics().await
        };
        match tokio::time::timeout(deadline, asking).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(refused(error.to_string())),
            Err(_) => Err(refused(format!("no answer within {deadline:?}"))),
        }
    }
}

impl Inner {
    /// Forgets all connections: rskafka has no time limit on a request, and would wait on a dead
    /// one for as long as the kernel does. Writes that are under way keep theirs. `before` says how
    /// often that had happened when the write began: of thousands that miss their deadlines
    /// together one forgets, and the others leave the new connections alone.
    async fn reconnect(&self, before: u64) {
        let first = self.forgotten.compare_exchange(
            before,
            before + 1,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        if first.is_err() {
            return;
        }
        self.partitions.lock().await.clear();
        // Held while somebody connects: then there is nothing to forget.
        if let Ok(mut client) = self.client.try_lock() {
            *client = None;
        }
    }

    async fn client(&self) -> Result<Arc<Client>, rskafka::client::error::Error> {
        let mut client = self.client.lock().await;
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let backoff = BackoffConfig {
            init_backoff: Duration::from_millis(20),
            max_backoff: Duration::from_secs(1),
            deadline: Some(Duration::from_secs(30)),
            ..BackoffConfig::default()
        };
        let built =
            self.brokers.rskafka().client_id("millrace").backoff_config(backoff).build().await?;
        Ok(client.insert(Arc::new(built)).clone())
    }

    async fn partition(
        &self,
        topic: &str,
        partition: i32,
    ) -> Result<Arc<PartitionClient>, rskafka::client::error::Error> {
        let place = (topic.to_owned(), partition);
        if let Some(client) = self.partitions.lock().await.get(&place) {
            return Ok(client.clone());
        }
        let client = self.client().await?;
        let client =
            Arc::new(client.partition_client(topic, partition, UnknownTopicHandling::Retry).await?);
        Ok(self.partitions.lock().await.entry(place).or_insert(client).clone())
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, net::TcpListener, time::Instant};

    use super::*;

    /// A broker that takes connections and says nothing. Returns its address.
    fn silent() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                std::thread::spawn(move || {
                    stream.map(|mut stream| stream.read_to_end(&mut Vec::new()))
                });
            }
        });
        address
    }

    #[tokio::test]
    async fn writes_to_a_silent_broker_pile_up_no_higher_than_the_bound_and_end() {
        let late_max = Duration::from_millis(500);
        let writer = CommandWriter::bounded((&silent()).into(), topics::all().clone(), 3, late_max);
        let write = || async {
            let (headers, deadline) = (Headers::default(), Duration::from_millis(10));
            writer
                .write("order.commands", "key", Bytes::from_static(b"value"), &headers, deadline)
                .await
        };
        for _ in 0..3 {
            let error = write().await.expect_err("nobody answers");
            assert!(matches!(error, WriteError::Deadline { .. }), "{error}");
        }
        let error = write().await.expect_err("three are under way");
        assert!(matches!(error, WriteError::Full { under_way: 3, .. }), "{error}");

        // Each ends some time after its deadline, and then others are tried again.
        let begun = Instant::now();
        while matches!(write().await, Err(WriteError::Full { .. })) {
            assert!(begun.elapsed() < Duration::from_secs(10), "late writes do not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

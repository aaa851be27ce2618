//! The connections of a writer, and how they are replaced after a deadline. It writes nothing.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rskafka::{
    BackoffConfig,
    client::{
        Client,
        error::Error,
        partition::{PartitionClient, UnknownTopicHandling},
    },
};
use tokio::sync::Mutex;

use crate::brokers::Brokers;

/// How long the first attempt to connect may take. Each further attempt may take twice as long as
/// the one before it.
const CONNECT_MIN: Duration = Duration::from_secs(1);
/// The longest attempt to connect, in multiples of the first one.
const CONNECT_TIMES_MAX: u32 = 8;

/// Connections to brokers and partitions, which open at their first use.
pub(super) struct Connections {
    brokers: Brokers,
    client: Mutex<Option<Arc<Client>>>,
    partitions: Mutex<HashMap<(String, i32), Arc<PartitionClient>>>,
    /// How many times the connections were dropped.
    generation: AtomicU64,
    /// See [`CONNECT_MIN`].
    connect_min: Duration,
}

impl Connections {
    pub(super) fn new(brokers: Brokers) -> Self {
        let (client, partitions) = (Mutex::default(), Mutex::default());
        let (generation, connect_min) = (AtomicU64::new(0), CONNECT_MIN);
        Self { brokers, client, partitions, generation, connect_min }
    }

    /// The number of the current connections.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Drops all connections, unless another write has done so since `generation`.
    ///
    /// rskafka has no time limit on a request, and would wait on a dead connection for as long as
    /// the kernel does. Writes in flight keep their connection. If thousands of writes miss their
    /// deadlines together, one of them drops the connections, and the others leave the new ones
    /// alone.
    pub(super) async fn drop_all(&self, generation: u64) {
        let first = self.generation.compare_exchange(
            generation,
            generation + 1,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        if first.is_err() {
            return;
        }
        self.partitions.lock().await.clear();
        // The lock is held while a task connects: then there is no connection to drop.
        if let Ok(mut client) = self.client.try_lock() {
            *client = None;
        }
    }

    /// The connection to the cluster. The caller has a deadline: this repeats attempts that take
    /// too long, and all other writes wait meanwhile.
    ///
    /// rskafka connects to one broker after the other, in random order, and waits for each without
    /// a limit. A new attempt begins with another broker sooner or later.
    pub(super) async fn client(&self) -> Result<Arc<Client>, Error> {
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
        let mut longest = self.connect_min;
        let built = loop {
            let building = self
                .brokers
                .rskafka()
                .client_id("millrace")
                .backoff_config(backoff.clone())
                .build();
            match tokio::time::timeout(longest, building).await {
                Ok(built) => break built?,
                Err(_) => longest = (longest * 2).min(self.connect_min * CONNECT_TIMES_MAX),
            }
        };
        Ok(client.insert(Arc::new(built)).clone())
    }

    /// The connection to the leader of a partition.
    pub(super) async fn partition(
        &self,
        topic: &str,
        partition: i32,
    ) -> Result<Arc<PartitionClient>, Error> {
        let key = (topic.to_owned(), partition);
        if let Some(client) = self.partitions.lock().await.get(&key) {
            return Ok(client.clone());
        }
        let client = self.client().await?;
        let client =
            Arc::new(client.partition_client(topic, partition, UnknownTopicHandling::Retry).await?);
        Ok(self.partitions.lock().await.entry(key).or_insert(client).clone())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use rdkafka::mocking::MockCluster;

    use super::*;

    #[tokio::test]
    async fn silent_broker_does_not_prevent_a_connection_to_another() {
        let cluster = MockCluster::new(1).expect("a mock");
        // The kernel accepts connections to it, and nobody answers.
        let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let silent_address = silent.local_addr().expect("an address");
        let brokers = format!("{silent_address},{}", cluster.bootstrap_servers());
        // Each round begins with the silent broker half of the time.
        for round in 0..10 {
            let connect_min = Duration::from_millis(200);
            let connections = Connections { connect_min, ..Connections::new((&brokers).into()) };
            let connected =
                tokio::time::timeout(Duration::from_secs(20), connections.client()).await;
            assert!(matches!(connected, Ok(Ok(_))), "round {round}: {connected:?}");
        }
    }
}

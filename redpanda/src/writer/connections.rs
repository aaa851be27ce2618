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

/// Connections to brokers and partitions, which open at their first use.
pub(super) struct Connections {
    brokers: Brokers,
    client: Mutex<Option<Arc<Client>>>,
    partitions: Mutex<HashMap<(String, i32), Arc<PartitionClient>>>,
    /// How many times the connections were dropped.
    generation: AtomicU64,
}

impl Connections {
    pub(super) fn new(brokers: Brokers) -> Self {
        let (client, partitions) = (Mutex::default(), Mutex::default());
        Self { brokers, client, partitions, generation: AtomicU64::new(0) }
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

    /// The connection to the cluster.
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
        let built =
            self.brokers.rskafka().client_id("millrace").backoff_config(backoff).build().await?;
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

//! What an administrator does to a cluster: finds leaders and coordinators, moves them, changes a
//! topic's settings, and writes a record with a chosen timestamp. Tests use it to prove that
//! clients survive such changes. It asks the brokers past the gate, because Redpanda has no
//! ElectLeaders. It is no client: it reads no record and opens a connection for each request.

mod ask;
mod leaders;
mod settings;
mod sizes;
#[cfg(test)]
mod tests;
mod write;

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, MetadataRequest};

use ask::{check, text};

pub use sizes::TopicSize;
pub use write::RawRecord;

/// The pause between two checks of a condition.
const PAUSE: Duration = Duration::from_millis(100);

/// The kind of a coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coordinator {
    /// Of a consumer group.
    Group = 0,
    /// Of a transactional id.
    Transaction = 1,
}

/// A partition and the brokers that have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its topic.
    pub topic: String,
    /// Its number.
    pub number: i32,
    /// The broker that leads it; `None` while there is none.
    pub leader: Option<i32>,
    /// The brokers that have a replica; the first is the preferred leader.
    pub replicas: Vec<i32>,
    /// The replicas that are in sync.
    pub in_sync: Vec<i32>,
}

/// The brokers of one cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Each broker's number, from 1 on unless it is known to differ, and its address.
    brokers: Vec<(i32, String)>,
}

impl Cluster {
    /// The cluster whose brokers listen at `addresses` (`host:port`, comma separated), not those of
    /// a gate.
    pub fn at(addresses: &str) -> Self {
        Self { brokers: (1..).zip(addresses.split(',').map(str::to_owned)).collect() }
    }

    /// The same cluster, with the numbers that its brokers have for themselves. `clients` are the
    /// addresses at which the same brokers, in the same order, listen for clients.
    ///
    /// # Errors
    /// When no broker answers, or one of the addresses is advertised by none.
    pub async fn numbered_by(self, clients: &str) -> anyhow::Result<Self> {
        let request = MetadataRequest::default().with_topics(Some(Vec::new()));
        let answer = Self::at(clients).ask(9, &request).await?;
        let number = |address: &str| {
            // Host names may differ: brokers can advertise a name for this machine.
            let port = address.rsplit(':').next().and_then(|port| port.parse().ok());
            let found = answer.brokers.iter().find(|broker| Some(broker.port) == port);
            found.map(|broker| broker.node_id.0).with_context(|| format!("no broker is {address}"))
        };
        let numbers = clients.split(',').map(number).collect::<anyhow::Result<Vec<_>>>()?;
        let addresses = self.brokers.into_iter().map(|(_, address)| address);
        Ok(Self { brokers: numbers.into_iter().zip(addresses).collect() })
    }

    /// The position of broker `id` among the addresses, from 1 on.
    ///
    /// # Errors
    /// When it is no broker of this cluster.
    pub fn position(&self, id: i32) -> anyhow::Result<usize> {
        let found = self.brokers.iter().position(|(other, _)| *other == id);
        found.map(|index| index + 1).with_context(|| format!("no broker has the number {id}"))
    }

    /// The number of its brokers.
    pub fn brokers(&self) -> usize {
        self.brokers.len()
    }

    /// The same cluster without broker `id`, which is not asked.
    pub fn without(&self, id: i32) -> Self {
        Self { brokers: self.brokers.iter().filter(|(other, _)| *other != id).cloned().collect() }
    }

    /// Every partition of every topic, including internal ones.
    ///
    /// # Errors
    /// When no broker answers.
    pub async fn partitions(&self) -> anyhow::Result<Vec<Partition>> {
        let request =
            MetadataRequest::default().with_topics(None).with_allow_auto_topic_creation(false);
        let answer = self.ask(9, &request).await?;
        let ids = |ids: &[BrokerId]| ids.iter().map(|id| id.0).collect();
        let of_topic = answer.topics.iter().flat_map(|topic| {
            let name = topic.name.as_ref().map(|name| name.to_string()).unwrap_or_default();
            topic.partitions.iter().map(move |partition| Partition {
                topic: name.clone(),
                number: partition.partition_index,
                leader: Some(partition.leader_id.0).filter(|id| *id >= 0),
                replicas: ids(&partition.replica_nodes),
                in_sync: ids(&partition.isr_nodes),
            })
        });
        Ok(of_topic.collect())
    }

    /// The broker that leads the partition.
    ///
    /// # Errors
    /// When no broker answers, or the partition has no leader.
    pub async fn leader(&self, topic: &str, number: i32) -> anyhow::Result<i32> {
        let all = self.partitions().await?;
        let found = all.iter().find(|one| one.topic == topic && one.number == number);
        found.and_then(|one| one.leader).with_context(|| format!("{topic}[{number}] has no leader"))
    }

    /// The broker that coordinates the group or the transactional id `key`.
    ///
    /// # Errors
    /// When no broker knows it.
    pub async fn coordinator(&self, kind: Coordinator, key: &str) -> anyhow::Result<i32> {
        let request =
            FindCoordinatorRequest::default().with_key(text(key)).with_key_type(kind as i8);
        let answer = self.ask(3, &request).await?;
        check(answer.error_code).with_context(|| format!("finding the coordinator of {key}"))?;
        Ok(answer.node_id.0)
    }

    /// Waits until every replica of every partition is in sync.
    ///
    /// # Errors
    /// When that takes longer than `at_most`; names a partition that lacks one.
    pub async fn in_sync(&self, at_most: Duration) -> anyhow::Result<()> {
        self.wait_for("every replica to be in sync", at_most, |one| {
            one.in_sync.len() == one.replicas.len()
        })
        .await
    }

    async fn wait_for(
        &self,
        what: &str,
        at_most: Duration,
        holds: impl Fn(&Partition) -> bool,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let wrong = self.partitions().await?.into_iter().find(|one| !holds(one));
            let Some(wrong) = wrong else { return Ok(()) };
            if begun.elapsed() > at_most {
                bail!("waited {at_most:?} for {what}; still there: {wrong:?}");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

//! Moves the leaders of partitions, and gives them back to the preferred replicas.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::{AlterPartitionReassignmentsRequest, BrokerId, ElectLeadersRequest};

use super::ask::{ASK_MAX, check, name};
use super::{Cluster, Partition};

/// How long the cluster may take to move leaders.
const MOVE_MAX: Duration = Duration::from_secs(30);

/// The election type that makes the first replica the leader.
const PREFERRED: i8 = 0;

impl Cluster {
    /// Moves the leader of each partition of the topics that `chosen` names to its next replica.
    ///
    /// # Errors When the cluster refuses it, or a leader has not moved in time.
    pub async fn move_leaders(&self, chosen: impl Fn(&str) -> bool) -> anyhow::Result<()> {
        let mut partitions = self.partitions().await?;
        partitions.retain(|one| chosen(&one.topic) && one.replicas.len() > 1);
        ensure!(!partitions.is_empty(), "no partition is chosen that has more than one replica");
        for partition in &mut partitions {
            partition.replicas.rotate_left(1);
        }
        self.reassign(&partitions).await?;
        self.elect(&partitions).await?;
        let moved = |one: &Partition| {
            let wanted = partitions
                .iter()
                .find(|other| other.topic == one.topic && other.number == one.number);
            wanted.is_none_or(|wanted| one.leader == wanted.replicas.first().copied())
        };
        self.wait_for("leaders to move", MOVE_MAX, moved).await
    }

    /// Makes the first replica of each partition its leader.
    ///
    /// # Errors When that takes too long, for example because a broker does not run.
    pub async fn lead_as_preferred(&self) -> anyhow::Result<()> {
        let mut partitions = self.partitions().await?;
        partitions.retain(|one| one.leader != one.replicas.first().copied());
        if partitions.is_empty() {
            return Ok(());
        }
        self.elect(&partitions).await?;
        let preferred = |one: &Partition| one.leader == one.replicas.first().copied();
        self.wait_for("the preferred leaders", MOVE_MAX, preferred).await
    }

    async fn reassign(&self, partitions: &[Partition]) -> anyhow::Result<()> {
        let one = |partition: &&Partition| {
            let replicas = partition.replicas.iter().copied().map(BrokerId).collect();
            ReassignablePartition::default()
                .with_partition_index(partition.number)
                .with_replicas(Some(replicas))
        };
        let topics = by_topic(partitions).into_iter().map(|(topic, partitions)| {
            let partitions = partitions.iter().map(one).collect();
            ReassignableTopic::default().with_name(name(topic)).with_partitions(partitions)
        });
        let request = AlterPartitionReassignmentsRequest::default()
            .with_timeout_ms(i32::try_from(ASK_MAX.as_millis())?)
            .with_topics(topics.collect());
        let answer = self.ask(0, &request).await?;
        check(answer.error_code).context("changing the order of replicas")?;
        for topic in &answer.responses {
            for partition in &topic.partitions {
                let what = || {
                    format!(
                        "changing the order of the replicas of {}[{}]",
                        &**topic.name, partition.partition_index
                    )
                };
                check(partition.error_code).with_context(what)?;
            }
        }
        Ok(())
    }

    /// Asks for an election of the preferred leaders. The answer for a single partition is not
    /// checked: the caller waits until its leader has moved.
    async fn elect(&self, partitions: &[Partition]) -> anyhow::Result<()> {
        let topics = by_topic(partitions).into_iter().map(|(topic, partitions)| {
            let numbers = partitions.iter().map(|partition| partition.number).collect();
            TopicPartitions::default().with_topic(name(topic)).with_partitions(numbers)
        });
        let request = ElectLeadersRequest::default()
            .with_election_type(PREFERRED)
            .with_timeout_ms(i32::try_from(ASK_MAX.as_millis())?)
            .with_topic_partitions(Some(topics.collect()));
        check(self.ask(2, &request).await?.error_code).context("electing leaders")
    }
}

fn by_topic(partitions: &[Partition]) -> BTreeMap<&str, Vec<&Partition>> {
    let mut topics = BTreeMap::<_, Vec<_>>::new();
    for partition in partitions {
        topics.entry(&*partition.topic).or_default().push(partition);
    }
    topics
}

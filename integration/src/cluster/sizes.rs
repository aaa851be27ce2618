//! How much each topic holds: its offsets and its bytes on the leaders' disks.

use std::collections::BTreeMap;

use anyhow::Context as _;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, DescribeLogDirsRequest, ListOffsetsRequest};

use super::ask::{ask_one, check, name};
use super::{Cluster, Partition};

/// The timestamp that asks for a partition's end.
const LATEST: i64 = -1;
/// The id of who is no replica.
const NO_REPLICA: BrokerId = BrokerId(-1);

/// The size of a topic, over all partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TopicSize {
    /// The sum of the partitions' ends (high watermarks): every record that was ever written,
    /// transaction markers included.
    pub records: i64,
    /// The bytes of the segments that exist now, as they are stored: batches with their heads,
    /// compressed if their writer did so.
    pub bytes: i64,
}

impl Cluster {
    /// The size of every topic, including internal ones.
    ///
    /// # Errors
    /// When a broker that leads a partition does not answer.
    pub async fn topic_sizes(&self) -> anyhow::Result<BTreeMap<String, TopicSize>> {
        let partitions = self.partitions().await?;
        let mut sizes = BTreeMap::<String, TopicSize>::new();
        for (id, address) in &self.brokers {
            let led: Vec<_> = partitions.iter().filter(|one| one.leader == Some(*id)).collect();
            if led.is_empty() {
                continue;
            }
            for (topic, end) in ends(address, &led).await? {
                sizes.entry(topic).or_default().records += end;
            }
            // Without topics it asks for all.
            let request = DescribeLogDirsRequest::default().with_topics(None);
            let answer = ask_one(address, 3, &request).await?;
            check(answer.error_code).context("asking for the sizes of logs")?;
            for folder in answer.results {
                check(folder.error_code).context("asking for the sizes of logs")?;
                for topic in &folder.topics {
                    let name = topic.name.to_string();
                    let is_led =
                        |number| led.iter().any(|one| one.topic == name && one.number == number);
                    let of_led = topic.partitions.iter().filter(|one| is_led(one.partition_index));
                    sizes.entry(name.clone()).or_default().bytes +=
                        of_led.map(|one| one.partition_size).sum::<i64>();
                }
            }
        }
        Ok(sizes)
    }
}

/// The end of each of the partitions that the broker at `address` leads.
async fn ends(address: &str, led: &[&Partition]) -> anyhow::Result<Vec<(String, i64)>> {
    let mut topics = BTreeMap::<&str, Vec<ListOffsetsPartition>>::new();
    for one in led {
        let asked = ListOffsetsPartition::default().with_partition_index(one.number);
        topics.entry(&one.topic).or_default().push(asked.with_timestamp(LATEST));
    }
    let topics = topics.into_iter().map(|(topic, partitions)| {
        ListOffsetsTopic::default().with_name(name(topic)).with_partitions(partitions)
    });
    let request =
        ListOffsetsRequest::default().with_replica_id(NO_REPLICA).with_topics(topics.collect());
    let mut ends = Vec::new();
    for topic in ask_one(address, 5, &request).await?.topics {
        for partition in &topic.partitions {
            check(partition.error_code)
                .with_context(|| format!("asking for the end of {}", *topic.name))?;
            ends.push((topic.name.to_string(), partition.offset));
        }
    }
    Ok(ends)
}

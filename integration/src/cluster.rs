//! What an administrator does to a cluster and tests do to prove that clients survive it: find
//! leaders and coordinators, move them, change a topic's settings, and write a record with a
//! timestamp of one's own. It asks the brokers past the gate, since Redpanda has no ElectLeaders,
//! and it is no client: it reads no record and opens a connection for each question.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, BrokerId, DescribeConfigsRequest, ElectLeadersRequest,
    FindCoordinatorRequest, IncrementalAlterConfigsRequest, MetadataRequest, ProduceRequest,
    RequestHeader, TopicName,
};
use kafka_protocol::protocol::{Request, StrBytes};
use kafka_protocol::records::{
    Compression, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, Record,
    RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::gate::wire;

/// How long one broker may take to answer one question.
const ASK_MAX: Duration = Duration::from_secs(5);
/// How long the cluster may take until leaders stand where they were moved to.
const MOVE_MAX: Duration = Duration::from_secs(30);
/// Between two looks at what is waited for.
const PAUSE: Duration = Duration::from_millis(100);

/// The number of topics among the types of resources.
const TOPIC: i8 = 2;
/// The numbers of operations on settings.
const SET: i8 = 0;
const DELETE: i8 = 1;
/// Elects the first of the replicas.
const PREFERRED: i8 = 0;

/// Which kind of coordinator is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coordinator {
    /// A consumer group's.
    Group = 0,
    /// A transactional id's.
    Transaction = 1,
}

/// A partition and who has it.
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
    /// Those of them that are in sync.
    pub in_sync: Vec<i32>,
}

/// The brokers of one cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Each broker's number, from 1 on, and its address.
    brokers: Vec<(i32, String)>,
}

impl Cluster {
    /// The cluster whose brokers listen at `addresses` (`host:port`, comma separated), past any
    /// gate.
    pub fn at(addresses: &str) -> Self {
        Self { brokers: (1..).zip(addresses.split(',').map(str::to_owned)).collect() }
    }

    /// How many brokers it has.
    pub fn brokers(&self) -> usize {
        self.brokers.len()
    }

    /// The same cluster, asked through all brokers but that one.
    pub fn without(&self, id: i32) -> Self {
        Self { brokers: self.brokers.iter().filter(|(other, _)| *other != id).cloned().collect() }
    }

    /// Every partition of every topic, internal ones too.
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

    /// Moves the leader of each partition of the topics that `chosen` names to its next replica.
    ///
    /// # Errors
    /// When the cluster refuses it, or a leader is not where it was moved to in time.
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
    /// # Errors
    /// When that takes too long, since a broker is away, for example.
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

    /// The value that a setting of a topic has, be it set for the topic or for the brokers.
    ///
    /// # Errors
    /// When the cluster does not tell.
    pub async fn setting(&self, topic: &str, setting: &str) -> anyhow::Result<String> {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(text(topic))
            .with_configuration_keys(Some(vec![text(setting)]));
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        let answer = self.ask(4, &request).await?;
        let result = answer.results.first().context("the answer names no topic")?;
        check(result.error_code).with_context(|| format!("asking for {setting} of {topic}"))?;
        let value = result.configs.first().and_then(|config| config.value.as_ref());
        value.map(|value| value.to_string()).with_context(|| format!("{topic} has no {setting}"))
    }

    /// Sets the settings of a topic, or removes those that have no value.
    ///
    /// # Errors
    /// When the cluster refuses it.
    pub async fn configure(
        &self,
        topic: &str,
        settings: &[(&str, Option<&str>)],
    ) -> anyhow::Result<()> {
        let configs = settings.iter().map(|(name, value)| {
            AlterableConfig::default()
                .with_name(text(name))
                .with_config_operation(if value.is_some() { SET } else { DELETE })
                .with_value(value.map(text))
        });
        let resource = AlterConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(text(topic))
            .with_configs(configs.collect());
        let answer = self
            .ask(1, &IncrementalAlterConfigsRequest::default().with_resources(vec![resource]))
            .await?;
        for resource in &answer.responses {
            check(resource.error_code)
                .with_context(|| format!("setting {settings:?} of {topic}"))?;
        }
        Ok(())
    }

    /// Writes one record that claims to be of `timestamp_ms`, acknowledged by all replicas. Returns
    /// whether the broker has left it that time, and not stamped it with its own.
    ///
    /// # Errors
    /// When the partition's leader refuses it.
    pub async fn write(
        &self,
        topic: &str,
        partition: i32,
        record: &Given<'_>,
        timestamp_ms: i64,
    ) -> anyhow::Result<bool> {
        let batch = encode(record, timestamp_ms)?;
        let data = PartitionProduceData::default().with_index(partition).with_records(Some(batch));
        let data =
            TopicProduceData::default().with_name(name(topic)).with_partition_data(vec![data]);
        let timeout_ms = i32::try_from(ASK_MAX.as_millis())?;
        let request = ProduceRequest::default()
            .with_acks(-1)
            .with_timeout_ms(timeout_ms)
            .with_topic_data(vec![data]);
        let leader = self.leader(topic, partition).await?;
        let found = self.brokers.iter().find(|(id, _)| *id == leader);
        let (_, address) = found.context("the leader is no broker of the stack")?;
        let answer = ask_one(address, 7, &request).await?;
        let mut written = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
        let written = written.next().context("the answer names no partition")?;
        check(written.error_code).with_context(|| format!("writing to {topic}[{partition}]"))?;
        Ok(written.log_append_time_ms < 0)
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
        check(answer.error_code).context("ordering replicas anew")?;
        for topic in &answer.responses {
            for partition in &topic.partitions {
                let place = || {
                    format!(
                        "ordering the replicas of {}[{}]",
                        &**topic.name, partition.partition_index
                    )
                };
                check(partition.error_code).with_context(place)?;
            }
        }
        Ok(())
    }

    /// Has the preferred leaders elected. A partition that can't have its own now is left to
    /// whoever waits for it.
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

    /// Asks one broker after the other until one answers.
    async fn ask<T: Request>(&self, version: i16, request: &T) -> anyhow::Result<T::Response> {
        let mut failed = anyhow::anyhow!("the cluster has no brokers");
        for (_, address) in &self.brokers {
            match ask_one(address, version, request).await {
                Ok(answer) => return Ok(answer),
                Err(error) => failed = error,
            }
        }
        Err(failed.context("no broker answers"))
    }
}

/// A record that is to be written.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// Its key.
    pub key: &'a str,
    /// Its value.
    pub value: &'a [u8],
    /// Its headers.
    pub headers: &'a [(String, Vec<u8>)],
}

async fn ask_one<T: Request>(
    address: &str,
    version: i16,
    request: &T,
) -> anyhow::Result<T::Response> {
    let asking = async {
        let mut stream = TcpStream::connect(address).await?;
        let header = RequestHeader::default()
            .with_request_api_key(T::KEY)
            .with_request_api_version(version)
            .with_client_id(Some(text("millrace-cluster")));
        stream
            .write_all(&wire::frame(&header, T::header_version(version), request, version)?)
            .await?;
        let answer = wire::read(&mut stream).await?.context("the connection was closed")?;
        wire::read_response(version, &answer)
    };
    let asked = tokio::time::timeout(ASK_MAX, asking).await;
    asked
        .with_context(|| format!("{address} does not answer"))?
        .with_context(|| format!("asking {address}"))
}

fn encode(record: &Given<'_>, timestamp_ms: i64) -> anyhow::Result<Bytes> {
    let header = |(name, value): &(String, Vec<u8>)| (text(name), Some(Bytes::from(value.clone())));
    let record = Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
        producer_id: NO_PRODUCER_ID,
        producer_epoch: NO_PRODUCER_EPOCH,
        timestamp_type: TimestampType::Creation,
        offset: 0,
        sequence: NO_SEQUENCE,
        timestamp: timestamp_ms,
        key: Some(Bytes::copy_from_slice(record.key.as_bytes())),
        value: Some(Bytes::copy_from_slice(record.value)),
        headers: record.headers.iter().map(header).collect(),
    };
    let mut batch = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut batch, &[record], &options)?;
    Ok(batch.freeze())
}

fn by_topic(partitions: &[Partition]) -> BTreeMap<&str, Vec<&Partition>> {
    let mut topics = BTreeMap::<_, Vec<_>>::new();
    for partition in partitions {
        topics.entry(&*partition.topic).or_default().push(partition);
    }
    topics
}

fn check(code: i16) -> anyhow::Result<()> {
    match ResponseError::try_from_code(code) {
        None => Ok(()),
        Some(error) => bail!("{error}"),
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn name(topic: &str) -> TopicName {
    TopicName(text(topic))
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::metadata_response::{
        MetadataResponsePartition, MetadataResponseTopic,
    };
    use kafka_protocol::messages::{ApiKey, MetadataResponse};
    use kafka_protocol::records::RecordBatchDecoder;
    use tokio::net::TcpListener;

    use super::*;
    use crate::gate::Request as Asked;

    /// Answers one question about metadata with one partition.
    async fn broker(leader: i32) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its number").to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let frame = wire::read(&mut stream).await.expect("a request").expect("a frame");
            let asked = Asked::of(frame).expect("a header");
            assert!(asked.is(ApiKey::Metadata));
            let partition = MetadataResponsePartition::default()
                .with_partition_index(2)
                .with_leader_id(BrokerId(leader))
                .with_replica_nodes([1, 2, 3].map(BrokerId).to_vec())
                .with_isr_nodes([1, 3].map(BrokerId).to_vec());
            let topic = MetadataResponseTopic::default()
                .with_name(Some(name("order.events")))
                .with_partitions(vec![partition]);
            let answer = asked.response(&MetadataResponse::default().with_topics(vec![topic]));
            stream.write_all(&answer.expect("an answer")).await.expect("the client reads");
        });
        address
    }

    #[tokio::test]
    async fn leader_is_told_by_the_first_broker_that_answers() {
        let cluster = Cluster::at(&format!("127.0.0.1:1,{}", broker(3).await));
        assert_eq!(cluster.leader("order.events", 2).await.expect("a leader"), 3);
    }

    #[tokio::test]
    async fn partition_without_a_leader_is_an_error_that_names_it() {
        let cluster = Cluster::at(&broker(-1).await);
        let error = cluster.leader("order.events", 2).await.expect_err("there is none").to_string();
        assert!(error.contains("order.events[2]"), "{error}");
    }

    #[tokio::test]
    async fn replica_that_is_not_in_sync_in_time_is_named() {
        let cluster = Cluster::at(&broker(1).await);
        let error = cluster.in_sync(Duration::ZERO).await.expect_err("one is missing").to_string();
        assert!(error.contains("in_sync: [1, 3]"), "{error}");
    }

    #[test]
    fn record_keeps_its_timestamp_and_headers() {
        let headers = [("ce_id".to_owned(), b"7".to_vec())];
        let given = Given { key: "order-1", value: b"value", headers: &headers };
        let batch = encode(&given, 4_102_444_800_000).expect("a batch");
        let read = RecordBatchDecoder::decode(&mut batch.clone()).expect("records");
        let [record] = &read.records[..] else { panic!("not one record: {read:?}") };
        assert_eq!(record.timestamp, 4_102_444_800_000);
        assert_eq!(
            (record.key.as_deref(), record.value.as_deref()),
            (Some(&b"order-1"[..]), Some(&b"value"[..]))
        );
        assert_eq!(record.headers[&text("ce_id")].as_deref(), Some(&b"7"[..]));
    }
}

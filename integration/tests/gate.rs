//! The gate on a real broker: requests as clients send them, and what Redpanda's rules make of
//! them. Run under `stack run`, as integration/test does; `--servers-only` is enough. Topics,
//! groups and transactional ids are of each test's own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use integration::gate::Request;
use integration::stack::Control;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, ApiKey, CreateTopicsRequest,
    CreateTopicsResponse, EndTxnRequest, EndTxnResponse, FindCoordinatorRequest,
    FindCoordinatorResponse, GroupId, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, InitProducerIdRequest, InitProducerIdResponse,
    JoinGroupRequest, JoinGroupResponse, MetadataRequest, MetadataResponse, ProducerId,
    RequestHeader, TopicName, TransactionalId, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};

const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);
const TIMEOUT_MS: i32 = 10_000;

fn brokers() -> String {
    std::env::var("MILLRACE_BROKERS")
        .expect("MILLRACE_BROKERS is not set: run this under `stack run`")
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn unique(what: &str) -> String {
    format!("gate-{what}-{}", uuid::Uuid::new_v4())
}

/// A connection to the broker.
struct Client(TcpStream);

impl Client {
    fn connect() -> Self {
        let stream = TcpStream::connect(brokers()).expect("the gate listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self(stream)
    }

    fn ask<Q, A>(&mut self, api: ApiKey, version: i16, body: &Q) -> std::io::Result<A>
    where
        Q: Encodable + HeaderVersion,
        A: Decodable + HeaderVersion,
    {
        let header = RequestHeader::default()
            .with_request_api_key(api as i16)
            .with_request_api_version(version)
            .with_correlation_id(1);
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        header.encode(&mut frame, Q::header_version(version)).expect("a header");
        body.encode(&mut frame, version).expect("a body");
        let length = u32::try_from(frame.len() - 4).expect("a short request");
        frame[..4].copy_from_slice(&length.to_be_bytes());
        let request = Request::of(frame.freeze()).expect("a request");
        self.0.write_all(&request.frame())?;

        let mut length = [0; 4];
        self.0.read_exact(&mut length)?;
        let mut response = BytesMut::from(&length[..]);
        response.resize(4 + length.as_ref().get_u32() as usize, 0);
        self.0.read_exact(&mut response[4..])?;
        let response: Bytes = response.freeze();
        Ok(request.read_response(&response).expect("a response"))
    }
}

/// Asks until the broker is ready to answer without this error.
fn when_ready<A>(mut ask: impl FnMut() -> A, error: impl Fn(&A) -> i16) -> A {
    let since = Instant::now();
    loop {
        let answer = ask();
        let retriable =
            ResponseError::try_from_code(error(&answer)).is_some_and(|code| code.is_retriable());
        if !retriable {
            return answer;
        }
        assert!(since.elapsed() < PATIENCE, "still {:?}", error(&answer));
        std::thread::sleep(PAUSE);
    }
}

fn create_topic(client: &mut Client, name: &str, settings: &[(&str, &str)]) -> i16 {
    let config = |(name, value): &(&str, &str)| {
        CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)))
    };
    let topic = CreatableTopic::default()
        .with_name(TopicName(text(name)))
        .with_num_partitions(1)
        .with_replication_factor(1)
        .with_configs(settings.iter().map(config).collect());
    let body = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(TIMEOUT_MS);
    let response: CreateTopicsResponse =
        client.ask(ApiKey::CreateTopics, 6, &body).expect("the broker answers");
    response.topics[0].error_code
}

/// A transactional producer that commits offsets of a group without members.
struct Producer {
    client: Client,
    transactional_id: TransactionalId,
    group: GroupId,
    topic: TopicName,
    id: ProducerId,
    epoch: i16,
}

impl Producer {
    fn init(transaction_timeout_ms: i32) -> Result<Self, i16> {
        let mut client = Client::connect();
        let (transactional_id, group, topic) = (unique("id"), unique("group"), unique("topic"));
        assert_eq!(create_topic(&mut client, &topic, &[]), 0);
        for (kind, key) in [(0, &group), (1, &transactional_id)] {
            let body = FindCoordinatorRequest::default().with_key_type(kind).with_key(text(key));
            let find = || -> FindCoordinatorResponse {
                client.ask(ApiKey::FindCoordinator, 3, &body).expect("the broker answers")
            };
            assert_eq!(when_ready(find, |response| response.error_code).error_code, 0);
        }
        let transactional_id = TransactionalId(text(&transactional_id));
        let body = InitProducerIdRequest::default()
            .with_transactional_id(Some(transactional_id.clone()))
            .with_transaction_timeout_ms(transaction_timeout_ms)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        let init = || -> InitProducerIdResponse {
            client.ask(ApiKey::InitProducerId, 3, &body).expect("the broker answers")
        };
        let response = when_ready(init, |response| response.error_code);
        if response.error_code != 0 {
            return Err(response.error_code);
        }
        let (group, topic) = (GroupId(text(&group)), TopicName(text(&topic)));
        let (id, epoch) = (response.producer_id, response.producer_epoch);
        Ok(Self { client, transactional_id, group, topic, id, epoch })
    }

    fn add_offsets(&mut self) -> i16 {
        let body = AddOffsetsToTxnRequest::default()
            .with_transactional_id(self.transactional_id.clone())
            .with_producer_id(self.id)
            .with_producer_epoch(self.epoch)
            .with_group_id(self.group.clone());
        let response: AddOffsetsToTxnResponse =
            self.client.ask(ApiKey::AddOffsetsToTxn, 1, &body).expect("the broker answers");
        response.error_code
    }

    fn commit_offsets(&mut self) -> i16 {
        let partition = TxnOffsetCommitRequestPartition::default().with_committed_offset(1);
        let topic = TxnOffsetCommitRequestTopic::default()
            .with_name(self.topic.clone())
            .with_partitions(vec![partition]);
        let body = TxnOffsetCommitRequest::default()
            .with_transactional_id(self.transactional_id.clone())
            .with_group_id(self.group.clone())
            .with_producer_id(self.id)
            .with_producer_epoch(self.epoch)
            .with_generation_id(-1)
            .with_topics(vec![topic]);
        let client = &mut self.client;
        let commit = || -> TxnOffsetCommitResponse {
            client.ask(ApiKey::TxnOffsetCommit, 3, &body).expect("the broker answers")
        };
        let error =
            |response: &TxnOffsetCommitResponse| response.topics[0].partitions[0].error_code;
        error(&when_ready(commit, error))
    }

    fn end(&mut self, committed: bool) -> i16 {
        let body = EndTxnRequest::default()
            .with_transactional_id(self.transactional_id.clone())
            .with_producer_id(self.id)
            .with_producer_epoch(self.epoch)
            .with_committed(committed);
        let response: EndTxnResponse =
            self.client.ask(ApiKey::EndTxn, 3, &body).expect("the broker answers");
        response.error_code
    }
}

#[test]
#[ignore = "needs the stack"]
fn offsets_sent_twice_in_a_transaction_are_refused_and_the_next_transaction_waits_for_its_end() {
    let mut producer = Producer::init(TIMEOUT_MS).expect("a producer");
    assert_eq!(producer.add_offsets(), 0);
    assert_eq!(producer.add_offsets(), 0, "it is idempotent until offsets are staged");
    assert_eq!(producer.commit_offsets(), 0);
    assert_eq!(producer.add_offsets(), ResponseError::UnknownServerError.code());
    assert_eq!(producer.end(false), 0);

    // Kafka alone answers CONCURRENT_TRANSACTIONS now and then.
    for committed in [true, false, true, true] {
        assert_eq!(producer.add_offsets(), 0);
        assert_eq!(producer.commit_offsets(), 0);
        assert_eq!(producer.end(committed), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the stack"]
async fn broker_that_is_killed_closes_connections_and_staged_offsets_are_remembered() {
    let stack = Control::from_env().expect("a stack");
    let mut producer = Producer::init(TIMEOUT_MS * 3).expect("a producer");
    assert_eq!(producer.add_offsets(), 0);
    assert_eq!(producer.commit_offsets(), 0);

    stack.kill("broker").await.expect("it is killed");
    let body = MetadataRequest::default();
    let answer: std::io::Result<MetadataResponse> = producer.client.ask(ApiKey::Metadata, 8, &body);
    assert!(answer.is_err(), "the connection of a dead broker answers");
    let answer: std::io::Result<MetadataResponse> =
        Client::connect().ask(ApiKey::Metadata, 8, &body);
    assert!(answer.is_err(), "a dead broker answers");
    stack.start("broker").await.expect("it is started");
    stack.wait("broker", PATIENCE).await.expect("it is back");

    producer.client = Client::connect();
    assert_eq!(producer.add_offsets(), ResponseError::UnknownServerError.code());
    let since = Instant::now();
    while producer.end(true) != 0 {
        assert!(since.elapsed() < PATIENCE, "the transaction does not end");
        std::thread::sleep(PAUSE);
    }
    assert_eq!(producer.add_offsets(), 0);
    assert_eq!(producer.end(false), 0);
}

#[test]
#[ignore = "needs the stack"]
fn transaction_timeout_above_that_of_broker_yaml_is_refused() {
    let refused = Producer::init(60_001).err();
    assert_eq!(refused, Some(ResponseError::InvalidTransactionTimeout.code()));
    assert!(Producer::init(60_000).is_ok());
}

#[test]
#[ignore = "needs the stack"]
fn session_timeout_outside_of_the_bounds_of_broker_yaml_is_refused() {
    let body = JoinGroupRequest::default().with_group_id(GroupId(text(&unique("group"))));
    let body = body.with_session_timeout_ms(300_001).with_protocol_type(text("consumer"));
    let response: JoinGroupResponse =
        Client::connect().ask(ApiKey::JoinGroup, 5, &body).expect("the gate answers");
    assert_eq!(response.error_code, ResponseError::InvalidSessionTimeout.code());
}

#[test]
#[ignore = "needs the stack"]
fn topic_setting_that_redpanda_lacks_is_ignored_at_creation_and_refused_at_alteration() {
    let mut client = Client::connect();
    let name = unique("topic");
    // Kafka alone would refuse both.
    assert_eq!(
        create_topic(&mut client, &name, &[("no.such", "1"), ("write.caching", "false")]),
        0
    );

    let mut alter = |setting: &str, value: &str| {
        let config =
            AlterableConfig::default().with_name(text(setting)).with_value(Some(text(value)));
        let resource = AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text(&name))
            .with_configs(vec![config]);
        let body = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let response: IncrementalAlterConfigsResponse =
            client.ask(ApiKey::IncrementalAlterConfigs, 1, &body).expect("the broker answers");
        response.responses[0].error_code
    };
    // Kafka has it, Redpanda does not.
    assert_eq!(alter("remote.storage.enable", "false"), ResponseError::InvalidConfig.code());
    assert_eq!(alter("min.insync.replicas", "1"), 0);
    assert_eq!(alter("retention.ms", "60000"), 0);
}

#[test]
#[ignore = "needs the stack"]
fn request_of_a_version_that_redpanda_lacks_closes_the_connection() {
    let body = MetadataRequest::default();
    let answer: std::io::Result<MetadataResponse> =
        Client::connect().ask(ApiKey::Metadata, 13, &body);
    assert!(answer.is_err(), "Kafka has the version, Redpanda does not: {answer:?}");
}

#[test]
#[ignore = "needs the stack"]
fn librdkafka_negotiates_what_it_would_negotiate_with_redpanda() {
    let mut kcat = Command::new("kcat");
    let output = kcat.args(["-b", &brokers(), "-X", "debug=feature", "-L", "-m", "10"]).output();
    let output = output.expect("kcat runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    for api in ["ApiKey Produce (0) Versions 0..7", "ApiKey EndTxn (26) Versions 0..3"] {
        assert!(said.contains(api), "{api} is missing:\n{said}");
    }
}

//! A client that sends single requests of Kafka's protocol, and a transactional producer made of
//! them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use integration::gate::Request;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, ApiKey, CreateTopicsRequest,
    CreateTopicsResponse, EndTxnRequest, EndTxnResponse, FindCoordinatorRequest,
    FindCoordinatorResponse, GroupId, InitProducerIdRequest, InitProducerIdResponse, ProducerId,
    RequestHeader, TopicName, TransactionalId, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};

pub(crate) const WAIT_MAX: Duration = Duration::from_secs(60);

pub(crate) const PAUSE: Duration = Duration::from_millis(50);

pub(crate) const TIMEOUT_MS: i32 = 10_000;

pub(crate) fn brokers() -> String {
    std::env::var("MILLRACE_BROKERS")
        .expect("MILLRACE_BROKERS is not set: run this under `stack run`")
}

pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(crate) fn unique(what: &str) -> String {
    format!("gate-{what}-{}", uuid::Uuid::new_v4())
}

/// A connection to the broker.
pub(crate) struct Client(TcpStream);

impl Client {
    pub(crate) fn connect() -> Self {
        let stream = TcpStream::connect(brokers()).expect("the gate listens");
        stream.set_read_timeout(Some(WAIT_MAX)).expect("a timeout");
        Self(stream)
    }

    pub(crate) fn ask<Q, A>(&mut self, api: ApiKey, version: i16, body: &Q) -> std::io::Result<A>
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

/// Repeats a request until the broker answers without a retriable error.
fn when_ready<A>(mut ask: impl FnMut() -> A, error: impl Fn(&A) -> i16) -> A {
    let since = Instant::now();
    loop {
        let answer = ask();
        let retriable =
            ResponseError::try_from_code(error(&answer)).is_some_and(|code| code.is_retriable());
        if !retriable {
            return answer;
        }
        assert!(since.elapsed() < WAIT_MAX, "still {:?}", error(&answer));
        std::thread::sleep(PAUSE);
    }
}

pub(crate) fn create_topic(client: &mut Client, name: &str, settings: &[(&str, &str)]) -> i16 {
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
pub(crate) struct Producer {
    pub(crate) client: Client,
    transactional_id: TransactionalId,
    pub(crate) group: GroupId,
    pub(crate) topic: TopicName,
    id: ProducerId,
    epoch: i16,
}

impl Producer {
    pub(crate) fn init(transaction_timeout_ms: i32) -> Result<Self, i16> {
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

    pub(crate) fn add_offsets(&mut self) -> i16 {
        let body = AddOffsetsToTxnRequest::default()
            .with_transactional_id(self.transactional_id.clone())
            .with_producer_id(self.id)
            .with_producer_epoch(self.epoch)
            .with_group_id(self.group.clone());
        let response: AddOffsetsToTxnResponse =
            self.client.ask(ApiKey::AddOffsetsToTxn, 1, &body).expect("the broker answers");
        response.error_code
    }

    pub(crate) fn commit_offsets(&mut self) -> i16 {
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

    pub(crate) fn end(&mut self, committed: bool) -> i16 {
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

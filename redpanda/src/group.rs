//! A member of a consumer group on librdkafka: what sessions and readers have in common.
//!
//! It reads what is committed, from where it is told to, and commits nothing by itself. Assignments
//! are acknowledged empty: nothing is fetched before [`GroupConsumer::fetch_from`].

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, ClientContext, Message as _, Offset, Statistics, TopicPartitionList,
    config::FromClientConfigAndContext,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
    message::BorrowedMessage,
    types::RDKafkaRespErr,
};

use crate::arena::Arena;
use crate::brokers::Brokers;
use crate::log::{Headers, LogError, Membership, Record, Topic, TopicPartition};
use crate::planted::Reading;
use crate::raw;
use crate::restore::{Alone, RestoreReader};

/// How long a question to the broker may take.
pub(crate) const ASK: Duration = Duration::from_secs(5);

/// How long the partitions that were read before may take to stop.
pub(crate) const SETTLE: Duration = Duration::from_secs(5);

/// Waits for the transaction in flight, if there is one, before partitions are let go.
pub(crate) type BeforeRevoke = Box<dyn Fn() + Send + Sync>;

pub(crate) struct Context {
    inputs: Vec<Topic>,
    news: Mutex<VecDeque<Membership>>,
    lag: Mutex<Vec<(TopicPartition, i64)>>,
    /// When a broker was last heard from, as of the last statistics.
    heard: Mutex<Instant>,
    before_revoke: BeforeRevoke,
}

impl Context {
    fn news(&self) -> MutexGuard<'_, VecDeque<Membership>> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lag(&self) -> MutexGuard<'_, Vec<(TopicPartition, i64)>> {
        self.lag.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The partition numbers of which every input topic is in `list`.
    fn tasks(&self, list: &TopicPartitionList) -> Vec<i32> {
        let mut found = BTreeMap::<i32, usize>::new();
        for element in list.elements() {
            *found.entry(element.partition()).or_default() += 1;
        }
        for (partition, topics) in &found {
            if *topics != self.inputs.len() {
                tracing::error!(
                    partition,
                    topics,
                    expected = self.inputs.len(),
                    "not all input topics have this partition: they must have one partition count"
                );
            }
        }
        found
            .into_iter()
            .filter(|(_, topics)| *topics == self.inputs.len())
            .map(|(task, _)| task)
            .collect()
    }
}

impl ClientContext for Context {
    /// What was fetched last may be the mark of a transaction, which is given to nobody: so this
    /// counts from where librdkafka has fetched to, not from the last record that was seen.
    fn stats(&self, statistics: Statistics) {
        let of_topic = |topic: &Topic| {
            let partitions = statistics.topics.get(&**topic).map(|found| found.partitions.values());
            let lag = partitions
                .into_iter()
                .flatten()
                .filter(|found| found.next_offset >= 0 && found.ls_offset >= 0)
                .map(|found| {
                    let place = TopicPartition { topic: topic.clone(), partition: found.partition };
                    (place, found.fetchq_cnt + (found.ls_offset - found.next_offset).max(0))
                });
            lag.collect::<Vec<_>>()
        };
        let idle =
            statistics.brokers.values().map(|broker| broker.rxidle).filter(|idle| *idle >= 0).min();
        let idle = idle.map(|microseconds| Duration::from_micros(microseconds.unsigned_abs()));
        if let Some(heard) = idle.and_then(|idle| Instant::now().checked_sub(idle)) {
            *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = heard;
        }
        *self.lag() = self.inputs.iter().flat_map(of_topic).collect();
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tell(&error, reason);
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        if consumer.closed() {
            // The group's part of the client has ended: an answer to what was still queued would
            // wait for ever.
            return;
        }
        let tasks = self.tasks(list);
        let (news, answered) = match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                (Membership::Assigned(tasks), consumer.assign(&TopicPartitionList::new()))
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                crate::fault::place("in-rebalance");
                (self.before_revoke)();
                let news = match consumer.assignment_lost() {
                    true => Membership::Lost(tasks),
                    false => Membership::Revoked(tasks),
                };
                (news, consumer.unassign())
            }
            _ => (Membership::Lost(tasks), consumer.unassign()),
        };
        if let Err(error) = answered {
            tracing::error!(?news, %error, "an assignment could not be acknowledged");
        }
        self.news().push_back(news);
    }
}

/// A client of which the last owner does not wait for its end.
///
/// Closing one serves what is still queued, and an answer to an assignment that comes in between
/// can wait for ever. A worker that rebuilds must not: a thread does the closing, and at worst it
/// is the thread that is lost.
struct Closing(Option<Arc<BaseConsumer<Context>>>);

impl Deref for Closing {
    type Target = Arc<BaseConsumer<Context>>;

    fn deref(&self) -> &Self::Target {
        match &self.0 {
            Some(consumer) => consumer,
            None => unreachable!("it is taken when it is dropped"),
        }
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        let consumer = self.0.take();
        // Without a thread it is closed here.
        drop(std::thread::Builder::new().name("close".to_owned()).spawn(move || drop(consumer)));
    }
}

/// A member of a group.
pub(crate) struct GroupConsumer {
    consumer: Closing,
    /// Asks for high watermarks: what is not committed yet counts too. Rarely needed, so it goes
    /// when there is nothing to read.
    edges: Option<Arc<BaseConsumer>>,
    brokers: Brokers,
    group: String,
    copier: Copier,
    /// What was fetched from last.
    positions: Vec<(TopicPartition, i64)>,
    reading: Reading,
}

impl GroupConsumer {
    /// Joins `group` to read `inputs`. `extra` are settings beside those that every reader has.
    pub(crate) fn join(
        brokers: &Brokers,
        group: &str,
        inputs: &[Topic],
        extra: &[(&str, &str)],
        before_revoke: BeforeRevoke,
    ) -> Result<Self, LogError> {
        let doing = || format!("joining group {group}");
        let mut config = read_committed(brokers, group);
        config.set("isolation.level", Reading::isolation());
        for (name, value) in extra {
            config.set(*name, *value);
        }
        let context = Context {
            inputs: inputs.to_vec(),
            news: Mutex::default(),
            lag: Mutex::default(),
            heard: Mutex::new(Instant::now()),
            before_revoke,
        };
        let consumer = BaseConsumer::from_config_and_context(&config, context)
            .map_err(|e| fatal(doing(), &e))?;
        let names: Vec<&str> = inputs.iter().map(|topic| &**topic).collect();
        consumer.subscribe(&names).map_err(|e| fatal(doing(), &e))?;
        Ok(Self {
            consumer: Closing(Some(Arc::new(consumer))),
            edges: None,
            brokers: brokers.clone(),
            group: group.to_owned(),
            copier: Copier { topics: inputs.to_vec(), arena: Arena::default() },
            positions: Vec::new(),
            reading: Reading::default(),
        })
    }

    /// The client, to ask for the group's metadata.
    pub(crate) fn client(&self) -> Arc<BaseConsumer<Context>> {
        Arc::clone(&self.consumer)
    }

    pub(crate) fn poll(
        &mut self,
        timeout: Duration,
        max: usize,
        out: &mut Vec<Record>,
    ) -> Result<(), LogError> {
        let (mut wait, before, until) = (timeout, out.len(), Instant::now() + timeout);
        while out.len() - before < max && self.consumer.context().news().is_empty() {
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => out.push(self.copier.record(&message)),
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                // librdkafka is at it already. There may be hundreds of these after the broker was
                // away.
                Some(Err(error)) if is_passing(&error) => {
                    if out.len() == before {
                        wait = until.saturating_duration_since(Instant::now());
                        continue;
                    }
                }
                Some(Err(error)) if is_out_of_range(&error) => {
                    return Err(self
                        .out_of_range()
                        .unwrap_or_else(|| consumption(&self.group, &error)));
                }
                Some(Err(error)) => return Err(consumption(&self.group, &error)),
            }
            wait = Duration::ZERO;
        }
        self.reading.spoil(&self.brokers, out, before)?;
        match out.len() > before {
            true => crate::fault::place("after-poll"),
            false if timeout.is_zero() => {}
            false => self.edges = None,
        }
        Ok(())
    }

    /// Which position the log does not keep: the client's error does not say.
    fn out_of_range(&mut self) -> Option<LogError> {
        let read = self.consumer.position().ok()?;
        self.positions.clone().into_iter().find_map(|(partition, from)| {
            let offset = match read.find_partition(&partition.topic, partition.partition)?.offset()
            {
                Offset::Offset(offset) => offset,
                _ => from,
            };
            let (beginning, end) = self.watermarks(&partition).ok()?;
            let outside = !(beginning..=end).contains(&offset);
            outside.then_some(LogError::OutOfRange { partition, offset, beginning, end })
        })
    }

    pub(crate) fn membership(&mut self) -> Option<Membership> {
        self.consumer.context().news().pop_front()
    }

    pub(crate) fn fetch_from(
        &mut self,
        positions: &[(TopicPartition, i64)],
    ) -> Result<(), LogError> {
        let doing = || format!("setting the positions of group {}", self.group);
        let mut list = TopicPartitionList::with_capacity(positions.len());
        for (place, offset) in positions {
            list.add_partition_offset(&place.topic, place.partition, Offset::Offset(*offset))
                .map_err(|e| fatal(doing(), &e))?;
        }
        self.consumer.assign(&list).map_err(|e| fatal(doing(), &e))?;
        self.reading.forget();
        let before = std::mem::replace(&mut self.positions, positions.to_vec());
        // Until they have stopped, records from before the change may still come, which would look
        // like a gap that was skipped.
        self.settle(before).map_err(|e| fatal(doing(), &e))
    }

    /// librdkafka moves its position also past the marks of transactions
    /// (`rd_kafka_op_handle_std`), in the order of what is polled. A stop and a seek make it
    /// unknown, and [`GroupConsumer::settle`] has waited for both.
    pub(crate) fn positions(&self) -> Vec<(TopicPartition, i64)> {
        let Ok(read) = self.consumer.position() else { return Vec::new() };
        let position = |(place, from): &(TopicPartition, i64)| match read
            .find_partition(&place.topic, place.partition)?
            .offset()
        {
            Offset::Offset(next) if next >= *from => Some((place.clone(), next)),
            _ => None,
        };
        self.positions.iter().filter_map(position).collect()
    }

    /// Waits until what was read `before` has stopped. librdkafka keeps no note of a stop that is
    /// under way: another change of the assignment before its answer stops the same partition
    /// twice, and an assertion ends the process (confluentinc/librdkafka#5573). A seek waits behind
    /// the stop, so its answer, whichever, says that the stop is done.
    fn settle(&self, before: Vec<(TopicPartition, i64)>) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::with_capacity(before.len());
        for (place, was) in before {
            // One that goes on is on its way to its new position, and a seek to there changes
            // nothing.
            let now = self
                .positions
                .iter()
                .find(|(other, _)| *other == place)
                .map_or(was, |(_, now)| *now);
            drop(list.add_partition_offset(&place.topic, place.partition, Offset::Offset(now)));
        }
        if list.count() > 0 {
            // What it says of a single partition does not matter: it has answered.
            self.consumer.seek_partitions(list, SETTLE)?;
        }
        Ok(())
    }

    pub(crate) fn watermarks(&mut self, place: &TopicPartition) -> Result<(i64, i64), LogError> {
        watermarks(&*self.edges()?, place)
    }

    fn edges(&mut self) -> Result<Arc<BaseConsumer>, LogError> {
        if let Some(edges) = &self.edges {
            return Ok(edges.clone());
        }
        let edges: BaseConsumer = config_for(&self.brokers, &format!("{}.edges", self.group))
            .set("isolation.level", "read_uncommitted")
            .create()
            .map_err(|e| fatal("asking for watermarks".to_owned(), &e))?;
        Ok(self.edges.insert(Arc::new(edges)).clone())
    }

    pub(crate) fn silence(&self) -> Duration {
        self.consumer.context().heard.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    pub(crate) fn lag(&mut self) -> Vec<(TopicPartition, i64)> {
        std::mem::take(&mut *self.consumer.context().lag())
    }

    pub(crate) fn committed(
        &mut self,
        places: &[TopicPartition],
    ) -> Result<Vec<Option<i64>>, LogError> {
        committed(&**self.consumer, &self.group, places)
    }

    /// Begins to read what a task starts from, with clients of its own.
    pub(crate) fn restore(
        &mut self,
        changelog: &TopicPartition,
        inputs: &[TopicPartition],
    ) -> Result<RestoreReader, LogError> {
        let (consumer, edges) = self.alone()?;
        RestoreReader::begin(consumer, edges, &self.group, changelog, inputs)
    }

    /// Clients apart from the group: one reads committed records, the other sees uncommitted ones
    /// too.
    pub(crate) fn alone(&mut self) -> Result<(BaseConsumer<Alone>, Arc<BaseConsumer>), LogError> {
        let consumer = read_committed(&self.brokers, &self.group)
            .set("enable.partition.eof", "true")
            // The mark of the last transaction is behind the last record: only an empty answer
            // tells of it.
            .set("fetch.wait.max.ms", "10")
            .create_with_context(Alone)
            .map_err(|e| fatal("making a reader apart from the group".to_owned(), &e))?;
        Ok((consumer, self.edges()?))
    }
}

/// The first offset kept and the high watermark of a partition; with a client that reads committed
/// records, the last stable offset.
pub(crate) fn watermarks<C: ConsumerContext>(
    edges: &BaseConsumer<C>,
    place: &TopicPartition,
) -> Result<(i64, i64), LogError> {
    edges
        .fetch_watermarks(&place.topic, place.partition, ASK)
        .map_err(|e| retriable(format!("asking for the watermarks of {place}"), &e))
}

/// What `group` has committed, as stable: offsets of an open transaction are waited for. The client
/// reads committed records.
pub(crate) fn committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    group: &str,
    places: &[TopicPartition],
) -> Result<Vec<Option<i64>>, LogError> {
    let doing = || format!("asking for the committed offsets of group {group}");
    let mut list = TopicPartitionList::with_capacity(places.len());
    for place in places {
        list.add_partition(&place.topic, place.partition);
    }
    let answer = consumer.committed_offsets(list, ASK).map_err(|e| retriable(doing(), &e))?;
    let offset = |place: &TopicPartition| {
        let element = answer.find_partition(&place.topic, place.partition)?;
        match (element.error(), element.offset()) {
            (Err(error), _) => Some(Err(retriable(doing(), &error))),
            (Ok(()), Offset::Offset(offset)) => Some(Ok(offset)),
            (Ok(()), _) => None,
        }
    };
    places.iter().map(|place| offset(place).transpose()).collect()
}

/// The longest wait of a fetch that finds nothing. Redpanda wakes a reader of committed records
/// when a commit marker is appended, before the last stable offset has moved
/// (`src/v/raft/consensus.cc`), so that such a fetch finds nothing and waits to its end. An idle
/// reader sends twenty requests a second to each broker. The variable `MILLRACE_FETCH_WAIT_MS` sets
/// another wait, which librdkafka checks.
const FETCH_WAIT_MS: &str = "50";

pub(crate) fn config_for(brokers: &Brokers, group: &str) -> ClientConfig {
    let mut config = brokers.librdkafka();
    config
        .set("group.id", group)
        .set("client.id", "millrace")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("allow.auto.create.topics", "false")
        .set("topic.metadata.refresh.interval.ms", "60000")
        .set("reconnect.backoff.max.ms", "1000");
    config
}

/// What every reader has; ENGINE's measurements are behind the queue's settings.
fn read_committed(brokers: &Brokers, group: &str) -> ClientConfig {
    let fetch_wait_ms = std::env::var("MILLRACE_FETCH_WAIT_MS");
    let mut config = config_for(brokers, group);
    config
        .set("isolation.level", "read_committed")
        .set("partition.assignment.strategy", "range")
        .set("session.timeout.ms", "10000")
        .set("heartbeat.interval.ms", "1000")
        .set("fetch.wait.max.ms", fetch_wait_ms.as_deref().unwrap_or(FETCH_WAIT_MS))
        .set("fetch.queue.backoff.ms", "5")
        .set("queued.min.messages", "10000")
        .set("queued.max.messages.kbytes", "16384");
    config
}

/// Makes records of messages: names of topics are shared, keys and values stand in an arena.
#[derive(Default)]
pub(crate) struct Copier {
    topics: Vec<Topic>,
    arena: Arena,
}

impl Copier {
    pub(crate) fn record(&mut self, message: &BorrowedMessage<'_>) -> Record {
        let name = message.topic();
        let topic = match self.topics.iter().find(|topic| ***topic == *name) {
            Some(topic) => topic.clone(),
            None => {
                let topic: Topic = name.into();
                self.topics.push(topic.clone());
                topic
            }
        };
        let mut headers = Headers::default();
        if let Some(found) = message.headers() {
            raw::copy_headers(found, &mut headers);
        }
        Record {
            topic,
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis().unwrap_or_default(),
            key: message.key().map(|key| self.arena.copy(key)),
            value: message.payload().map(|value| self.arena.copy(value)),
            headers,
        }
    }
}

/// Logs what a client says of itself: the end of a partition is no error, and a broken connection
/// is logged as such.
pub(crate) fn tell(error: &KafkaError, reason: &str) {
    match error {
        KafkaError::Global(RDKafkaErrorCode::PartitionEOF) => {}
        passing if is_passing(passing) => tracing::debug!(%error, reason, "a reader's connection"),
        _ => tracing::warn!(%error, reason, "a reader"),
    }
}

/// News of connections, by which nothing is asked of whoever polls.
pub(crate) fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, OperationTimedOut, Resolve};
    let (KafkaError::MessageConsumption(code) | KafkaError::Global(code)) = error else {
        return false;
    };
    matches!(code, AllBrokersDown | BrokerTransportFailure | OperationTimedOut | Resolve)
}

/// Whether this client lacks the right to read the topic, which waiting does not change.
pub(crate) fn is_denied(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::TopicAuthorizationFailed)
}

fn is_out_of_range(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{AutoOffsetReset, OffsetOutOfRange};
    matches!(error, KafkaError::MessageConsumption(AutoOffsetReset | OffsetOutOfRange))
}

pub(crate) fn consumption(what: &str, error: &KafkaError) -> LogError {
    let doing = format!("reading {what}");
    match error {
        KafkaError::MessageConsumptionFatal(_) => fatal(doing, error),
        KafkaError::MessageConsumption(
            RDKafkaErrorCode::AutoOffsetReset
            | RDKafkaErrorCode::OffsetOutOfRange
            | RDKafkaErrorCode::FencedInstanceId
            | RDKafkaErrorCode::Fatal,
        ) => fatal(doing, error),
        _ => retriable(doing, error),
    }
}

pub(crate) fn fatal(doing: String, cause: &KafkaError) -> LogError {
    LogError::Fatal { doing, cause: cause.to_string() }
}

pub(crate) fn retriable(doing: String, cause: &KafkaError) -> LogError {
    LogError::Retriable { doing, cause: cause.to_string() }
}

#[cfg(test)]
pub(crate) mod tests {
    use rdkafka::{mocking::MockCluster, producer::BaseProducer};

    use super::*;
    use crate::{batch::Batch, log::Outgoing, raw};

    /// How long librdkafka's own mock of a broker may take.
    const MOCK_MAX: Duration = Duration::from_secs(20);

    pub(crate) fn produce(brokers: &str, topic: &str, headers: &Headers, count: usize) {
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", brokers).create().expect("a producer");
        let producer = Arc::new(producer);
        let written = raw::ProducerTopic::new(producer.clone(), topic).expect("a topic");
        let record = |_| Outgoing {
            topic: topic.into(),
            partition: 0,
            key: None,
            value: Some("value".into()),
            headers: headers.clone(),
        };
        let records: Batch = (0..count).map(record).collect();
        for record in records.iter() {
            written.send(&record).expect("room in the queue");
        }
        let begun = Instant::now();
        while !raw::flush(&*producer, Duration::from_millis(10)) {
            producer.poll(Duration::ZERO);
            assert!(begun.elapsed() < MOCK_MAX, "nothing is delivered");
        }
    }

    fn poll_until(consumer: &mut GroupConsumer, records: &mut Vec<Record>, count: usize) {
        let begun = Instant::now();
        while records.len() < count {
            consumer.poll(Duration::from_millis(50), 100, records).expect("it reads");
            assert!(begun.elapsed() < MOCK_MAX, "{} of {count} records came", records.len());
        }
    }

    fn joined(brokers: &str) -> GroupConsumer {
        let inputs = ["input".into()];
        let mut consumer =
            GroupConsumer::join(&brokers.into(), "group", &inputs, &[], Box::new(|| {}))
                .expect("it joins");
        let (begun, mut nothing) = (Instant::now(), Vec::new());
        while consumer.membership().is_none() {
            consumer.poll(Duration::from_millis(50), 1, &mut nothing).expect("it reads");
            assert!(begun.elapsed() < MOCK_MAX, "it has no partition");
        }
        consumer
    }

    #[test]
    fn header_names_that_are_not_utf8_are_read_as_they_are() {
        let cluster = MockCluster::new(1).expect("a mock");
        cluster.create_topic("input", 1, 1).expect("a topic");
        let mut headers = Headers::default();
        headers.push(b"\xff\xfe", b"1");
        headers.push("empty", "");
        headers.push("", b"\xff");
        produce(&cluster.bootstrap_servers(), "input", &headers, 1);

        let mut consumer = joined(&cluster.bootstrap_servers());
        consumer.fetch_from(&[(TopicPartition::new("input", 0), 0)]).expect("it reads on");
        let mut records = Vec::new();
        poll_until(&mut consumer, &mut records, 1);
        assert_eq!(records[0].headers, headers);
    }

    #[test]
    fn position_is_unknown_after_a_rewind_until_something_is_polled() {
        let cluster = MockCluster::new(1).expect("a mock");
        cluster.create_topic("input", 1, 1).expect("a topic");
        produce(&cluster.bootstrap_servers(), "input", &Headers::default(), 5);

        let mut consumer = joined(&cluster.bootstrap_servers());
        let place = TopicPartition::new("input", 0);
        for from in [0, 3, 0, 1] {
            consumer.fetch_from(&[(place.clone(), from)]).expect("it reads on");
            assert_eq!(consumer.positions(), [], "nothing was polled from {from} on");
            let mut records = Vec::new();
            poll_until(&mut consumer, &mut records, usize::try_from(5 - from).expect("a count"));
            assert_eq!(records[0].offset, from);
            assert_eq!(consumer.positions(), [(place.clone(), 5)]);
        }
    }
}

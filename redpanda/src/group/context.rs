//! The callbacks of a group member, which librdkafka calls inside a poll: rebalances, statistics
//! and errors. They only record what happened; the owner of the member reacts after the poll.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, Statistics, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::KafkaError,
    types::RDKafkaRespErr,
};

use crate::{
    client::log_client_error,
    fault,
    log::{Membership, Topic, TopicPartition},
};

/// Waits for the transaction in flight, if there is one, before partitions are released.
pub(crate) type BeforeRevoke = Box<dyn Fn() + Send + Sync>;

/// What the callbacks of one member have recorded.
pub(crate) struct GroupContext {
    inputs: Vec<Topic>,
    changes: Mutex<VecDeque<Membership>>,
    lag: Mutex<Vec<(TopicPartition, i64)>>,
    /// The time of a broker's last answer, as of the last statistics.
    last_answer: Mutex<Instant>,
    before_revoke: BeforeRevoke,
}

impl GroupContext {
    pub(super) fn new(inputs: &[Topic], before_revoke: BeforeRevoke) -> Self {
        Self {
            inputs: inputs.to_vec(),
            changes: Mutex::default(),
            lag: Mutex::default(),
            last_answer: Mutex::new(Instant::now()),
            before_revoke,
        }
    }

    /// The changes of membership that the owner has not taken yet.
    pub(super) fn changes(&self) -> MutexGuard<'_, VecDeque<Membership>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn silence(&self) -> Duration {
        self.last_answer.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    pub(super) fn take_lag(&self) -> Vec<(TopicPartition, i64)> {
        std::mem::take(&mut *self.lag())
    }

    fn lag(&self) -> MutexGuard<'_, Vec<(TopicPartition, i64)>> {
        self.lag.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The partition numbers that `list` contains for every input topic.
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

impl ClientContext for GroupContext {
    /// Takes the lag and the time of the last answer from librdkafka's statistics.
    ///
    /// The last offset of a partition may be a transaction marker, which no reader receives: so the
    /// lag counts from the offset that librdkafka has fetched up to, not from the last record.
    fn stats(&self, statistics: Statistics) {
        let of_topic = |topic: &Topic| {
            let partitions = statistics.topics.get(&**topic).map(|found| found.partitions.values());
            let lag = partitions
                .into_iter()
                .flatten()
                .filter(|found| found.next_offset >= 0 && found.ls_offset >= 0)
                .map(|found| {
                    let partition =
                        TopicPartition { topic: topic.clone(), partition: found.partition };
                    (partition, found.fetchq_cnt + (found.ls_offset - found.next_offset).max(0))
                });
            lag.collect::<Vec<_>>()
        };
        let idle =
            statistics.brokers.values().map(|broker| broker.rxidle).filter(|idle| *idle >= 0).min();
        let idle = idle.map(|microseconds| Duration::from_micros(microseconds.unsigned_abs()));
        if let Some(answered) = idle.and_then(|idle| Instant::now().checked_sub(idle)) {
            *self.last_answer.lock().unwrap_or_else(PoisonError::into_inner) = answered;
        }
        *self.lag() = self.inputs.iter().flat_map(of_topic).collect();
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_client_error(&error, reason);
    }
}

impl ConsumerContext for GroupContext {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        if consumer.closed() {
            // The client's group handler has ended: it would never answer what was still queued.
            return;
        }
        let tasks = self.tasks(list);
        let (change, acknowledged) = match error {
            // Acknowledge without partitions: nothing is fetched before `fetch_from`.
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                (Membership::Assigned(tasks), consumer.assign(&TopicPartitionList::new()))
            }
            // The group waits for this callback: no other member starts with these partitions
            // before the transaction in flight has ended.
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                fault::point("in-rebalance");
                (self.before_revoke)();
                let change = match consumer.assignment_lost() {
                    true => Membership::Lost(tasks),
                    false => Membership::Revoked(tasks),
                };
                (change, consumer.unassign())
            }
            _ => (Membership::Lost(tasks), consumer.unassign()),
        };
        if let Err(error) = acknowledged {
            tracing::error!(?change, %error, "could not acknowledge an assignment");
        }
        self.changes().push_back(change);
    }
}

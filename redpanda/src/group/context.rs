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
    statistics::Broker,
    types::RDKafkaRespErr,
};

use crate::{
    client::log_client_error,
    fault,
    log::{Membership, Topic, TopicPartition},
};

/// Waits for the transaction in flight, if there is one, before partitions are released.
pub(crate) type BeforeRevoke = Box<dyn Fn() + Send + Sync>;

/// What librdkafka's statistics say of a partition. Nothing is known before its first fetch.
#[derive(Clone, Copy, Default)]
pub(super) struct Fetch {
    /// The offset to fetch next, which is behind transaction markers too.
    pub(super) next: Option<i64>,
    /// The offset behind what the owner has polled.
    polled: Option<i64>,
    /// The last stable offset, as of the last fetch. `None` while the broker that serves the
    /// partition is away: it may have more by now.
    end: Option<i64>,
    /// Whether fetched records of any partition have not been polled. librdkafka counts the records
    /// of all partitions for each, because they share a queue (`rd_kafka_q_len`).
    queued: bool,
}

impl Fetch {
    /// The number of offsets up to the end that the owner has not polled, of a member that reads
    /// from `from`. `asked` is an end that a broker has returned. `None` if no end is known.
    ///
    /// The last offset may be a transaction marker, which no reader receives, so the lag counts to
    /// the offset that was fetched up to if nothing is queued.
    pub(super) fn lag(&self, from: i64, asked: Option<i64>) -> Option<i64> {
        let end = self.end.max(asked)?;
        let read = match self.queued {
            true => self.polled,
            false => self.next,
        };
        Some((end - read.unwrap_or(from).max(from)).max(0))
    }
}

/// A change of membership.
pub(super) struct Change {
    pub(super) membership: Membership,
    /// Whether its list has partitions of some inputs and not of others, which are no tasks.
    pub(super) is_incomplete: bool,
}

#[derive(Default)]
struct Fetches {
    partitions: BTreeMap<TopicPartition, Fetch>,
    /// Whether the owner has not asked for the lag since the last statistics.
    is_new: bool,
}

/// What the callbacks of one member have recorded.
pub(crate) struct GroupContext {
    inputs: Vec<Topic>,
    changes: Mutex<VecDeque<Change>>,
    /// As of the last statistics.
    fetches: Mutex<Fetches>,
    /// The time of a broker's last answer, as of the last statistics.
    last_answer: Mutex<Instant>,
    before_revoke: BeforeRevoke,
}

impl GroupContext {
    pub(super) fn new(inputs: &[Topic], before_revoke: BeforeRevoke) -> Self {
        Self {
            inputs: inputs.to_vec(),
            changes: Mutex::default(),
            fetches: Mutex::default(),
            last_answer: Mutex::new(Instant::now()),
            before_revoke,
        }
    }

    /// The changes of membership that the owner has not taken yet.
    pub(super) fn changes(&self) -> MutexGuard<'_, VecDeque<Change>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The topics that the member reads.
    pub(super) fn inputs(&self) -> &[Topic] {
        &self.inputs
    }

    pub(super) fn silence(&self) -> Duration {
        self.last_answer.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// What the last statistics say of each partition.
    pub(super) fn fetches(&self) -> BTreeMap<TopicPartition, Fetch> {
        self.statistics().partitions.clone()
    }

    /// The same, once for each time that there are new statistics.
    pub(super) fn take_fetches(&self) -> Option<BTreeMap<TopicPartition, Fetch>> {
        let mut statistics = self.statistics();
        std::mem::take(&mut statistics.is_new).then(|| statistics.partitions.clone())
    }

    /// Forgets what was fetched, because the member has moved.
    pub(super) fn forget(&self) {
        *self.statistics() = Fetches::default();
    }

    fn statistics(&self) -> MutexGuard<'_, Fetches> {
        self.fetches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The partition numbers that `list` contains for every input topic, and whether it contains
    /// others too.
    fn tasks(&self, list: &TopicPartitionList) -> (Vec<i32>, bool) {
        let mut found = BTreeMap::<i32, usize>::new();
        for element in list.elements() {
            *found.entry(element.partition()).or_default() += 1;
        }
        let assigned = found.len();
        found.retain(|_, topics| *topics == self.inputs.len());
        let has_others = found.len() < assigned;
        (found.into_keys().collect(), has_others)
    }
}

impl ClientContext for GroupContext {
    /// Takes the fetches and the time of the last answer from librdkafka's statistics.
    fn stats(&self, statistics: Statistics) {
        let known = |offset: i64| (offset >= 0).then_some(offset);
        let is_up = |id: i32| {
            let is_up = |broker: &Broker| broker.nodeid == id && broker.state.starts_with("UP");
            // A partition without a leader has the id -1, which is also that of the brokers to
            // begin with and of the group's coordinator.
            id >= 0 && statistics.brokers.values().any(is_up)
        };
        let of_topic = |topic: &Topic| {
            let partitions = statistics.topics.get(&**topic).map(|found| found.partitions.values());
            let fetches = partitions.into_iter().flatten().map(|found| {
                let partition = TopicPartition { topic: topic.clone(), partition: found.partition };
                let fetch = Fetch {
                    next: known(found.next_offset),
                    polled: known(found.app_offset),
                    end: known(found.ls_offset).filter(|_| is_up(found.broker)),
                    queued: found.fetchq_cnt > 0,
                };
                (partition, fetch)
            });
            fetches.collect::<Vec<_>>()
        };
        let idle =
            statistics.brokers.values().map(|broker| broker.rxidle).filter(|idle| *idle >= 0).min();
        let idle = idle.map(|microseconds| Duration::from_micros(microseconds.unsigned_abs()));
        if let Some(answered) = idle.and_then(|idle| Instant::now().checked_sub(idle)) {
            *self.last_answer.lock().unwrap_or_else(PoisonError::into_inner) = answered;
        }
        let partitions = self.inputs.iter().flat_map(of_topic).collect();
        *self.statistics() = Fetches { partitions, is_new: true };
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
        let (tasks, is_incomplete) = self.tasks(list);
        let (membership, acknowledged) = match error {
            // Acknowledge without partitions: nothing is fetched before `fetch_from`.
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                (Membership::Assigned(tasks), consumer.assign(&TopicPartitionList::new()))
            }
            // The group waits for this callback: no other member starts with these partitions
            // before the transaction in flight has ended.
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                fault::point("in-rebalance");
                (self.before_revoke)();
                let membership = match consumer.assignment_lost() {
                    true => Membership::Lost(tasks),
                    false => Membership::Revoked(tasks),
                };
                (membership, consumer.unassign())
            }
            _ => (Membership::Lost(tasks), consumer.unassign()),
        };
        if let Err(error) = acknowledged {
            tracing::error!(?membership, %error, "could not acknowledge an assignment");
        }
        self.changes().push_back(Change { membership, is_incomplete });
    }
}

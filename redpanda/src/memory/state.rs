//! Topics, transactions and groups of the log, behind its lock. It decides by the rules of the real
//! log and knows no session.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use super::{
    fault::Fault,
    group::Group,
    partition::{Entry, PartitionLog, Status, Statuses},
};
use crate::{
    log::{
        CommittedOffset, LogError, Membership, ProducerRecord, Record, Topic, TopicPartition,
        TransactionError,
    },
    topics::record_bytes_max,
};

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) topics: HashMap<Topic, Vec<PartitionLog>>,
    pub(super) groups: HashMap<String, Group>,
    pub(super) statuses: Statuses,
    /// The open transactions, by number.
    pub(super) open: HashMap<u64, OpenTransaction>,
    /// The session that holds each transactional id.
    pub(super) holders: HashMap<String, Holder>,
    pub(super) faults: HashMap<String, Fault>,
    last_id: u64,
    pub(super) now_ms: i64,
    /// Whether commits are not answered for now.
    pub(super) hold_commits: bool,
    /// Whether each session has the mutant that sends its offsets twice.
    pub(super) sends_offsets_twice: bool,
    /// Limits of topics in place of those of `topics.yaml`.
    pub(super) bytes_max: HashMap<Topic, usize>,
    /// Changelogs and other partitions of which restores and reads of one record fail for now.
    pub(super) unreadable: Vec<TopicPartition>,
    /// Partitions that no poll returns records of for now.
    pub(super) withheld: Vec<TopicPartition>,
    /// Offsets at which a poll finds a batch that it can't read.
    pub(super) spoiled: Vec<(TopicPartition, i64)>,
    /// The time for which sessions say that they have heard from no broker.
    pub(super) silence: Duration,
    /// Changelogs whose restores are not handed over for now.
    pub(super) held: Vec<TopicPartition>,
}

/// A transaction without a marker.
#[derive(Debug, Default)]
pub(super) struct OpenTransaction {
    pub(super) group: String,
    /// The offsets that were staged for the group. `None` until offsets are sent, which may happen
    /// once.
    pub(super) offsets: Option<Vec<(TopicPartition, CommittedOffset)>>,
    /// The partitions that it has written to.
    pub(super) partitions: Vec<TopicPartition>,
}

/// The session that holds a transactional id.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder {
    pub(super) session: u64,
    /// Its open transaction.
    pub(super) open: Option<u64>,
}

/// A record is over its topic's limit.
#[derive(Debug, thiserror::Error)]
#[error("{topic} takes records of {bytes_max} bytes at most, not of {size}")]
pub(super) struct RecordTooLarge {
    topic: Topic,
    bytes_max: usize,
    size: usize,
}

/// Why offsets can't be staged in a transaction.
#[derive(Debug, thiserror::Error)]
pub(super) enum StageError {
    #[error("the transaction is not open")]
    NotOpen,
    #[error("the transaction has staged offsets already")]
    Twice,
    #[error("the group's generation is stale")]
    StaleGeneration,
}

impl State {
    /// A number that no session and no transaction has.
    pub(super) fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(super) fn partition(&self, partition: &TopicPartition) -> Option<&PartitionLog> {
        self.topics.get(&partition.topic)?.get(partition.partition as usize)
    }

    /// The first offset that the log holds, and the high watermark.
    pub(super) fn span(&self, partition: &TopicPartition) -> (i64, i64) {
        self.partition(partition).map_or((0, 0), |log| (log.beginning, log.end))
    }

    /// See [`PartitionLog::read`].
    pub(super) fn read(
        &self,
        partition: &TopicPartition,
        from: i64,
        max: usize,
        out: &mut Vec<Record>,
    ) -> i64 {
        let log = self.partition(partition);
        log.map_or(from, |log| log.read(&self.statuses, from, max, out))
    }

    /// The committed offsets of `group`; an error while an open transaction may change them.
    pub(super) fn committed(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Option<CommittedOffset>>, LogError> {
        let is_unstable = |open: &OpenTransaction| {
            let mut staged = open.offsets.iter().flatten();
            open.group == group && staged.any(|(partition, _)| partitions.contains(partition))
        };
        if self.open.values().any(is_unstable) {
            let doing = format!("reading the committed offsets of {group}");
            let cause = "a transaction is pending".into();
            return Err(LogError::Retriable { doing, cause });
        }
        let group = self.groups.get(group);
        Ok(partitions
            .iter()
            .map(|partition| group.and_then(|group| group.offsets.get(partition).copied()))
            .collect())
    }

    /// Checks a record of `size` bytes against the limit of its topic.
    pub(super) fn check_size(&self, topic: &Topic, size: usize) -> Result<(), RecordTooLarge> {
        let own = self.bytes_max.get(topic).copied();
        let bytes_max = own.unwrap_or_else(|| record_bytes_max(topic));
        match size <= bytes_max {
            true => Ok(()),
            false => Err(RecordTooLarge { topic: topic.clone(), bytes_max, size }),
        }
    }

    /// Appends a record and returns its offset.
    pub(super) fn append(&mut self, transaction: Option<u64>, record: ProducerRecord) -> i64 {
        let timestamp_ms = self.now_ms;
        let ProducerRecord { topic, partition, key, value, headers } = record;
        let logs =
            self.topics.get_mut(&topic).unwrap_or_else(|| panic!("there is no topic {topic}"));
        logs[partition as usize].push(|offset| Entry {
            record: Some(Record { topic, partition, offset, timestamp_ms, key, value, headers }),
            transaction,
        })
    }

    /// Begins a transaction of the session that holds `name`.
    pub(super) fn begin(&mut self, name: &str, session: u64, group: &str) -> u64 {
        let transaction = self.new_id();
        self.statuses.insert(transaction, Status::Open);
        self.holders.insert(name.to_owned(), Holder { session, open: Some(transaction) });
        let open = OpenTransaction { group: group.to_owned(), ..OpenTransaction::default() };
        self.open.insert(transaction, open);
        transaction
    }

    /// Makes `session` the holder of `name`, and aborts the open transaction of the previous
    /// holder.
    pub(super) fn take_id(&mut self, name: &str, session: u64) {
        let previous = self.holders.insert(name.to_owned(), Holder { session, open: None });
        if let Some(Holder { open: Some(open), .. }) = previous {
            self.end(open, Status::Aborted);
        }
    }

    /// Writes the markers of a transaction, and with a commit its offsets.
    pub(super) fn end(&mut self, transaction: u64, status: Status) {
        let Some(open) = self.open.remove(&transaction) else { return };
        self.statuses.insert(transaction, status);
        for partition in open.partitions {
            if let Some(log) = self
                .topics
                .get_mut(&partition.topic)
                .and_then(|logs| logs.get_mut(partition.partition as usize))
            {
                log.push(|_| Entry { record: None, transaction: None });
            }
        }
        if status == Status::Committed {
            let group = self.groups.entry(open.group).or_default();
            group.offsets.extend(open.offsets.into_iter().flatten());
        }
    }

    /// Ends a transaction of the session that holds `name`.
    pub(super) fn end_of(&mut self, name: &str, session: u64, transaction: u64, status: Status) {
        self.end(transaction, status);
        self.holders.insert(name.to_owned(), Holder { session, open: None });
    }

    /// Aborts a transaction of the session that holds `name`.
    pub(super) fn abort(
        &mut self,
        name: &str,
        session: u64,
        transaction: u64,
        reason: impl ToString,
    ) -> TransactionError {
        self.end_of(name, session, transaction, Status::Aborted);
        TransactionError::Aborted(reason.to_string())
    }

    /// Stages the offsets that take effect when the transaction commits, by Redpanda's rule: once
    /// offsets are staged, the next request to add offsets is refused (`group::begin_tx` in
    /// `src/v/kafka/server/group.cc`).
    pub(super) fn stage(
        &mut self,
        transaction: u64,
        session: u64,
        offsets: &[(TopicPartition, CommittedOffset)],
    ) -> Result<(), StageError> {
        let open = self.open.get_mut(&transaction).ok_or(StageError::NotOpen)?;
        if open.offsets.is_some() {
            return Err(StageError::Twice);
        }
        let member = self.groups.get(&open.group).and_then(|group| group.member(session));
        let is_assigned = |partition: &TopicPartition| {
            member.is_some_and(|member| member.assigned.contains(&partition.partition))
        };
        if !offsets.iter().all(|(partition, _)| is_assigned(partition)) {
            return Err(StageError::StaleGeneration);
        }
        open.offsets = Some(offsets.to_vec());
        Ok(())
    }

    /// Whether `fault` is ordered for `name`; if so, it acts now and is not ordered any more.
    pub(super) fn takes_fault(&mut self, name: Option<&str>, fault: Fault) -> bool {
        let Some(name) = name else { return false };
        let is_ordered = self.faults.get(name) == Some(&fault);
        if is_ordered {
            self.faults.remove(name);
        }
        is_ordered
    }

    /// Serves the member `id` of `group`; see [`Group::serve`].
    pub(super) fn serve(&mut self, group: &str, id: u64) -> VecDeque<Membership> {
        let Some(group) = self.groups.get_mut(group) else { return VecDeque::new() };
        let topic = group.topics.first();
        let count = topic.and_then(|topic| self.topics.get(topic)).map_or(0, Vec::len);
        group.serve(id, count)
    }
}

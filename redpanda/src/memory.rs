//! An in-memory log with the transactional rules of the real one, deterministic, for tests.
//!
//! Transactions are open until their marker is written; read-committed readers stop at the first
//! open one and never see aborted records; a transactional id has one living holder; offsets of an
//! open transaction are unstable; a record over its topic's limit is refused and aborts its
//! transaction; a group's members get ranges of partitions and let go before others take over.
//! Faults can be ordered for each step of a transaction. It has no threads and no clock of its own.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;

use crate::{
    batch::{Batch, wire_bytes},
    log::{
        Connect, Headers, Input, LogError, Membership, Outgoing, Record, Restore, Session, Start,
        Topic, TopicPartition, Transaction, TransactionError,
    },
    partition_of,
    topics::record_bytes_max,
};

/// Where a session of a transactional id goes wrong, as soon as it comes there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Records were polled; the session ends before anything came of them.
    AfterPoll,
    /// Nothing is written; the session ends.
    BeforeBegin,
    /// The transaction is open and has nothing in it; the session ends.
    AfterBegin,
    /// So many records are written, the transaction stays open, the session ends. Waits for one
    /// that has so many.
    AfterSend(usize),
    /// Everything is written, offsets too, the transaction stays open, the session ends.
    AfterOffsets,
    /// The same, when the next batch may be decided on already: the session ends where it was to
    /// commit.
    BeforeCommit,
    /// It is committed, but the answer is not seen: the session ends.
    CommitUnseen,
    /// It is committed and the answer is seen; then the session ends.
    AfterCommit,
    /// So many records of a changelog were read back; the session ends. Waits for one that has so
    /// many.
    DuringRestore(usize),
    /// The session ends when it is to let partitions go.
    InRebalance,
    /// It is aborted in order; the session lives on.
    Abort,
    /// Somebody else takes the transactional id over.
    Fence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    Committed,
    Aborted,
}

#[derive(Debug)]
struct Entry {
    /// `None` is a control record.
    record: Option<Record>,
    transaction: Option<u64>,
}

#[derive(Debug, Default)]
struct PartitionLog {
    entries: BTreeMap<i64, Entry>,
    beginning: i64,
    end: i64,
}

#[derive(Debug)]
struct Member {
    id: u64,
    assigned: Vec<i32>,
    must_revoke: bool,
    news: VecDeque<Membership>,
}

#[derive(Debug, Default)]
struct Group {
    topics: Vec<Topic>,
    members: Vec<Member>,
    unassigned: bool,
    offsets: HashMap<TopicPartition, i64>,
}

#[derive(Debug, Default)]
struct State {
    topics: HashMap<Topic, Vec<PartitionLog>>,
    groups: HashMap<String, Group>,
    fates: HashMap<u64, Fate>,
    /// For each open transaction its group, offsets and partitions written to.
    open: HashMap<u64, Open>,
    /// The session that holds each transactional id, and its open transaction.
    holders: HashMap<String, (u64, Option<u64>)>,
    faults: HashMap<String, Fault>,
    next: u64,
    now_ms: i64,
    hold: bool,
    sends_offsets_twice: bool,
    /// Limits of topics that are not those of `topics.yaml`.
    bytes_max: HashMap<Topic, usize>,
    /// Partitions that can't be read back for now.
    unreadable: Vec<TopicPartition>,
}

#[derive(Debug, Default)]
struct Open {
    group: String,
    /// What was staged for the group. `None` until offsets are sent, which may happen once.
    offsets: Option<Vec<(TopicPartition, i64)>>,
    partitions: Vec<TopicPartition>,
}

/// The log. Clones are the same log.
#[derive(Clone, Debug, Default)]
pub struct MemoryLog(Arc<Mutex<State>>);

impl MemoryLog {
    /// A log with these topics and partition counts.
    pub fn new<'a>(topics: impl IntoIterator<Item = (&'a str, i32)>) -> Self {
        let log = Self::default();
        let mut state = log.state();
        for (topic, count) in topics {
            state
                .topics
                .insert(topic.into(), (0..count).map(|_| PartitionLog::default()).collect());
        }
        drop(state);
        log
    }

    /// Sets the time that records are appended with, in milliseconds since the epoch.
    pub fn set_time(&self, now_ms: i64) {
        self.state().now_ms = now_ms;
    }

    /// Sets the size of the largest record that `topic` takes, in place of what `topics.yaml` says.
    pub fn set_bytes_max(&self, topic: &str, bytes_max: usize) {
        self.state().bytes_max.insert(topic.into(), bytes_max);
    }

    /// Appends a record outside of any transaction, and tells its partition and offset.
    ///
    /// # Panics
    /// If there is no such topic, or the record is over its limit.
    pub fn append(
        &self,
        topic: &str,
        key: &str,
        value: Option<Bytes>,
        headers: Headers,
    ) -> (i32, i64) {
        let state = self.state();
        let count = state.topics[topic].len() as i32;
        let partition = partition_of(key.as_bytes(), count);
        let key = Some(Bytes::copy_from_slice(key.as_bytes()));
        let record = Outgoing { topic: topic.into(), partition, key, value, headers };
        drop(state);
        (partition, self.append_raw(record))
    }

    /// Appends a record as it is, where it says.
    ///
    /// # Panics
    /// If there is no such topic, or the record is over its limit.
    pub fn append_raw(&self, record: Outgoing) -> i64 {
        let mut state = self.state();
        let size = wire_bytes(record.key.as_deref(), record.value.as_deref(), &record.headers);
        if let Err(refusal) = state.check(&record.topic, size) {
            drop(state);
            panic!("{refusal}");
        }
        state.append(None, record)
    }

    /// Everything that a read-committed reader sees of a topic, partition by partition.
    pub fn read_committed(&self, topic: &str) -> Vec<Record> {
        let state = self.state();
        let count = state.topics.get(topic).map_or(0, Vec::len) as i32;
        (0..count)
            .flat_map(|partition| {
                let place = TopicPartition::new(topic, partition);
                let mut records = Vec::new();
                state.read(&place, 0, usize::MAX, &mut records);
                records
            })
            .collect()
    }

    /// Keeps only the last committed record of each key, as compaction does.
    pub fn compact(&self, topic: &str) {
        let mut state = self.state();
        let State { topics, fates, .. } = &mut *state;
        for log in topics.get_mut(topic).into_iter().flatten() {
            let stable = log.stable_end(fates);
            let mut last = HashMap::new();
            for (offset, entry) in log.entries.range(..stable) {
                let aborted =
                    entry.transaction.is_some_and(|id| fates.get(&id) == Some(&Fate::Aborted));
                if let (Some(record), false) = (&entry.record, aborted) {
                    last.insert(record.key.clone(), *offset);
                }
            }
            log.entries.retain(|offset, entry| {
                let newest = |record: &Record| last.get(&record.key) == Some(offset);
                *offset >= stable || entry.record.as_ref().is_some_and(newest)
            });
        }
    }

    /// Removes everything up to the last stable offset of each partition of `topic`, as retention
    /// does when nobody has written for long.
    pub fn remove_all(&self, topic: &str) {
        self.remove(topic, |_, _, _| true);
    }

    /// The same where no transaction is open and `group` has committed to have read it all, or all
    /// but the last transaction's mark.
    pub fn remove_consumed(&self, topic: &str, group: &str) {
        let state = self.state();
        let offsets =
            state.groups.get(group).map(|group| group.offsets.clone()).unwrap_or_default();
        drop(state);
        self.remove(topic, |place, stable, end| {
            stable == end && offsets.get(place).is_some_and(|next| next + 1 >= stable)
        });
    }

    fn remove(&self, topic: &str, may: impl Fn(&TopicPartition, i64, i64) -> bool) {
        let mut state = self.state();
        let State { topics, fates, .. } = &mut *state;
        for (partition, log) in topics.get_mut(topic).into_iter().flatten().enumerate() {
            let stable = log.stable_end(fates);
            if may(&TopicPartition::new(topic, partition as i32), stable, log.end) {
                log.entries = log.entries.split_off(&stable);
                log.beginning = stable;
            }
        }
    }

    /// Commits an offset of a group outside of any transaction.
    pub fn commit(&self, group: &str, place: TopicPartition, next: i64) {
        self.state().groups.entry(group.to_owned()).or_default().offsets.insert(place, next);
    }

    /// What a group has committed; `None` where that is nothing.
    pub fn committed(&self, group: &str, place: &TopicPartition) -> Option<i64> {
        self.state().groups.get(group)?.offsets.get(place).copied()
    }

    /// The first offset kept of a partition, and its end.
    pub fn span(&self, place: &TopicPartition) -> (i64, i64) {
        self.state().span(place)
    }

    /// Orders a fault for `transactional_id`, in place of one that has not happened yet.
    pub fn fail_next(&self, transactional_id: &str, fault: Fault) {
        self.state().faults.insert(transactional_id.to_owned(), fault);
    }

    /// The fault that is ordered for `transactional_id` and has not happened yet.
    pub fn awaited(&self, transactional_id: &str) -> Option<Fault> {
        self.state().faults.get(transactional_id).copied()
    }

    /// While `hold`, transactions are written but their commit is not answered.
    pub fn hold_commits(&self, hold: bool) {
        self.state().hold = hold;
    }

    /// While `fails`, reading `changelog` back meets an error that may pass.
    pub fn fail_restores(&self, changelog: TopicPartition, fails: bool) {
        let mut state = self.state();
        state.unreadable.retain(|place| *place != changelog);
        if fails {
            state.unreadable.push(changelog);
        }
    }

    /// Plants a bug in every session while `twice`: it sends the offsets of each transaction twice.
    pub fn send_offsets_twice(&self, twice: bool) {
        self.state().sends_offsets_twice = twice;
    }

    /// Takes every partition of the group from its members, as a missed session timeout does.
    pub fn expire_members(&self, group: &str) {
        if let Some(group) = self.state().groups.get_mut(group) {
            for member in &mut group.members {
                member.must_revoke = false;
                let lost = std::mem::take(&mut member.assigned);
                member.news.push_back(Membership::Lost(lost));
            }
            group.unassigned = true;
        }
    }

    /// Aborts the open transactions of sessions that are gone, as the transaction timeout does.
    pub fn expire_transactions(&self) {
        let mut state = self.state();
        let open: Vec<_> = state.holders.values().filter_map(|(_, open)| *open).collect();
        for transaction in open {
            state.end(transaction, Fate::Aborted);
        }
        state.holders.values_mut().for_each(|(_, open)| *open = None);
    }

    /// How many transactions are open.
    pub fn open_transactions(&self) -> usize {
        self.state().open.len()
    }

    /// Opens sessions of `group` under `transactional_id`.
    pub fn connect(&self, group: &str, inputs: &[Topic], transactional_id: &str) -> MemoryConnect {
        MemoryConnect {
            log: self.clone(),
            group: group.to_owned(),
            inputs: inputs.to_vec(),
            transactional_id: Some(transactional_id.to_owned()),
        }
    }

    /// A member of `group` that only reads.
    pub fn input(&self, group: &str, inputs: &[Topic]) -> Box<dyn Input> {
        Box::new(self.join(group, inputs, None))
    }

    fn join(
        &self,
        group: &str,
        inputs: &[Topic],
        transactional_id: Option<String>,
    ) -> MemorySession {
        let mut state = self.state();
        state.next += 1;
        let id = state.next;
        if let Some(name) = &transactional_id
            && let Some((_, Some(open))) = state.holders.insert(name.clone(), (id, None))
        {
            state.end(open, Fate::Aborted);
        }
        let joined = state.groups.entry(group.to_owned()).or_default();
        joined.topics = inputs.to_vec();
        joined.members.push(Member {
            id,
            assigned: Vec::new(),
            must_revoke: false,
            news: VecDeque::new(),
        });
        joined.rebalance();
        drop(state);
        MemorySession {
            log: self.clone(),
            group: group.to_owned(),
            id,
            transactional_id,
            positions: Vec::new(),
            news: VecDeque::new(),
            turn: 0,
            open: None,
            in_flight: None,
            ended: None,
            broken: false,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PartitionLog {
    fn stable_end(&self, fates: &HashMap<u64, Fate>) -> i64 {
        let open =
            |entry: &Entry| entry.transaction.is_some_and(|id| fates.get(&id) == Some(&Fate::Open));
        self.entries.iter().find(|(_, entry)| open(entry)).map_or(self.end, |(offset, _)| *offset)
    }
}

impl Group {
    fn rebalance(&mut self) {
        for member in &mut self.members {
            member.must_revoke = !member.assigned.is_empty();
        }
        self.unassigned = true;
    }
}

impl State {
    fn span(&self, place: &TopicPartition) -> (i64, i64) {
        let part = self.topics.get(&place.topic).and_then(|l| l.get(place.partition as usize));
        part.map_or((0, 0), |part| (part.beginning, part.end))
    }

    /// What `group` has committed, unless a transaction has still to decide on it.
    fn committed(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Option<i64>>, LogError> {
        let unstable = |open: &Open| {
            let mut staged = open.offsets.iter().flatten();
            open.group == group && staged.any(|(place, _)| partitions.contains(place))
        };
        if self.open.values().any(unstable) {
            let doing = format!("reading the committed offsets of {group}");
            let cause = "a transaction has still to be decided".to_owned();
            return Err(LogError::Retriable { doing, cause });
        }
        let group = self.groups.get(group);
        Ok(partitions
            .iter()
            .map(|place| group.and_then(|group| group.offsets.get(place).copied()))
            .collect())
    }

    /// Whether `topic` takes a record of `size` bytes.
    fn check(&self, topic: &Topic, size: usize) -> Result<(), String> {
        let own = self.bytes_max.get(topic).copied();
        let bytes_max = own.unwrap_or_else(|| record_bytes_max(topic));
        match size <= bytes_max {
            true => Ok(()),
            false => {
                Err(format!("{topic} takes records of {bytes_max} bytes at most, not of {size}"))
            }
        }
    }

    fn append(&mut self, transaction: Option<u64>, record: Outgoing) -> i64 {
        let now_ms = self.now_ms;
        let Outgoing { topic, partition, key, value, headers } = record;
        let logs =
            self.topics.get_mut(&topic).unwrap_or_else(|| panic!("there is no topic {topic}"));
        let log = &mut logs[partition as usize];
        let offset = log.end;
        log.end += 1;
        let record = Record { topic, partition, offset, timestamp_ms: now_ms, key, value, headers };
        log.entries.insert(offset, Entry { record: Some(record), transaction });
        offset
    }

    /// Writes the markers of a transaction, and with a commit its offsets.
    fn end(&mut self, transaction: u64, fate: Fate) {
        let Some(open) = self.open.remove(&transaction) else { return };
        self.fates.insert(transaction, fate);
        for place in open.partitions {
            if let Some(log) =
                self.topics.get_mut(&place.topic).and_then(|l| l.get_mut(place.partition as usize))
            {
                log.entries.insert(log.end, Entry { record: None, transaction: None });
                log.end += 1;
            }
        }
        if fate == Fate::Committed {
            let group = self.groups.entry(open.group).or_default();
            group.offsets.extend(open.offsets.into_iter().flatten());
        }
    }

    /// Aborts a transaction of the session that holds `name`.
    fn abort(
        &mut self,
        transaction: u64,
        name: &str,
        session: u64,
        reason: &str,
    ) -> TransactionError {
        self.end(transaction, Fate::Aborted);
        self.holders.insert(name.to_owned(), (session, None));
        TransactionError::Aborted(reason.to_owned())
    }

    /// Stages the offsets that take effect with the transaction's commit, by Redpanda's rule: once
    /// offsets are staged, the next request to add offsets is refused (`group::begin_tx` in
    /// `src/v/kafka/server/group.cc`).
    fn stage(
        &mut self,
        transaction: u64,
        session: u64,
        offsets: &[(TopicPartition, i64)],
    ) -> Result<(), &'static str> {
        let Some(open) = self.open.get_mut(&transaction) else {
            return Err("the transaction is not open");
        };
        if open.offsets.is_some() {
            return Err("the transaction has staged offsets already");
        }
        let group = self.groups.get(&open.group);
        let member =
            group.and_then(|group| group.members.iter().find(|member| member.id == session));
        let assigned = |place: &TopicPartition| {
            member.is_some_and(|member| member.assigned.contains(&place.partition))
        };
        if !offsets.iter().all(|(place, _)| assigned(place)) {
            return Err("the group's generation is stale");
        }
        open.offsets = Some(offsets.to_vec());
        Ok(())
    }

    /// Whether `fault` is ordered for `name`; then it happens now.
    fn comes(&mut self, name: Option<&str>, fault: Fault) -> bool {
        let ordered = name.is_some_and(|name| self.faults.get(name) == Some(&fault));
        if let (true, Some(name)) = (ordered, name) {
            self.faults.remove(name);
        }
        ordered
    }

    /// Appends up to `max` committed records from `from` on; gives back the next position.
    fn read(&self, place: &TopicPartition, from: i64, max: usize, out: &mut Vec<Record>) -> i64 {
        let Some(log) = self.topics.get(&place.topic).and_then(|l| l.get(place.partition as usize))
        else {
            return from;
        };
        let stable = log.stable_end(&self.fates);
        let mut taken = 0;
        for (offset, entry) in log.entries.range(from..stable.max(from)) {
            let aborted =
                entry.transaction.is_some_and(|id| self.fates.get(&id) == Some(&Fate::Aborted));
            if let (Some(record), false) = (&entry.record, aborted) {
                if taken == max {
                    return *offset;
                }
                taken += 1;
                out.push(record.clone());
            }
        }
        stable.max(from)
    }

    /// Lets a member let go, and hands out partitions when all have.
    fn serve(&mut self, group: &str, id: u64) -> VecDeque<Membership> {
        let Some(group) = self.groups.get_mut(group) else { return VecDeque::new() };
        if let Some(member) = group.members.iter_mut().find(|member| member.id == id)
            && std::mem::take(&mut member.must_revoke)
        {
            let revoked = std::mem::take(&mut member.assigned);
            member.news.push_back(Membership::Revoked(revoked));
        }
        if group.unassigned && group.members.iter().all(|member| !member.must_revoke) {
            group.unassigned = false;
            let count =
                group.topics.first().and_then(|topic| self.topics.get(topic)).map_or(0, Vec::len);
            let members = group.members.len();
            let mut next = 0;
            for (index, member) in group.members.iter_mut().enumerate() {
                let share = count / members + usize::from(index < count % members);
                member.assigned = (next..next + share).map(|partition| partition as i32).collect();
                next += share;
                if !member.assigned.is_empty() {
                    member.news.push_back(Membership::Assigned(member.assigned.clone()));
                }
            }
        }
        let member = group.members.iter_mut().find(|member| member.id == id);
        member.map(|member| std::mem::take(&mut member.news)).unwrap_or_default()
    }
}

/// Opens sessions on a [`MemoryLog`].
#[derive(Clone, Debug)]
pub struct MemoryConnect {
    log: MemoryLog,
    group: String,
    inputs: Vec<Topic>,
    transactional_id: Option<String>,
}

impl Connect for MemoryConnect {
    fn open(&self) -> Result<Box<dyn Session>, LogError> {
        Ok(Box::new(self.log.join(&self.group, &self.inputs, self.transactional_id.clone())))
    }
}

struct MemorySession {
    log: MemoryLog,
    group: String,
    id: u64,
    transactional_id: Option<String>,
    positions: Vec<(TopicPartition, i64)>,
    news: VecDeque<Membership>,
    turn: usize,
    /// What was written and not submitted: the transaction, and how many records it has.
    open: Option<(u64, usize)>,
    in_flight: Option<Result<u64, TransactionError>>,
    ended: Option<Result<(), TransactionError>>,
    broken: bool,
}

impl MemorySession {
    fn check(&self) -> Result<(), LogError> {
        match self.broken {
            true => Err(LogError::Fatal {
                doing: "using a session".to_owned(),
                cause: "it has ended".to_owned(),
            }),
            false => Ok(()),
        }
    }

    fn holds(&self, state: &State) -> bool {
        let held = self.transactional_id.as_ref().and_then(|name| state.holders.get(name));
        held.is_some_and(|(id, _)| *id == self.id)
    }

    /// Writes records into the open transaction, or begins one. Returns the transaction's number
    /// and how many records it has.
    fn append(&mut self, records: &Batch) -> Result<(u64, usize), TransactionError> {
        let log = self.log.clone();
        let mut state = log.state();
        let name = self.transactional_id.clone().unwrap_or_default();
        let id = Some(&*name);
        if state.comes(id, Fault::Fence) {
            state.next += 1;
            let other = state.next;
            if let Some((_, Some(open))) = state.holders.insert(name.clone(), (other, None)) {
                state.end(open, Fate::Aborted);
            }
        }
        if !self.holds(&state) {
            return Err(TransactionError::Fenced(name));
        }
        let ended = |at: &str| Err(TransactionError::Unknown(format!("ended {at}")));
        let (number, mut count) = match self.open.take() {
            Some((number, _)) if !state.open.contains_key(&number) => {
                return Err(TransactionError::Fenced("the transaction has timed out".to_owned()));
            }
            Some(open) => open,
            None => {
                if state.comes(id, Fault::BeforeBegin) {
                    return ended("before it began");
                }
                state.next += 1;
                let number = state.next;
                state.fates.insert(number, Fate::Open);
                state.holders.insert(name.clone(), (self.id, Some(number)));
                state.open.insert(number, Open { group: self.group.clone(), ..Open::default() });
                if state.comes(id, Fault::AfterBegin) {
                    return ended("after it had begun");
                }
                (number, 0)
            }
        };
        for record in records.iter() {
            if let Err(refusal) = state.check(record.topic, record.wire_bytes()) {
                return Err(state.abort(number, &name, self.id, &refusal));
            }
            let place = TopicPartition { topic: record.topic.clone(), partition: record.partition };
            state.append(Some(number), record.to_outgoing());
            if let Some(open) =
                state.open.get_mut(&number).filter(|open| !open.partitions.contains(&place))
            {
                open.partitions.push(place);
            }
            count += 1;
            if state.comes(id, Fault::AfterSend(count)) {
                return ended("amid its records");
            }
        }
        Ok((number, count))
    }

    /// Everything before the commit.
    fn prepare(&mut self, transaction: &Transaction) -> Result<u64, TransactionError> {
        let (number, _) = self.append(&transaction.records)?;
        let log = self.log.clone();
        let mut state = log.state();
        let name = self.transactional_id.clone().unwrap_or_default();
        let id = Some(&*name);
        let ended = |at: &str| Err(TransactionError::Unknown(format!("ended {at}")));
        for _ in 0..=usize::from(state.sends_offsets_twice) {
            if let Err(reason) = state.stage(number, self.id, &transaction.offsets) {
                return Err(state.abort(number, &name, self.id, reason));
            }
        }
        if state.comes(id, Fault::Abort) {
            return Err(state.abort(number, &name, self.id, "a test ordered this abort"));
        }
        if state.comes(id, Fault::AfterOffsets) {
            return ended("after its offsets");
        }
        if state.comes(id, Fault::CommitUnseen) {
            state.end(number, Fate::Committed);
            state.holders.insert(name, (self.id, None));
            return ended("before the answer to its commit");
        }
        Ok(number)
    }

    /// Commits what is in flight, unless commits are held.
    fn settle(&mut self, even_held: bool) -> Option<Result<(), TransactionError>> {
        let log = self.log.clone();
        let mut state = log.state();
        if state.hold && !even_held && matches!(self.in_flight, Some(Ok(_))) {
            return None;
        }
        let name = self.transactional_id.clone();
        let mut over = false;
        let ended = match self.in_flight.take()? {
            Ok(_) if !self.holds(&state) => {
                Err(TransactionError::Fenced(self.transactional_id.clone().unwrap_or_default()))
            }
            Ok(id) if !state.open.contains_key(&id) => {
                Err(TransactionError::Fenced("the transaction has timed out".to_owned()))
            }
            Ok(_) if state.comes(name.as_deref(), Fault::BeforeCommit) => {
                Err(TransactionError::Unknown("ended before its commit".to_owned()))
            }
            Ok(id) => {
                state.end(id, Fate::Committed);
                state.holders.insert(name.clone().unwrap_or_default(), (self.id, None));
                over = state.comes(name.as_deref(), Fault::AfterCommit);
                Ok(())
            }
            Err(error) => Err(error),
        };
        drop(state);
        self.broken = over || is_fatal(&ended);
        Some(ended)
    }
}

fn is_fatal(ended: &Result<(), TransactionError>) -> bool {
    matches!(ended, Err(TransactionError::Fenced(_) | TransactionError::Unknown(_)))
}

impl Drop for MemorySession {
    fn drop(&mut self) {
        let mut state = self.log.state();
        if let Some(group) = state.groups.get_mut(&self.group) {
            group.members.retain(|member| member.id != self.id);
            group.rebalance();
        }
    }
}

impl Input for MemorySession {
    fn poll(
        &mut self,
        _timeout: Duration,
        max: usize,
        out: &mut Vec<Record>,
    ) -> Result<(), LogError> {
        self.check()?;
        // A revocation waits for the transaction in flight.
        let log = self.log.clone();
        let revoking = {
            let state = log.state();
            let group = state.groups.get(&self.group);
            group
                .is_some_and(|group| group.members.iter().any(|m| m.id == self.id && m.must_revoke))
        };
        if revoking && log.state().comes(self.transactional_id.as_deref(), Fault::InRebalance) {
            self.broken = true;
            return self.check();
        }
        if revoking && self.ended.is_none() {
            self.ended = self.settle(true);
        }
        let mut state = log.state();
        let news = state.serve(&self.group, self.id);
        if !news.is_empty() {
            self.news.extend(news);
            self.positions.clear();
            return Ok(());
        }
        let (places, before) = (self.positions.len(), out.len());
        for step in 0..places {
            let (place, position) = &mut self.positions[(self.turn + step) % places];
            if let Some(part) =
                state.topics.get(&place.topic).and_then(|l| l.get(place.partition as usize))
                && (*position < part.beginning || *position > part.end)
            {
                let (partition, offset) = (place.clone(), *position);
                let (beginning, end) = (part.beginning, part.end);
                return Err(LogError::OutOfRange { partition, offset, beginning, end });
            }
            let room = max - (out.len() - before);
            *position = state.read(place, *position, room, out);
        }
        self.turn = self.turn.wrapping_add(1);
        if out.len() > before && state.comes(self.transactional_id.as_deref(), Fault::AfterPoll) {
            self.broken = true;
            return self.check();
        }
        Ok(())
    }

    fn membership(&mut self) -> Option<Membership> {
        self.news.pop_front()
    }

    fn fetch_from(&mut self, positions: &[(TopicPartition, i64)]) -> Result<(), LogError> {
        self.check()?;
        self.positions = positions.to_vec();
        Ok(())
    }

    fn watermarks(&mut self, partition: &TopicPartition) -> Result<(i64, i64), LogError> {
        Ok(self.log.span(partition))
    }

    fn positions(&mut self) -> Vec<(TopicPartition, i64)> {
        self.positions.clone()
    }

    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<i64>>, LogError> {
        self.log.state().committed(&self.group, partitions)
    }
}

impl Session for MemorySession {
    fn write(&mut self, records: Batch) -> Result<(), LogError> {
        self.check()?;
        assert!(
            self.in_flight.is_none(),
            "a transaction is written while another one is in flight"
        );
        if self.ended.is_none() {
            match self.append(&records) {
                Ok(open) => self.open = Some(open),
                Err(error) => self.ended = Some(Err(error)),
            }
        }
        Ok(())
    }

    fn submit(&mut self, transaction: Transaction) -> Result<(), LogError> {
        self.check()?;
        assert!(
            self.in_flight.is_none() && !matches!(self.ended, Some(Ok(()))),
            "one transaction at a time"
        );
        assert!(!transaction.offsets.is_empty(), "a transaction without offsets fences nobody");
        // Where it has failed already, that is still to be told.
        if self.ended.is_none() {
            self.in_flight = Some(self.prepare(&transaction));
        }
        Ok(())
    }

    fn abandon(&mut self) -> Result<(), LogError> {
        self.check()?;
        if let Some((number, _)) = self.open.take() {
            let mut state = self.log.state();
            state.end(number, Fate::Aborted);
            if let Some((id, open)) =
                self.transactional_id.as_ref().and_then(|name| state.holders.get_mut(name))
                && *id == self.id
            {
                *open = None;
            }
            drop(state);
            self.in_flight =
                Some(Err(TransactionError::Aborted("it is not wanted any more".to_owned())));
        }
        Ok(())
    }

    fn completed(&mut self, _wait: Duration) -> Option<Result<(), TransactionError>> {
        let ended = self.ended.take().or_else(|| self.settle(false));
        self.broken |= ended.as_ref().is_some_and(is_fatal);
        ended
    }

    fn restore(
        &mut self,
        changelog: &TopicPartition,
        inputs: &[TopicPartition],
    ) -> Result<Box<dyn Restore>, LogError> {
        self.check()?;
        Ok(Box::new(MemoryRestore {
            log: self.log.clone(),
            name: self.transactional_id.clone(),
            group: self.group.clone(),
            place: changelog.clone(),
            inputs: inputs.to_vec(),
            committed: None,
            position: 0,
            end: 0,
            read: 0,
        }))
    }
}

struct MemoryRestore {
    log: MemoryLog,
    name: Option<String>,
    group: String,
    place: TopicPartition,
    inputs: Vec<TopicPartition>,
    /// What the group had committed when the end was taken; `None` before.
    committed: Option<Vec<Option<i64>>>,
    position: i64,
    end: i64,
    read: usize,
}

impl Restore for MemoryRestore {
    fn poll(
        &mut self,
        _timeout: Duration,
        max: usize,
        out: &mut Vec<Record>,
    ) -> Result<Option<Start>, LogError> {
        let (mut state, before) = (self.log.state(), out.len());
        let doing = format!("reading {} back", self.place);
        if state.unreadable.contains(&self.place) {
            return Err(LogError::Retriable { doing, cause: "a test ordered this".to_owned() });
        }
        let committed = match &self.committed {
            Some(committed) => committed,
            None => {
                self.end = state.span(&self.place).1;
                self.committed.insert(state.committed(&self.group, &self.inputs)?)
            }
        };
        self.position = state.read(&self.place, self.position, max, out);
        for _ in before..out.len() {
            self.read += 1;
            if state.comes(self.name.as_deref(), Fault::DuringRestore(self.read)) {
                return Err(LogError::Fatal { doing, cause: "the session has ended".to_owned() });
            }
        }
        let kept = || self.inputs.iter().map(|input| state.span(input)).collect();
        Ok((self.position >= self.end)
            .then(|| Start { committed: committed.clone(), kept: kept() }))
    }

    fn progress(&self) -> (i64, i64) {
        (self.position, self.end)
    }
}

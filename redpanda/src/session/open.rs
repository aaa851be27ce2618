//! The worker's side of a session: opens it, hands transactions over, and returns their results.
//! Its only transaction call is `init_transactions`.

use std::{sync::Arc, time::Duration};

use rdkafka::{consumer::Consumer as _, producer::Producer as _};

use super::{
    committer::Committer,
    errors::handover_failed,
    in_flight::{InFlight, State},
    producer::{self, ProducerPoller, TRANSACTION_TIMEOUT},
    settings::{Delivery, Settings},
    thread::{CommitThread, END_MAX, Request, STUCK_MAX, stuck_threads},
};
use crate::{
    client::fatal,
    group::{ASSIGNED_MAX, GroupConsumer},
    log::{
        Connect, Input, LogError, Membership, ProducerRecords, Record, Restore, Session,
        TopicPartition, Transaction, TransactionError,
    },
    scan,
};

/// How long a revocation waits for the transaction in flight: longer than `transaction.timeout.ms`,
/// after which the broker ends it. The members that wait for their assignments meanwhile must not
/// give up before, as they would join again and start another rebalance. A transaction that takes
/// longer can't do harm: its offsets carry the generation in which it was submitted, and the next
/// owner asks for stable offsets.
const REVOKE_MAX: Duration = Duration::from_secs(12);
const _: () = assert!(
    TRANSACTION_TIMEOUT.as_secs() < REVOKE_MAX.as_secs()
        && REVOKE_MAX.as_secs() + 2 < ASSIGNED_MAX.as_secs(),
    "a member that waits for another one's revocation must not give up first"
);
/// The deadline of `init_transactions`, which waits for the end of the previous holder's open
/// transaction: some milliseconds. A broker that is cut off from the others may say that it is the
/// coordinator, and answers only after 30 s. The next attempt may ask another broker.
const INIT_MAX: Duration = Duration::from_secs(10);

impl Connect for Settings {
    fn open(&self) -> Result<Box<dyn Session>, LogError> {
        let doing = || format!("opening a session as {}", self.transactional_id);
        // Each stuck thread keeps a producer with its connections and queues. The process must be
        // restarted before many of them use up its memory.
        let stuck = stuck_threads();
        if stuck >= STUCK_MAX {
            let cause = format!("{stuck} threads of earlier sessions are stuck in librdkafka");
            return Err(LogError::Exhausted { doing: doing(), cause: cause.into() });
        }
        let producer = producer::create(self).map_err(|e| fatal(doing(), e))?;
        let poller = ProducerPoller::start(producer).map_err(|e| fatal(doing(), e))?;
        if self.delivery == Delivery::ExactlyOnce {
            // Fence before joining the group. This bumps the epoch of the transactional id: from
            // here on the broker refuses every request of an earlier holder, and it aborts the
            // transaction that the holder has left open. So when this session gets partitions,
            // their committed offsets can't be changed by that holder any more.
            poller.producer().init_transactions(INIT_MAX).map_err(|e| fatal(doing(), e))?;
        }
        let in_flight = Arc::new(InFlight::default());
        let revoked = in_flight.clone();
        // The transactional id is also the `group.instance.id`, so that a restart within the
        // session timeout keeps its partitions. A revocation waits until the transaction in flight
        // has ended, so that the next owner finds its offsets.
        let input = GroupConsumer::join(
            &self.brokers,
            &self.group,
            &self.inputs,
            &[("group.instance.id", &self.transactional_id)],
            Box::new(move || revoked.wait_idle(REVOKE_MAX)),
        )?;
        let committer = Committer::new(poller, in_flight.clone(), self.delivery);
        #[cfg(any(feature = "benchmarks", feature = "mutants"))]
        let committer = committer.with_consumer(input.client());
        let thread = CommitThread::start(move |requests| committer.run(requests), END_MAX)
            .map_err(|e| fatal(doing(), e))?;
        Ok(Box::new(KafkaSession { thread, input, in_flight }))
    }

    fn record_at(
        &self,
        partition: &TopicPartition,
        offset: i64,
        at_most: Duration,
    ) -> Result<Option<Record>, LogError> {
        scan::record_at(&self.brokers, partition, offset, at_most)
    }
}

/// The session of one worker.
struct KafkaSession {
    /// Dropped before the input, because the thread uses the input's consumer. Fields are dropped
    /// in order.
    thread: CommitThread,
    input: GroupConsumer,
    in_flight: Arc<InFlight>,
}

impl KafkaSession {
    /// Hands over the request that ends a transaction.
    fn end(&self, request: Request) -> Result<(), LogError> {
        let mut state = self.in_flight.state();
        match *state {
            State::Idle => *state = State::Busy,
            // The transaction failed while its first records were written, and the worker has not
            // asked for the result yet. `completed` returns it next, so there is nothing to end.
            State::Ended(Err(_)) => return Ok(()),
            State::Busy | State::Ended(Ok(())) => {
                return Err(handover_failed("another transaction is in flight"));
            }
        }
        drop(state);
        self.thread.hand_over(request)
    }
}

impl Session for KafkaSession {
    fn write(&mut self, records: ProducerRecords) -> Result<(), LogError> {
        self.thread.hand_over(Request::Records(records))
    }

    fn submit(&mut self, transaction: Transaction) -> Result<(), LogError> {
        // Read for each transaction, because the coordinator compares the generation with the
        // group's: a member of an earlier generation must not commit (KIP-447). It is read now,
        // because what the worker decided is right for the generation of this moment only. When the
        // thread commits, a rebalance may have taken the tasks away.
        let metadata = self.input.client().group_metadata();
        self.end(Request::Commit(transaction, metadata))
    }

    fn abandon(&mut self) -> Result<(), LogError> {
        self.end(Request::Abort)
    }

    fn completed(&mut self, wait: Duration) -> Option<Result<(), TransactionError>> {
        let result = self.in_flight.take_result(wait)?;
        if result.is_err() {
            // The worker knows of the failure now, so requests after this one belong to the next
            // transaction. A thread that has ended needs no request.
            drop(self.thread.hand_over(Request::Reset));
        }
        Some(result)
    }

    fn restore(
        &mut self,
        changelog: &TopicPartition,
        inputs: &[TopicPartition],
        watched: &[TopicPartition],
    ) -> Result<Box<dyn Restore>, LogError> {
        Ok(Box::new(self.input.restore(changelog, inputs, watched)?))
    }
}

impl Input for KafkaSession {
    fn poll(
        &mut self,
        timeout: Duration,
        max: usize,
        out: &mut Vec<Record>,
    ) -> Result<(), LogError> {
        self.input.poll(timeout, max, out)
    }

    fn membership(&mut self) -> Option<Membership> {
        self.input.membership()
    }

    fn fetch_from(&mut self, positions: &[(TopicPartition, i64)]) -> Result<(), LogError> {
        self.input.fetch_from(positions)
    }

    fn watermarks(&mut self, partition: &TopicPartition) -> Result<(i64, i64), LogError> {
        self.input.watermarks(partition)
    }

    fn partitions(&mut self, topic: &str) -> Result<i32, LogError> {
        self.input.partitions(topic)
    }

    fn lag(&mut self) -> Option<Vec<(TopicPartition, i64)>> {
        self.input.lag()
    }

    fn silence(&self) -> Duration {
        self.input.silence()
    }

    fn positions(&mut self) -> Vec<(TopicPartition, i64)> {
        self.input.positions()
    }

    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<i64>>, LogError> {
        self.input.committed(partitions)
    }
}

//! The rules on transactions, and what they remember of each transaction: which groups have staged
//! offsets in it. The state survives a restart of the broker, as Redpanda's does.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnResponse, EndTxnRequest,
    EndTxnResponse, InitProducerIdRequest, InitProducerIdResponse, TxnOffsetCommitRequest,
    TxnOffsetCommitResponse,
};
use kafka_protocol::protocol::{Decodable, HeaderVersion};

use super::super::{Exchange, Next, Plan, Request, Settings};
use super::{Rule, limits};

pub(super) const STAGED_ONCE: Rule = Rule {
    name: "offsets-staged-once",
    does: "AddOffsetsToTxn of a transaction that has staged offsets of the group fails with UNKNOWN_SERVER_ERROR, also when it \
           is sent again.",
    source: "src/v/kafka/server/group.cc, group::begin_tx",
};

pub(super) const WAITS_FOR_END: Rule = Rule {
    name: "add-waits-for-end",
    does: "AddPartitionsToTxn, AddOffsetsToTxn, EndTxn and InitProducerId wait while an earlier request of the transactional id \
           ends its transaction; Kafka answers CONCURRENT_TRANSACTIONS.",
    source: "src/v/cluster/tx_gateway_frontend.cc, with, which holds tm_stm::lock_tx over each of these requests",
};

/// Redpanda's lock has no bound of its own; what holds it ends within a few calls of
/// create_topic_timeout_ms (2 s).
const AGAIN_MAX: Duration = Duration::from_secs(30);
/// Kafka ends a transaction in milliseconds.
const AGAIN_AFTER_MIN: Duration = Duration::from_millis(1);
/// A transaction whose end needs longer is looked at more seldom.
const AGAIN_AFTER_MAX: Duration = Duration::from_millis(10);

/// One incarnation of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Producer {
    id: i64,
    epoch: i16,
}

/// The open transaction of a transactional id.
#[derive(Debug)]
struct Open {
    producer: Producer,
    /// Groups that have staged offsets in it.
    staged: HashSet<String>,
}

/// The open transactions of a cluster by transactional id.
#[derive(Clone, Debug, Default)]
pub struct Transactions(Arc<Mutex<HashMap<String, Open>>>);

impl Transactions {
    fn open(&self) -> MutexGuard<'_, HashMap<String, Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_staged(&self, id: &str, producer: Producer, group: &str) -> bool {
        self.open()
            .get(id)
            .is_some_and(|open| open.producer == producer && open.staged.contains(group))
    }

    /// Returns whether the group had staged nothing before.
    fn stage(&self, id: &str, producer: Producer, group: &str) -> bool {
        let mut all = self.open();
        let open =
            all.entry(id.to_owned()).or_insert_with(|| Open { producer, staged: HashSet::new() });
        if open.producer != producer {
            *open = Open { producer, staged: HashSet::new() };
        }
        open.staged.insert(group.to_owned())
    }

    fn unstage(&self, id: &str, producer: Producer, group: &str) {
        let mut all = self.open();
        if let Some(open) = all.get_mut(id).filter(|open| open.producer == producer) {
            open.staged.remove(group);
        }
    }

    fn forget(&self, id: &str) {
        self.open().remove(id);
    }

    pub(super) fn add_offsets(&self, request: &Request) -> anyhow::Result<Plan> {
        let body: AddOffsetsToTxnRequest = request.decode()?;
        let producer = Producer { id: body.producer_id.0, epoch: body.producer_epoch };
        if !self.has_staged(&body.transactional_id, producer, &body.group_id) {
            return when_ended(
                request,
                |response: &AddOffsetsToTxnResponse| response.error_code,
                |_| {},
            );
        }
        tell!(
            "gate: {}: {} has staged offsets of {} before",
            STAGED_ONCE.name,
            &**body.transactional_id,
            &**body.group_id
        );
        let refused = AddOffsetsToTxnResponse::default()
            .with_error_code(ResponseError::UnknownServerError.code());
        Ok(Plan::Answer(request.response(&refused)?))
    }

    /// Offsets count as staged from the moment in which they go to Kafka: an answer that is lost
    /// leaves them so.
    pub(super) fn commit_offsets(&self, request: &Request) -> anyhow::Result<Plan> {
        let body: TxnOffsetCommitRequest = request.decode()?;
        let producer = Producer { id: body.producer_id.0, epoch: body.producer_epoch };
        let (id, group) = (body.transactional_id.to_string(), body.group_id.to_string());
        let first = self.stage(&id, producer, &group);
        let transactions = self.clone();
        let look = move |request: &Request, response: &Bytes| {
            let response: TxnOffsetCommitResponse = request.read_response(response)?;
            let mut partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
            if first && partitions.all(|partition| partition.error_code != 0) {
                transactions.unstage(&id, producer, &group);
            }
            Ok(None)
        };
        let exchange = Box::new(Look(request.clone(), look));
        Ok(Plan::Exchange { request: request.frame(), exchange, alone: false })
    }

    pub(super) fn end(&self, request: &Request) -> anyhow::Result<Plan> {
        let body: EndTxnRequest = request.decode()?;
        let (transactions, id) = (self.clone(), body.transactional_id.to_string());
        when_ended(
            request,
            |response: &EndTxnResponse| response.error_code,
            move |error_code| {
                if error_code == 0 {
                    transactions.forget(&id);
                }
            },
        )
    }

    pub(super) fn init_producer(
        &self,
        settings: &Settings,
        request: &Request,
    ) -> anyhow::Result<Plan> {
        let body: InitProducerIdRequest = request.decode()?;
        let Some(id) = &body.transactional_id else { return Ok(Plan::Pass) };
        if let Some(refused) = limits::refuse_producer(settings, request, &body)? {
            return Ok(refused);
        }
        let (transactions, id) = (self.clone(), id.to_string());
        when_ended(
            request,
            |response: &InitProducerIdResponse| response.error_code,
            move |error_code| {
                if error_code == 0 {
                    transactions.forget(&id);
                }
            },
        )
    }
}

pub(super) fn add_partitions(request: &Request) -> anyhow::Result<Plan> {
    let waits = |response: &AddPartitionsToTxnResponse| {
        let topics = &response.results_by_topic_v3_and_below;
        let mut partitions = topics.iter().flat_map(|topic| &topic.results_by_partition);
        let waits = partitions.any(|partition| partition.partition_error_code == CONCURRENT);
        if waits { CONCURRENT } else { 0 }
    };
    when_ended(request, waits, |_| {})
}

const CONCURRENT: i16 = ResponseError::ConcurrentTransactions.code();

/// Repeats a request to the transaction coordinator while the transaction before ends, then shows
/// its error code to `seen`.
fn when_ended<T: Decodable + HeaderVersion + 'static>(
    request: &Request,
    error_code: impl Fn(&T) -> i16 + Send + Sync + 'static,
    mut seen: impl FnMut(i16) + Send + Sync + 'static,
) -> anyhow::Result<Plan> {
    let begun = Instant::now();
    let mut pause = AGAIN_AFTER_MIN;
    let look = move |request: &Request, response: &Bytes| {
        let error_code = error_code(&request.read_response::<T>(response)?);
        if error_code == CONCURRENT && begun.elapsed() < AGAIN_MAX {
            let after = pause;
            pause = (pause * 2).min(AGAIN_AFTER_MAX);
            return Ok(Some(after));
        }
        seen(error_code);
        Ok(None)
    };
    let exchange = Box::new(Look(request.clone(), look));
    Ok(Plan::Exchange { request: request.frame(), exchange, alone: true })
}

/// Passes a request and its response, and lets a rule look at the response before the client has
/// it. The rule may want the request to be sent again, after a while that it returns.
struct Look<F>(Request, F);

impl<F> Exchange for Look<F>
where
    F: FnMut(&Request, &Bytes) -> anyhow::Result<Option<Duration>> + Send + Sync,
{
    fn answered(&mut self, response: Bytes) -> anyhow::Result<Next> {
        Ok(match (self.1)(&self.0, &response)? {
            Some(after) => Next::Ask { request: self.0.frame(), after },
            None => Next::Respond(response),
        })
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::add_partitions_to_txn_response::{
        AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
    };
    use kafka_protocol::messages::txn_offset_commit_response::{
        TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
    };
    use kafka_protocol::messages::{
        AddPartitionsToTxnRequest, ApiKey, GroupId, ProducerId, TransactionalId,
    };
    use kafka_protocol::protocol::StrBytes;

    use super::super::tests::{answered, asked, request, responded};
    use super::*;
    use crate::gate::Gate;

    fn id() -> TransactionalId {
        TransactionalId(StrBytes::from_static_str("order-0-0"))
    }

    fn group() -> GroupId {
        GroupId(StrBytes::from_static_str("order"))
    }

    fn add_offsets(gate: &Gate, epoch: i16) -> Plan {
        let body = AddOffsetsToTxnRequest::default()
            .with_transactional_id(id())
            .with_producer_id(ProducerId(4))
            .with_producer_epoch(epoch)
            .with_group_id(group());
        gate.plan(&request(ApiKey::AddOffsetsToTxn, 1, &body)).expect("a plan")
    }

    fn commit_offsets(gate: &Gate, epoch: i16, error: Option<i16>) {
        let body = TxnOffsetCommitRequest::default()
            .with_transactional_id(id())
            .with_group_id(group())
            .with_producer_id(ProducerId(4))
            .with_producer_epoch(epoch);
        let request = request(ApiKey::TxnOffsetCommit, 3, &body);
        let (_, mut exchange) = asked(gate.plan(&request).expect("a plan"));
        let Some(error) = error else { return };
        let partition = TxnOffsetCommitResponsePartition::default().with_error_code(error);
        let topic = TxnOffsetCommitResponseTopic::default().with_partitions(vec![partition]);
        let response = TxnOffsetCommitResponse::default().with_topics(vec![topic]);
        exchange
            .answered(request.response(&response).expect("a response"))
            .expect("it is passed on");
    }

    fn end(gate: &Gate, error: i16) {
        let body =
            EndTxnRequest::default().with_transactional_id(id()).with_producer_id(ProducerId(4));
        let request = request(ApiKey::EndTxn, 3, &body);
        let (_, mut exchange) = asked(gate.plan(&request).expect("a plan"));
        let response = request
            .response(&EndTxnResponse::default().with_error_code(error))
            .expect("a response");
        exchange.answered(response).expect("it is passed on");
    }

    fn refused(plan: Plan) -> bool {
        if matches!(plan, Plan::Exchange { .. }) {
            return false;
        }
        let response: AddOffsetsToTxnResponse = answered(plan, 1);
        assert_eq!(response.error_code, ResponseError::UnknownServerError.code());
        true
    }

    #[test]
    fn adding_offsets_is_idempotent_until_offsets_are_staged_and_refused_after() {
        let gate = Gate::default();
        assert!(!refused(add_offsets(&gate, 1)));
        assert!(!refused(add_offsets(&gate, 1)));
        commit_offsets(&gate, 1, Some(0));
        assert!(refused(add_offsets(&gate, 1)));
        assert!(refused(add_offsets(&gate, 1)));
    }

    #[test]
    fn offsets_that_kafka_refused_are_not_staged_and_unanswered_ones_are() {
        let gate = Gate::default();
        commit_offsets(&gate, 1, Some(ResponseError::UnknownMemberId.code()));
        assert!(!refused(add_offsets(&gate, 1)));
        commit_offsets(&gate, 1, None);
        assert!(refused(add_offsets(&gate, 1)));
        // A refused repetition does not undo what is staged.
        commit_offsets(&gate, 1, Some(ResponseError::UnknownMemberId.code()));
        assert!(refused(add_offsets(&gate, 1)));
    }

    #[test]
    fn ended_transaction_has_staged_nothing_and_a_failed_end_ends_nothing() {
        let gate = Gate::default();
        commit_offsets(&gate, 1, Some(0));
        end(&gate, ResponseError::CoordinatorNotAvailable.code());
        assert!(refused(add_offsets(&gate, 1)));
        end(&gate, 0);
        assert!(!refused(add_offsets(&gate, 1)));
    }

    #[test]
    fn new_epoch_and_new_initialisation_begin_with_nothing_staged() {
        let gate = Gate::default();
        commit_offsets(&gate, 1, Some(0));
        assert!(!refused(add_offsets(&gate, 2)));
        assert!(refused(add_offsets(&gate, 1)));
        let body = InitProducerIdRequest::default().with_transactional_id(Some(id()));
        let request = request(ApiKey::InitProducerId, 3, &body);
        let (_, mut exchange) = asked(gate.plan(&request).expect("a plan"));
        let response = request.response(&InitProducerIdResponse::default()).expect("a response");
        exchange.answered(response).expect("it is passed on");
        assert!(!refused(add_offsets(&gate, 1)));
    }

    #[test]
    fn adding_is_repeated_while_the_transaction_before_ends() {
        let (frame, mut exchange) = asked(add_offsets(&Gate::default(), 1));
        let request = Request::of(frame.clone()).expect("a request");
        let mut answer = |error: i16| {
            let response = AddOffsetsToTxnResponse::default().with_error_code(error);
            exchange.answered(request.response(&response).expect("a response")).expect("a decision")
        };
        for _ in 0..3 {
            let Next::Ask { request: again, .. } = answer(CONCURRENT) else {
                panic!("it is answered")
            };
            assert_eq!(again, frame);
        }
        let response: AddOffsetsToTxnResponse = responded(answer(0), 1);
        assert_eq!(response.error_code, 0);
    }

    #[test]
    fn adding_partitions_is_repeated_while_the_transaction_before_ends() {
        let body = AddPartitionsToTxnRequest::default();
        let request = request(ApiKey::AddPartitionsToTxn, 3, &body);
        let (_, mut exchange) = asked(Gate::default().plan(&request).expect("a plan"));
        let mut answer = |error: i16| {
            let partition =
                AddPartitionsToTxnPartitionResult::default().with_partition_error_code(error);
            let topic =
                AddPartitionsToTxnTopicResult::default().with_results_by_partition(vec![partition]);
            let response = AddPartitionsToTxnResponse::default()
                .with_results_by_topic_v3_and_below(vec![topic]);
            exchange.answered(request.response(&response).expect("a response")).expect("a decision")
        };
        assert!(matches!(answer(CONCURRENT), Next::Ask { .. }));
        assert!(matches!(answer(ResponseError::InvalidProducerEpoch.code()), Next::Respond(_)));
    }
}

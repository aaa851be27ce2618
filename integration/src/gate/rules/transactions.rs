//! The rules on transactions, and what they remember of each transaction: which groups have staged offsets in it. The state
//! survives a restart of the broker, as Redpanda's does.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, EndTxnRequest, EndTxnResponse, InitProducerIdRequest,
    InitProducerIdResponse, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};

use super::super::{Exchange, Next, Plan, Request};
use super::Rule;

pub(super) const STAGED_ONCE: Rule = Rule {
    name: "offsets-staged-once",
    does: "AddOffsetsToTxn of a transaction that has staged offsets of the group fails with UNKNOWN_SERVER_ERROR, also when it \
           is sent again.",
    source: "src/v/kafka/server/group.cc, group::begin_tx",
};

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
        self.open().get(id).is_some_and(|open| open.producer == producer && open.staged.contains(group))
    }

    /// Returns whether the group had staged nothing before.
    fn stage(&self, id: &str, producer: Producer, group: &str) -> bool {
        let mut all = self.open();
        let open = all.entry(id.to_owned()).or_insert_with(|| Open { producer, staged: HashSet::new() });
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
            return Ok(Plan::Pass);
        }
        tell!(
            "gate: {}: {} has staged offsets of {} before",
            STAGED_ONCE.name,
            &**body.transactional_id,
            &**body.group_id
        );
        let refused =
            AddOffsetsToTxnResponse::default().with_error_code(ResponseError::UnknownServerError.code());
        Ok(Plan::Answer(request.response(&refused)?))
    }

    /// Offsets count as staged from the moment in which they go to Kafka: an answer that is lost leaves them so.
    pub(super) fn commit_offsets(&self, request: &Request) -> anyhow::Result<Plan> {
        let body: TxnOffsetCommitRequest = request.decode()?;
        let producer = Producer { id: body.producer_id.0, epoch: body.producer_epoch };
        let (id, group) = (body.transactional_id.to_string(), body.group_id.to_string());
        let first = self.stage(&id, producer, &group);
        let transactions = self.clone();
        look(request, move |request, response| {
            let response: TxnOffsetCommitResponse = request.read_response(response)?;
            let mut partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
            if first && partitions.all(|partition| partition.error_code != 0) {
                transactions.unstage(&id, producer, &group);
            }
            Ok(())
        })
    }

    pub(super) fn end(&self, request: &Request) -> anyhow::Result<Plan> {
        let body: EndTxnRequest = request.decode()?;
        let (transactions, id) = (self.clone(), body.transactional_id.to_string());
        look(request, move |request, response| {
            let response: EndTxnResponse = request.read_response(response)?;
            if response.error_code == 0 {
                transactions.forget(&id);
            }
            Ok(())
        })
    }

    pub(super) fn init_producer(&self, request: &Request) -> anyhow::Result<Plan> {
        let body: InitProducerIdRequest = request.decode()?;
        let Some(id) = body.transactional_id else { return Ok(Plan::Pass) };
        let (transactions, id) = (self.clone(), id.to_string());
        look(request, move |request, response| {
            let response: InitProducerIdResponse = request.read_response(response)?;
            if response.error_code == 0 {
                transactions.forget(&id);
            }
            Ok(())
        })
    }
}

/// Passes a request and its response, and lets a rule look at the response before the client has it.
fn look(
    request: &Request,
    look: impl FnMut(&Request, &Bytes) -> anyhow::Result<()> + Send + Sync + 'static,
) -> anyhow::Result<Plan> {
    struct Look<F>(Request, F);
    impl<F: FnMut(&Request, &Bytes) -> anyhow::Result<()> + Send + Sync> Exchange for Look<F> {
        fn answered(&mut self, response: Bytes) -> anyhow::Result<Next> {
            (self.1)(&self.0, &response)?;
            Ok(Next::Respond(response))
        }
    }
    let exchange = Box::new(Look(request.clone(), look));
    Ok(Plan::Exchange { request: request.frame(), exchange, alone: false })
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::txn_offset_commit_response::{
        TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
    };
    use kafka_protocol::messages::{ApiKey, GroupId, ProducerId, TransactionalId};
    use kafka_protocol::protocol::StrBytes;

    use super::super::tests::{answered, asked, request};
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
        exchange.answered(request.response(&response).expect("a response")).expect("it is passed on");
    }

    fn end(gate: &Gate, error: i16) {
        let body = EndTxnRequest::default().with_transactional_id(id()).with_producer_id(ProducerId(4));
        let request = request(ApiKey::EndTxn, 3, &body);
        let (_, mut exchange) = asked(gate.plan(&request).expect("a plan"));
        let response =
            request.response(&EndTxnResponse::default().with_error_code(error)).expect("a response");
        exchange.answered(response).expect("it is passed on");
    }

    fn refused(plan: Plan) -> bool {
        if matches!(plan, Plan::Pass) {
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
        end(&gate, ResponseError::ConcurrentTransactions.code());
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
}

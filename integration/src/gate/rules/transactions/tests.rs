//! The requests of a transaction, in the orders that matter, without a broker.

use super::repeat::CONCURRENT;
use crate::gate::Next;
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
    // A repetition that Kafka refuses does not undo the staged offsets.
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
        let Next::Ask { request: again, .. } = answer(CONCURRENT) else { panic!("it is answered") };
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
        let response =
            AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(vec![topic]);
        exchange.answered(request.response(&response).expect("a response")).expect("a decision")
    };
    assert!(matches!(answer(CONCURRENT), Next::Ask { .. }));
    assert!(matches!(answer(ResponseError::InvalidProducerEpoch.code()), Next::Respond(_)));
}

#[test]
fn initialisation_waits_for_the_end_of_a_transaction_and_tells_of_an_open_one() {
    let gate = Gate::default();
    let initialise = |error: i16| {
        let body = InitProducerIdRequest::default().with_transactional_id(Some(id()));
        let request = request(ApiKey::InitProducerId, 3, &body);
        let (_, mut exchange) = asked(gate.plan(&request).expect("a plan"));
        let response = InitProducerIdResponse::default().with_error_code(error);
        exchange.answered(request.response(&response).expect("a response")).expect("a decision")
    };
    // An earlier process has left a transaction open.
    add_offsets(&gate, 1);
    assert!(matches!(initialise(CONCURRENT), Next::Respond(_)));
    end(&gate, 0);
    assert!(matches!(initialise(CONCURRENT), Next::Ask { .. }));
    assert!(matches!(initialise(0), Next::Respond(_)));
    add_offsets(&gate, 2);
    end(&gate, ResponseError::CoordinatorNotAvailable.code());
    assert!(matches!(initialise(CONCURRENT), Next::Respond(_)), "it is still open");
}

//! The rules on transactions, and what they remember of each open transaction: the groups that have
//! staged offsets in it. The state survives a restart of the broker, as Redpanda's does.

mod repeat;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnResponse, EndTxnRequest,
    EndTxnResponse, InitProducerIdRequest, InitProducerIdResponse, TxnOffsetCommitRequest,
    TxnOffsetCommitResponse,
};

use super::{Rule, limits};
use crate::gate::plan::Plan;
use crate::gate::settings::Settings;
use crate::gate::wire::Request;
use repeat::{CONCURRENT, Inspected, when_ended};

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

/// A producer id and its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Producer {
    id: i64,
    epoch: i16,
}

/// The open transaction of a transactional id.
#[derive(Debug)]
struct Open {
    producer: Producer,
    /// The groups that have staged offsets in it.
    staged: HashSet<String>,
}

/// The open transactions of a cluster, by transactional id.
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

    /// Stages offsets of a group. Returns whether the group had staged none before.
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

    /// Offsets count as staged when they are sent to Kafka, also if the answer is lost.
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
        let exchange = Box::new(Inspected(request.clone(), look));
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

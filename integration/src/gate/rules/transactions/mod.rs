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
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse, EndTxnRequest, EndTxnResponse, InitProducerIdRequest,
    InitProducerIdResponse, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};

use super::{Rule, limits};
use crate::gate::plan::Plan;
use crate::gate::settings::Settings;
use crate::gate::wire::Request;
use repeat::{CONCURRENT, Inspected, passed, when_ended};

pub(super) const STAGED_ONCE: Rule = Rule {
    name: "offsets-staged-once",
    does: "AddOffsetsToTxn of a transaction that has staged offsets of the group fails with UNKNOWN_SERVER_ERROR, also when it \
           is sent again.",
    source: "src/v/kafka/server/group.cc, group::begin_tx",
};

pub(super) const WAITS_FOR_END: Rule = Rule {
    name: "add-waits-for-end",
    does: "AddPartitionsToTxn, AddOffsetsToTxn, EndTxn and InitProducerId wait while an EndTxn of \
           the transactional id ends its transaction; Kafka answers CONCURRENT_TRANSACTIONS. \
           InitProducerId answers that too if it finds a transaction open, which it aborts.",
    source: "src/v/cluster/tx_gateway_frontend.cc, with, which holds tm_stm::lock_tx over each of \
             these requests, and do_init_tm_tx",
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

/// The transactions of a cluster.
#[derive(Clone, Debug, Default)]
pub struct Transactions(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The open transactions, by transactional id.
    open: HashMap<String, Open>,
    /// The transactional ids whose last request was an EndTxn: Kafka may still be ending it.
    ended: HashSet<String>,
}

impl Transactions {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_staged(&self, id: &str, producer: Producer, group: &str) -> bool {
        self.state()
            .open
            .get(id)
            .is_some_and(|open| open.producer == producer && open.staged.contains(group))
    }

    /// Stages offsets of a group. Returns whether the group had staged none before.
    fn stage(&self, id: &str, producer: Producer, group: &str) -> bool {
        let all = &mut self.state().open;
        let open =
            all.entry(id.to_owned()).or_insert_with(|| Open { producer, staged: HashSet::new() });
        if open.producer != producer {
            *open = Open { producer, staged: HashSet::new() };
        }
        open.staged.insert(group.to_owned())
    }

    fn unstage(&self, id: &str, producer: Producer, group: &str) {
        let all = &mut self.state().open;
        if let Some(open) = all.get_mut(id).filter(|open| open.producer == producer) {
            open.staged.remove(group);
        }
    }

    fn forget(&self, id: &str) {
        self.state().open.remove(id);
    }

    /// Notes that a transaction has begun, or continues.
    fn continues(&self, id: &str) {
        self.state().ended.remove(id);
    }

    pub(super) fn add_partitions(&self, request: &Request) -> anyhow::Result<Plan> {
        let body: AddPartitionsToTxnRequest = request.decode()?;
        self.continues(&body.v3_and_below_transactional_id);
        let waits = |response: &AddPartitionsToTxnResponse| {
            let topics = &response.results_by_topic_v3_and_below;
            let mut partitions = topics.iter().flat_map(|topic| &topic.results_by_partition);
            let waits = partitions.any(|partition| partition.partition_error_code == CONCURRENT);
            if waits { CONCURRENT } else { 0 }
        };
        when_ended(request, waits, |_| {})
    }

    pub(super) fn add_offsets(&self, request: &Request) -> anyhow::Result<Plan> {
        let body: AddOffsetsToTxnRequest = request.decode()?;
        self.continues(&body.transactional_id);
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
        self.state().ended.insert(id.clone());
        when_ended(
            request,
            |response: &EndTxnResponse| response.error_code,
            move |error_code| match error_code {
                0 => transactions.forget(&id),
                _ => transactions.continues(&id),
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
        let is_ended = self.state().ended.contains(&id);
        let seen = move |error_code| {
            if error_code == 0 {
                transactions.forget(&id);
                transactions.continues(&id);
            }
        };
        let error_code = |response: &InitProducerIdResponse| response.error_code;
        match is_ended {
            true => when_ended(request, error_code, seen),
            // What Kafka aborts then, Redpanda aborts too, with the same answer.
            false => passed(request, error_code, seen),
        }
    }
}

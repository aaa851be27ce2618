//! Redpanda's rules that Kafka does not have, each with its name, its source in Redpanda's repository, and a test in its file.
//! A rule sees decoded requests and responses only, never a socket.

mod api_versions;
mod fetch;
mod limits;
mod topics;
mod transactions;

use kafka_protocol::messages::ApiKey;

use super::{Gate, Plan, Request};

pub use transactions::Transactions;

/// One rule of Redpanda.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name, in logs and documents.
    pub name: &'static str,
    /// What Redpanda does.
    pub does: &'static str,
    /// Where that is written: a file and function in Redpanda's repository, or a page of its documentation.
    pub source: &'static str,
}

/// Every rule of the gate.
pub const RULES: &[Rule] = &[
    api_versions::RULE,
    transactions::STAGED_ONCE,
    transactions::WAITS_FOR_END,
    topics::RULE,
    limits::TRANSACTION_TIMEOUT,
    limits::TRANSACTIONAL_ID,
    limits::SESSION_TIMEOUT,
    fetch::RULE,
];

/// Decides what is done with `request`.
pub(super) fn plan(gate: &Gate, request: &Request) -> anyhow::Result<Plan> {
    let Some(api) = api_versions::admitted(request)? else { return api_versions::plan(request) };
    match api {
        ApiKey::ApiVersions => api_versions::plan(request),
        ApiKey::AddPartitionsToTxn => transactions::add_partitions(request),
        ApiKey::AddOffsetsToTxn => gate.transactions.add_offsets(request),
        ApiKey::TxnOffsetCommit => gate.transactions.commit_offsets(request),
        ApiKey::EndTxn => gate.transactions.end(request),
        ApiKey::InitProducerId => gate.transactions.init_producer(&gate.settings, request),
        ApiKey::JoinGroup => limits::join_group(&gate.settings, request),
        ApiKey::CreateTopics => topics::create(request),
        ApiKey::AlterConfigs => topics::alter(request),
        ApiKey::IncrementalAlterConfigs => topics::alter_incrementally(request),
        ApiKey::Fetch => fetch::fetch(&gate.settings, request),
        _ => Ok(Plan::Pass),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use bytes::Bytes;
    use kafka_protocol::messages::RequestHeader;
    use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};

    use super::*;
    use crate::gate::{Exchange, Next, wire};

    /// A request as a client sends it.
    pub(in crate::gate) fn request<T: Encodable + HeaderVersion>(
        api: ApiKey,
        version: i16,
        body: &T,
    ) -> Request {
        let header = RequestHeader::default()
            .with_request_api_key(api as i16)
            .with_request_api_version(version)
            .with_correlation_id(7);
        let frame = wire::frame(&header, T::header_version(version), body, version).expect("a frame");
        Request::of(frame).expect("a request")
    }

    /// The response that the gate gives by itself.
    pub(in crate::gate) fn answered<T: Decodable + HeaderVersion>(plan: Plan, version: i16) -> T {
        let Plan::Answer(response) = plan else { panic!("the gate does not answer by itself") };
        wire::read_response(version, &response).expect("a response")
    }

    /// What Kafka is asked, and the rule that waits for its response.
    pub(in crate::gate) fn asked(plan: Plan) -> (Bytes, Box<dyn Exchange>) {
        let Plan::Exchange { request, exchange, .. } = plan else { panic!("no rule looks at the response") };
        (request, exchange)
    }

    /// What the client gets when Kafka answers `response`.
    pub(in crate::gate) fn responded<T: Decodable + HeaderVersion>(next: Next, version: i16) -> T {
        let Next::Respond(response) = next else { panic!("Kafka is asked again") };
        wire::read_response(version, &response).expect("a response")
    }

    #[test]
    fn every_rule_has_a_name_of_its_own_and_a_source() {
        let mut names: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), RULES.len());
        for rule in RULES {
            let rooted = rule.source.starts_with("src/v/") || rule.source.contains("docs.redpanda.com");
            assert!(rooted && rule.does.ends_with('.'), "{rule:?}");
        }
    }
}

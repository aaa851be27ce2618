//! Redpanda's rules that Kafka does not have. Each has a name, a source in Redpanda's repository
//! and a test in its file. A rule gets decoded requests and responses, never a socket.

mod api_versions;
mod fetch;
mod limits;
mod topics;
mod transactions;

use kafka_protocol::messages::ApiKey;

use super::plan::Plan;
use super::settings::Settings;
use super::wire::Request;

pub use transactions::Transactions;

/// One rule of Redpanda.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name, in logs and documents.
    pub name: &'static str,
    /// What Redpanda does.
    pub does: &'static str,
    /// The source: a file and function in Redpanda's repository, or a page of its documentation.
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

/// A known difference from Redpanda that the gate cannot or does not imitate.
#[derive(Clone, Copy, Debug)]
pub struct NotImitated {
    /// What Redpanda does.
    pub redpanda: &'static str,
    /// The source.
    pub source: &'static str,
    /// What clients get behind the gate, and why.
    pub here: &'static str,
}

/// Every known difference that remains behind the gate.
pub const NOT_IMITATED: &[NotImitated] = &[
    NotImitated {
        redpanda: "EndTxn is answered before the group's offsets are committed; OffsetFetch with require_stable answers \
                   UNSTABLE_OFFSET_COMMIT until then.",
        source: "src/v/cluster/tx_gateway_frontend.cc, do_commit_tm_tx; src/v/kafka/server/group.cc, group::handle_offset_fetch",
        here: "Kafka answers EndTxn before its markers are written too, but the window is shorter.",
    },
    NotImitated {
        redpanda: "A fence batch is written to each partition of a transaction besides the marker, so gaps between offsets are \
                   larger.",
        source: "src/v/cluster/rm_stm.cc, rm_stm::begin_tx; src/v/kafka/server/group.cc, group::begin_tx",
        here: "Offsets are Kafka's; the gate rewrites none.",
    },
    NotImitated {
        redpanda: "The partitions and the group of a transaction that times out look for it by \
                   timers of their own, abort_timed_out_transactions_interval_ms, and ask the \
                   coordinator to abort it, which bumps the epoch.",
        source: "src/v/cluster/rm_stm.cc and src/v/kafka/server/group.cc; \
                 src/v/cluster/tx_gateway_frontend.cc, do_try_abort",
        here: "Kafka's coordinator aborts it by its own timer, every 10 s, and bumps the epoch.",
    },
    NotImitated {
        redpanda: "While a group has told its members to join and waits for its leader's \
                   assignment, AddOffsetsToTxn and TxnOffsetCommit fail with \
                   CONCURRENT_TRANSACTIONS.",
        source: "src/v/kafka/server/group.cc, group::handle_begin_tx and \
                 group::handle_txn_offset_commit",
        here: "Kafka stages the offsets. A session of Millrace ends its transaction before it \
               joins again.",
    },
    NotImitated {
        redpanda: "Transactional ids expire after transactional_id_expiration_ms and the least recently used are evicted above \
                   max_transactions_per_coordinator.",
        source: "src/v/cluster/tx_gateway_frontend.cc, init_tm_tx and expire_old_txs",
        here: "Kafka's limits hold; no test is long enough to meet either.",
    },
    NotImitated {
        redpanda: "Staged offsets can be lost to the retention sweep or a change of leader.",
        source: "github.com/redpanda-data/redpanda pull request 31483, August 2026: closed there \
                 and continued in a private repository; not in v26.2.1",
        here: "Kafka keeps them.",
    },
    NotImitated {
        redpanda: "Only closed segments are compacted, and transaction batches leave compacted topics as \
                   log_compaction_tx_batch_removal_enabled says.",
        source: "src/v/storage/disk_log_impl.cc; docs.redpanda.com, cluster properties",
        here: "Kafka's cleaner decides; it leaves the active segment alone too.",
    },
    NotImitated {
        redpanda: "DescribeConfigs and CreateTopics list the settings of Redpanda alone too, and \
                   its defaults.",
        source: "src/v/kafka/server/handlers/configs/config_response_utils.cc",
        here: "They list what both have, with Kafka's defaults; a setting of Redpanda alone is \
               accepted and not shown.",
    },
    NotImitated {
        redpanda: "AlterConfigs refuses brokers, and IncrementalAlterConfigs changes cluster settings by their names.",
        source: "src/v/kafka/server/handlers/alter_configs.cc and incremental_alter_configs.cc, alter_broker_configuration",
        here: "Requests about brokers go to Kafka; Millrace sends none.",
    },
    NotImitated {
        redpanda: "CreateTopics refuses an even replication factor and checks the values of settings by rules of its own.",
        source: "src/v/kafka/server/handlers/create_topics.cc, validators; topics/validators.h",
        here: "Kafka checks values; one broker allows a replication factor of 1 only.",
    },
    NotImitated {
        redpanda: "A dead broker refuses connections.",
        source: "TCP",
        here: "The gate accepts a connection and closes it at once.",
    },
];

/// Decides what is done with `request`.
pub(super) fn plan(
    settings: &Settings,
    transactions: &Transactions,
    request: &Request,
) -> anyhow::Result<Plan> {
    let Some(api) = api_versions::admitted(request)? else { return api_versions::plan(request) };
    match api {
        ApiKey::ApiVersions => api_versions::plan(request),
        ApiKey::AddPartitionsToTxn => transactions.add_partitions(request),
        ApiKey::AddOffsetsToTxn => transactions.add_offsets(request),
        ApiKey::TxnOffsetCommit => transactions.commit_offsets(request),
        ApiKey::EndTxn => transactions.end(request),
        ApiKey::InitProducerId => transactions.init_producer(settings, request),
        ApiKey::JoinGroup => limits::join_group(settings, request),
        ApiKey::CreateTopics => topics::create(request),
        ApiKey::DescribeConfigs => Ok(topics::describe(request)),
        ApiKey::AlterConfigs => topics::alter(request),
        ApiKey::IncrementalAlterConfigs => topics::alter_incrementally(request),
        ApiKey::Fetch => fetch::fetch(settings, request),
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

    /// Makes a request as a client sends it.
    pub(in crate::gate) fn request<T: Encodable + HeaderVersion>(
        api: ApiKey,
        version: i16,
        body: &T,
    ) -> Request {
        let header = RequestHeader::default()
            .with_request_api_key(api as i16)
            .with_request_api_version(version)
            .with_correlation_id(7);
        let frame =
            wire::frame(&header, T::header_version(version), body, version).expect("a frame");
        Request::of(frame).expect("a request")
    }

    /// The response of the gate itself.
    pub(in crate::gate) fn answered<T: Decodable + HeaderVersion>(plan: Plan, version: i16) -> T {
        let Plan::Answer(response) = plan else { panic!("the gate does not answer by itself") };
        wire::read_response(version, &response).expect("a response")
    }

    /// The request to Kafka, and the rule that looks at its response.
    pub(in crate::gate) fn asked(plan: Plan) -> (Bytes, Box<dyn Exchange>) {
        let Plan::Exchange { request, exchange, .. } = plan else {
            panic!("no rule looks at the response")
        };
        (request, exchange)
    }

    /// The response to the client.
    pub(in crate::gate) fn responded<T: Decodable + HeaderVersion>(next: Next, version: i16) -> T {
        let Next::Respond(response) = next else { panic!("Kafka is asked again") };
        wire::read_response(version, &response).expect("a response")
    }

    #[test]
    fn the_readme_lists_every_rule_and_what_is_not_imitated() {
        let readme = include_str!("../../../README.md");
        for Rule { name, does, source } in RULES {
            assert!(readme.contains(&format!("| `{name}` | {does} | {source} |")), "{name}");
        }
        for NotImitated { redpanda, source, here } in NOT_IMITATED {
            assert!(readme.contains(&format!("| {redpanda} | {here} | {source} |")), "{redpanda}");
        }
    }

    #[test]
    fn every_rule_has_a_name_of_its_own_and_a_source() {
        let mut names: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), RULES.len());
        for rule in RULES {
            let rooted =
                rule.source.starts_with("src/v/") || rule.source.contains("docs.redpanda.com");
            assert!(rooted && rule.does.ends_with('.'), "{rule:?}");
        }
    }
}

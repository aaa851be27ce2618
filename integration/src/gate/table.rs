//! The APIs and versions that Redpanda serves, as its handlers declare them. This is data only; the
//! rule `api-versions` acts on it.

use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::VersionRange;

/// Minimum and maximum version of every API that Redpanda serves, in the order of
/// `src/v/kafka/server/handlers/handlers.h`. The numbers are the template arguments of each handler
/// in `src/v/kafka/server/handlers/*.h`, read from v24.3 (December 2024), with the changes until
/// v26.2 that were found in pull requests of the repository; each such line names its pull request.
/// Produce is still at 7 in July 2026 (redpanda#31246, open, raises it to 9), and Metadata 13
/// (redpanda#30485) was closed without a merge that was seen.
pub const REDPANDA: &[(ApiKey, i16, i16)] = &[
    (ApiKey::Produce, 0, 7),
    // Topic ids: redpanda#26968, September 2025, v25.3.
    (ApiKey::Fetch, 4, 13),
    // redpanda#28722, November 2025, v26.1.
    (ApiKey::ListOffsets, 0, 6),
    // Topic ids: redpanda#26968, September 2025, v25.3.
    (ApiKey::Metadata, 0, 12),
    (ApiKey::OffsetFetch, 1, 7),
    (ApiKey::OffsetDelete, 0, 0),
    (ApiKey::FindCoordinator, 0, 3),
    (ApiKey::ListGroups, 0, 4),
    // redpanda#26057, May 2025, v25.2.
    (ApiKey::ApiVersions, 0, 4),
    (ApiKey::JoinGroup, 0, 6),
    (ApiKey::Heartbeat, 0, 4),
    (ApiKey::DeleteRecords, 0, 2),
    (ApiKey::LeaveGroup, 0, 4),
    (ApiKey::SyncGroup, 0, 4),
    // Topic ids: redpanda#26968, September 2025, v25.3.
    (ApiKey::CreateTopics, 0, 7),
    (ApiKey::OffsetCommit, 1, 8),
    (ApiKey::DescribeConfigs, 0, 4),
    (ApiKey::AlterConfigs, 0, 2),
    (ApiKey::DeleteTopics, 0, 5),
    (ApiKey::DescribeGroups, 0, 5),
    (ApiKey::SaslHandshake, 0, 1),
    (ApiKey::SaslAuthenticate, 0, 2),
    (ApiKey::IncrementalAlterConfigs, 0, 1),
    (ApiKey::DeleteGroups, 0, 2),
    (ApiKey::DescribeAcls, 0, 2),
    (ApiKey::DescribeLogDirs, 0, 2),
    (ApiKey::CreateAcls, 0, 2),
    (ApiKey::DeleteAcls, 0, 2),
    (ApiKey::InitProducerId, 0, 3),
    (ApiKey::AddPartitionsToTxn, 0, 3),
    (ApiKey::TxnOffsetCommit, 0, 3),
    (ApiKey::AddOffsetsToTxn, 0, 1),
    (ApiKey::EndTxn, 0, 3),
    (ApiKey::CreatePartitions, 0, 3),
    (ApiKey::OffsetForLeaderEpoch, 0, 4),
    (ApiKey::AlterPartitionReassignments, 0, 0),
    (ApiKey::ListPartitionReassignments, 0, 0),
    (ApiKey::DescribeProducers, 0, 0),
    (ApiKey::DescribeTransactions, 0, 0),
    (ApiKey::ListTransactions, 0, 0),
    (ApiKey::AlterClientQuotas, 0, 1),
    (ApiKey::DescribeClientQuotas, 0, 1),
];

/// The versions of the API `key` that Redpanda serves; `None` if it does not have the API.
pub fn versions(key: i16) -> Option<VersionRange> {
    let found = REDPANDA.iter().find(|(api, ..)| *api as i16 == key);
    found.map(|(_, min, max)| VersionRange { min: *min, max: *max })
}

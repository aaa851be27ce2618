//! Removes the oldest records of partitions, as retention does, for the fault tests, which prove
//! that no reader depends on them. No service calls it, and it deletes no topic.

use std::time::Duration;

use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};

use crate::{
    brokers::Brokers,
    client::{config_for, fatal, retriable},
    log::{LogError, TopicPartition},
};

/// The deadline of the broker's answer.
const REMOVAL_MAX: Duration = Duration::from_secs(10);

/// Removes all records before these offsets.
///
/// # Errors
/// If the log does not answer, or refuses the removal for any of the partitions.
pub async fn remove_before(
    brokers: impl Into<Brokers>,
    offsets: &[(TopicPartition, i64)],
) -> Result<(), LogError> {
    let doing = || format!("removing the records before {offsets:?}");
    let admin: AdminClient<DefaultClientContext> =
        config_for(&brokers.into(), "millrace.removal").create().map_err(|e| fatal(doing(), e))?;
    let mut list = TopicPartitionList::new();
    for (partition, next) in offsets {
        list.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(*next))
            .map_err(|e| fatal(doing(), e))?;
    }
    let options = AdminOptions::new().operation_timeout(Some(REMOVAL_MAX));
    let removed = admin.delete_records(&list, &options).await.map_err(|e| retriable(doing(), e))?;
    removed
        .elements()
        .iter()
        .try_for_each(|element| element.error().map_err(|e| retriable(doing(), e)))
}

//! Consumers outside of any group. They never commit and never take part in a rebalance.

use std::sync::Arc;

use rdkafka::{
    ClientContext,
    consumer::{BaseConsumer, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{
    config::{config_for, read_committed},
    errors::{fatal, is_transient},
};
use crate::{brokers::Brokers, log::LogError};

/// The callbacks of a consumer outside of any group: it logs errors, except that it reached the end
/// of a partition.
pub(crate) struct Standalone;

impl ClientContext for Standalone {
    fn error(&self, error: KafkaError, reason: &str) {
        log_client_error(&error, reason);
    }
}

impl ConsumerContext for Standalone {}

/// Logs an error that a consumer reports outside of any call. The end of a partition is no error,
/// and a broken connection is logged at the level of debug, because the client reconnects.
pub(crate) fn log_client_error(error: &KafkaError, reason: &str) {
    match error {
        KafkaError::Global(RDKafkaErrorCode::PartitionEOF) => {}
        transient if is_transient(transient) => {
            tracing::debug!(%error, reason, "a consumer lost a connection");
        }
        _ => tracing::warn!(%error, reason, "a consumer reports an error"),
    }
}

/// A client that reads committed records and reports the ends of partitions.
pub(crate) fn standalone_reader(
    brokers: &Brokers,
    group: &str,
) -> Result<BaseConsumer<Standalone>, LogError> {
    read_committed(brokers, group)
        .set("enable.partition.eof", "true")
        // The marker of the last transaction is behind the last record, and only a fetch without
        // records shows that the end is reached: it must not wait for more.
        .set("fetch.wait.max.ms", "10")
        .create_with_context(Standalone)
        .map_err(|e| fatal("making a reader apart from the group".to_owned(), e))
}

/// A client that requests high watermarks, which count uncommitted records too.
pub(crate) fn watermark_client(
    brokers: &Brokers,
    group: &str,
) -> Result<Arc<BaseConsumer>, LogError> {
    let client: BaseConsumer = config_for(brokers, &format!("{group}.edges"))
        .set("isolation.level", "read_uncommitted")
        .create()
        .map_err(|e| fatal("asking for watermarks".to_owned(), e))?;
    Ok(Arc::new(client))
}

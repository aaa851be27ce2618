//! What all consumers on librdkafka have in common: settings, requests for offsets, and the
//! classification of errors. It joins no group and assigns no partition.

mod config;
mod copier;
mod errors;
mod offsets;
mod standalone;
#[cfg(test)]
pub(crate) mod testing;

pub(crate) use config::{REQUEST_MAX, SEEK_MAX, config_for, read_committed};
pub(crate) use copier::Copier;
pub(crate) use errors::{
    consumption, fatal, is_denied, is_out_of_range, is_transient, is_unknown_topic, is_unreadable,
    request, retriable,
};
pub(crate) use offsets::{committed, partitions, watermarks};
pub(crate) use standalone::{Standalone, log_client_error, standalone_reader, watermark_client};

//! The settings of a comparison with the cluster, which `provision` and `schemas plan` share.

use std::time::Duration;

use super::{error::ProvisionError, retry::RetryPolicy};

/// How new topics are created, and for how long requests are repeated.
#[derive(Clone, Debug, clap::Args)]
pub struct ProvisionSettings {
    /// The number of replicas of new topics.
    #[arg(
        long,
        env = "MILLRACE_REPLICATION",
        default_value_t = 1,
        value_parser = clap::value_parser!(i32).range(1..=7)
    )]
    pub replication: i32,
    /// Seconds for which each request is repeated while broker and registry start: timeouts,
    /// refused connections, 5xx answers, partitions without a leader. Other errors end the program
    /// at once.
    #[arg(long, env = "MILLRACE_WAIT_S", default_value_t = 60)]
    pub wait_s: u64,
}

impl ProvisionSettings {
    /// The retries of these settings. `report` gets failures that are followed by another attempt:
    /// each new one, and every 2 s one that has not changed.
    pub fn retries(&self, report: impl Fn(&ProvisionError) + Send + Sync + 'static) -> RetryPolicy {
        RetryPolicy::new(Duration::from_secs(self.wait_s), report)
    }
}

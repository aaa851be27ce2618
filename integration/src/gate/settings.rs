//! The gate's settings.

/// Redpanda's cluster settings, with its defaults, and rules that are off by default.
#[derive(Clone, Debug, clap::Args)]
pub struct Settings {
    /// Longest transaction timeout that a producer may ask for
    #[arg(long, value_name = "MS", default_value_t = 900_000)]
    pub transaction_max_timeout_ms: i32,
    /// Shortest session timeout of a member of a group
    #[arg(long, value_name = "MS", default_value_t = 6000)]
    pub group_min_session_timeout_ms: i32,
    /// Longest session timeout of a member of a group
    #[arg(long, value_name = "MS", default_value_t = 300_000)]
    pub group_max_session_timeout_ms: i32,
    /// Let each fetch of committed records that finds none wait for its whole maximum wait
    #[arg(long, env = "MILLRACE_COMMITTED_FETCH_WAIT")]
    pub committed_fetch_wait: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            transaction_max_timeout_ms: 900_000,
            group_min_session_timeout_ms: 6000,
            group_max_session_timeout_ms: 300_000,
            committed_fetch_wait: false,
        }
    }
}

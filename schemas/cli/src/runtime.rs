//! The runtime of the commands that ask a registry or brokers.

use anyhow::Result;
use tokio::runtime::{Builder, Runtime};

/// Installs the TLS provider and starts a runtime on this thread.
pub(crate) fn start() -> Result<Runtime> {
    redpanda::tls::install_provider();
    Ok(Builder::new_current_thread().enable_all().build()?)
}

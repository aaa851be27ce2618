//! The runtime of the commands that ask a registry or brokers.

use anyhow::Result;
use tokio::runtime::{Builder, Runtime};

/// Installs the crypto provider and starts a runtime on this thread.
pub(crate) fn start() -> Result<Runtime> {
    drop(rustls::crypto::ring::default_provider().install_default());
    Ok(Builder::new_current_thread().enable_all().build()?)
}

//! The error of a setting that turns out to be wrong after the start.

use projections::StoreError;
use redpanda::{registry::RegistryError, settings::SettingError};

/// A setting is wrong: the process ends with exit code 64, as for one that clap refuses.
#[derive(Debug, thiserror::Error)]
pub(super) enum WrongSetting {
    /// A setting can't be used.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The URLs or the log-in of the registry can't be used.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// PostgreSQL refuses the credentials.
    #[error("{0}; check MILLRACE_POSTGRES_URL and MILLRACE_POSTGRES_PASSWORD")]
    Credentials(#[source] StoreError),
}

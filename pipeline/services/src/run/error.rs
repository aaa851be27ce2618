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
    #[error("MILLRACE_POSTGRES_URL or MILLRACE_POSTGRES_PASSWORD is wrong")]
    Credentials(#[source] StoreError),
}

#[cfg(test)]
mod tests {
    use schemas::chain;

    use super::*;

    #[test]
    fn error_of_a_service_names_each_cause_once() {
        let why = "password authentication failed".to_owned();
        let wrong = WrongSetting::Credentials(StoreError::Credentials { store: "PostgreSQL", why });
        let error = anyhow::Error::from(wrong).context("starting the service");
        assert_eq!(
            chain(&*error),
            "starting the service: MILLRACE_POSTGRES_URL or MILLRACE_POSTGRES_PASSWORD is wrong: \
             PostgreSQL refuses the credentials: password authentication failed"
        );
    }
}

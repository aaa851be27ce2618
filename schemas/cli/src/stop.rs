//! How a command ends that can't do what it was asked, where the exit code says more than "failed".

use std::process::ExitCode;

use redpanda::{log::LogError, provision::ProvisionError, registry::RegistryError};

/// Why a command ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    /// Something would change, and was to be looked at only. Exit code 1.
    #[error("{0}")]
    Pending(String),
    /// Something is not what it should be: bytes, JSON, a schema, a plan. Exit code 2.
    #[error("{0}")]
    Invalid(String),
    /// What was asked can't be meant, or is not there. Exit code 64, `EX_USAGE`.
    #[error("{0}")]
    Usage(String),
}

/// The exit code of an error: 69 (`EX_UNAVAILABLE`) where broker or registry do not answer, 2 where
/// nothing else is said.
pub(crate) fn code_of(error: &anyhow::Error) -> ExitCode {
    let of = |cause: &(dyn std::error::Error + 'static)| {
        if let Some(stop) = cause.downcast_ref() {
            return Some(match stop {
                Stop::Pending(_) => 1,
                Stop::Invalid(_) => 2,
                Stop::Usage(_) => 64,
            });
        }
        if let Some(error) = cause.downcast_ref() {
            return Some(match error {
                RegistryError::Unreachable { .. } => 69,
                RegistryError::Address { .. } => 64,
                _ => 2,
            });
        }
        if let Some(error) = cause.downcast_ref::<ProvisionError>() {
            return Some(if error.is_retriable() { 69 } else { 2 });
        }
        cause.downcast_ref::<LogError>().map(|_| 69)
    };
    ExitCode::from(error.chain().find_map(of).unwrap_or(2))
}

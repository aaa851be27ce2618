//! The errors that end a command with an exit code of their own.

use std::process::ExitCode;

use redpanda::{log::LogError, provision::ProvisionError, registry::RegistryError};

/// Why a command ends without its result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    /// Changes are pending, and the command may only look. Exit code 1.
    #[error("{0}")]
    Pending(String),
    /// The input is invalid: bytes, JSON, a schema, a plan. Exit code 2.
    #[error("{0}")]
    Invalid(String),
    /// The arguments make no sense, or name something that does not exist. Exit code 64,
    /// `EX_USAGE`.
    #[error("{0}")]
    Usage(String),
}

/// The exit code of an error: 69 (`EX_UNAVAILABLE`) if broker or registry do not answer, and 2 for
/// all errors without a code of their own.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_of_a_registry_that_is_away_names_each_cause_once_and_ends_with_69() {
        let (url, cause) = ("http://registry".to_owned(), "connection refused".to_owned());
        let away = ProvisionError::from(RegistryError::Unreachable { url, cause });
        let error = ProvisionError::GaveUp { after_s: 60, cause: Box::new(away) };
        let error = anyhow::Error::from(error).context("planning");
        assert_eq!(
            schemas::chain(&*error),
            "planning: gave up after 60 s: the registry at http://registry can't be used: \
             connection refused"
        );
        assert_eq!(code_of(&error), ExitCode::from(69));
    }
}

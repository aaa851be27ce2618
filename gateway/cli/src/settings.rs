//! The program's settings: where the gateway is, and what to do.

use std::path::PathBuf;

use clap::{Args, Parser};
use reqwest::Url;
use secrecy::SecretString;

use crate::commands::Command;

/// Shows and mends the event system: the operator's desk for terminals and scripts.
///
/// An action waits for its outcome and says it. Exit codes: 0 done, 1 refused or failed, 2 wrong
/// usage.
#[derive(Debug, Parser)]
#[command(name = "millrace", version)]
pub(crate) struct Settings {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Prints the API's JSON instead of tables.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the gateway is, and who uses it.
#[derive(Debug, Args)]
pub(crate) struct Connection {
    /// URL of the gateway or its load balancer. By default that of the last log-in, or
    /// http://localhost:3000.
    #[arg(long, env = "MILLRACE_URL", global = true, value_parser = base)]
    pub(crate) url: Option<Url>,
    /// A PEM file with the authorities that TLS connections trust, instead of the system's.
    #[arg(long, env = "MILLRACE_CA_FILE", global = true, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
}

/// A secret of the environment. Arguments are visible to other users, so none of them is a secret.
///
/// An empty variable counts as missing.
pub(crate) fn secret(name: &str) -> Option<SecretString> {
    std::env::var(name).ok().filter(|value| !value.is_empty()).map(SecretString::from)
}

/// The URL to which the paths of the API are added.
fn base(text: &str) -> Result<Url, String> {
    let expected = "expected http://HOST[:PORT] or https://HOST[:PORT]";
    let url: Url = text.parse().map_err(|error| format!("{error}: {expected}"))?;
    let is_plain = url.username().is_empty() && url.password().is_none();
    let is_whole = url.has_host() && url.query().is_none() && url.fragment().is_none();
    match matches!(url.scheme(), "http" | "https") && is_plain && is_whole {
        true => Ok(url),
        false => Err(expected.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, error::ErrorKind};

    use super::*;

    #[test]
    fn arguments_are_consistent_and_each_is_described() {
        Settings::command().debug_assert();
        fn described(command: &clap::Command) {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name} has no description");
            for argument in command.get_arguments() {
                let id = argument.get_id();
                assert!(argument.get_help().is_some(), "{name}: {id} has no description");
                assert!(!id.as_str().contains("token"), "{name}: a token is no argument");
                assert_ne!(id.as_str(), "password", "{name}: a password is no argument");
            }
            command.get_subcommands().for_each(described);
        }
        let mut command = Settings::command();
        command.build();
        described(&command);
    }

    #[test]
    fn url_of_no_gateway_is_refused_with_what_was_expected() {
        for wrong in ["localhost", "ftp://host", "http://me:secret@host", "http://host/?q", ""] {
            let error = base(wrong).expect_err(wrong);
            assert!(error.contains("expected http://HOST"), "{wrong}: {error}");
        }
        assert_eq!(base("https://shop.example:8443/api").expect("a URL").path(), "/api");
    }

    fn kind(words: &[&str]) -> Option<ErrorKind> {
        let words = ["millrace"].iter().chain(words).copied();
        Settings::try_parse_from(words).err().map(|error| error.kind())
    }

    #[test]
    fn actions_need_a_reason_and_selections_something_to_select_by() {
        let missing = Some(ErrorKind::MissingRequiredArgument);
        assert_eq!(kind(&["parked", "retry", "order.followups", "o-1"]), missing);
        assert_eq!(kind(&["parked", "retry", "order.followups", "o-1", "--reason", "why"]), None);
        assert_eq!(kind(&["parked", "retry-all", "--reason", "why"]), missing);
        assert_eq!(kind(&["parked", "retry-all", "--topic", "order.followups"]), missing);
        let dry = ["parked", "drop-all", "--error", "malformed", "--dry-run"];
        assert_eq!(kind(&dry), None);
        assert_eq!(kind(&["dead", "reveal", "order.commands:2:17"]), missing);
        assert_eq!(kind(&["parked", "list", "--limit", "0"]), Some(ErrorKind::ValueValidation));
        assert_eq!(kind(&["trace", "17"]), Some(ErrorKind::ValueValidation));
        assert_eq!(kind(&["--json"]), Some(ErrorKind::MissingSubcommand));
    }
}

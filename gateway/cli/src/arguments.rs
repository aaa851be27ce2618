//! The program's arguments: the connection, the format of the output, and what to do.

use clap::Parser;

use crate::{commands::Command, settings::Connection};

/// Shows and mends the event system: the operator's desk for terminals and scripts.
///
/// An action waits for its outcome and says it. Exit codes: 0 done, 1 refused or failed, 64 wrong
/// usage.
#[derive(Debug, Parser)]
#[command(name = "millrace", version)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Prints the API's JSON instead of tables.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, error::ErrorKind};

    use super::*;

    #[test]
    fn arguments_are_consistent_and_each_is_described() {
        Arguments::command().debug_assert();
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
        let mut command = Arguments::command();
        command.build();
        described(&command);
    }

    #[test]
    fn help_says_how_long_a_selection_waits() {
        let mut command = Arguments::command();
        let parked = command.find_subcommand_mut("parked").expect("a command");
        let all = parked.find_subcommand_mut("retry-all").expect("a command");
        let help = all.render_long_help().to_string();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(help.contains("one request, which waits for 30 at most"), "{help}");
    }

    fn kind(words: &[&str]) -> Option<ErrorKind> {
        let words = ["millrace"].iter().chain(words).copied();
        Arguments::try_parse_from(words).err().map(|error| error.kind())
    }

    #[test]
    fn repeat_names_what_the_first_run_has_read() {
        let missing = Some(ErrorKind::MissingRequiredArgument);
        let repeat = |verb, more: &[&str]| {
            let key = ["parked", verb, "order.followups", "o-1", "--reason", "why"];
            kind(&[&key[..], &["--idempotency-key", "mine"], more].concat())
        };
        assert_eq!(repeat("drop", &[]), missing);
        assert_eq!(repeat("drop", &["--offset", "5"]), None);
        let value = ["--offset", "5", "--value", "-"];
        assert_eq!(repeat("edit", &value), missing);
        assert_eq!(repeat("edit", &[&value[..], &["--type", "a.B"]].concat()), None);
        assert_eq!(repeat("retry", &[]), None);
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

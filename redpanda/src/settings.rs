//! Reads the settings of a program from its arguments, its environment and the files of its
//! secrets.
//!
//! Every secret `X` can be given as the environment variable `X` or as a file that `X_FILE` names.
//! It never prints a secret, neither in an error nor in `--help`.

use std::{ffi::OsString, path::PathBuf};

use clap::{Arg, Command, Parser, error::ErrorKind};

/// The exit code of every program for wrong settings (EX_USAGE).
pub const USAGE: i32 = 64;

/// Why a setting is wrong. The text names the variable and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// A file can't be read.
    #[error("{variable}: can't read {path}", path = .path.display())]
    File {
        /// The variable that names the file.
        variable: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it can't be read.
        source: std::io::Error,
    },
    /// A value, or the content of a file, is not what was expected.
    #[error("{variable}: {why}")]
    Wrong {
        /// The variable.
        variable: &'static str,
        /// What was expected.
        why: String,
    },
}

/// Parses the settings of this process. If a setting is wrong, prints what is wrong and ends the
/// process with exit code 64 (0 for `--help` and `--version`).
pub fn parse<T: Parser>() -> T {
    try_parse(std::env::args_os(), |name| std::env::var_os(name)).unwrap_or_else(|error| {
        let code = if error.use_stderr() { USAGE } else { 0 };
        // A closed terminal is not an error here.
        let _ = error.print();
        std::process::exit(code);
    })
}

/// Parses `arguments`; `variable` looks up the variables that name files of secrets.
///
/// # Errors
/// If a setting is wrong, or help was requested.
pub fn try_parse<T: Parser>(
    arguments: impl IntoIterator<Item = OsString>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<T, clap::Error> {
    let mut wrong = None;
    let mut command = with_files(T::command(), &variable, &mut wrong);
    if let Some(why) = wrong {
        return Err(command.error(ErrorKind::ValueValidation, why));
    }
    let matches = command.try_get_matches_from_mut(arguments)?;
    T::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// `command` with the secrets of itself and its subcommands read from files; the first failure is
/// stored in `wrong`.
fn with_files(
    command: Command,
    variable: &dyn Fn(&str) -> Option<OsString>,
    wrong: &mut Option<String>,
) -> Command {
    let command = command.mut_args(|argument| match secret(&argument) {
        Some(name) => from_file(argument, &name, variable, wrong),
        None => argument,
    });
    command.mut_subcommands(|subcommand| with_files(subcommand, variable, wrong))
}

/// The variable of a secret, which is a setting whose value the help hides; `None` for other
/// settings.
fn secret(argument: &Arg) -> Option<String> {
    let name = argument.get_env().filter(|_| argument.is_hide_env_values_set())?;
    name.to_str().map(str::to_owned)
}

/// The argument with the content of the file as its default, if `<name>_FILE` names one. A failure
/// is stored in `wrong`, unless an earlier one is.
fn from_file(
    argument: Arg,
    name: &str,
    variable: &dyn Fn(&str) -> Option<OsString>,
    wrong: &mut Option<String>,
) -> Arg {
    let file = format!("{name}_FILE");
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let argument = argument.help(format!("{help} [file: {file}]"));
    let Some(path) = variable(&file) else { return argument };
    if variable(name).is_some() {
        let why = format!("{name} and {file} are both set: expected only one of them");
        wrong.get_or_insert(why);
        return argument;
    }
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            // An editor adds a line end to the last line. clap requires defaults that live as long
            // as the program.
            let line = text.strip_suffix('\n').unwrap_or(&text);
            let value: &'static str = line.strip_suffix('\r').unwrap_or(line).to_owned().leak();
            argument.default_value(value).hide_default_value(true)
        }
        Err(error) => {
            let path = path.display();
            wrong.get_or_insert_with(|| format!("{file}: can't read {path}: {error}"));
            argument
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use secrecy::{ExposeSecret as _, SecretString};

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        /// The URL.
        #[arg(
            long,
            env = "MILLRACE_TEST_URL",
            default_value = "redis://here",
            hide_env_values = true
        )]
        url: SecretString,
        #[command(subcommand)]
        command: Sub,
    }

    #[derive(Debug, clap::Subcommand)]
    enum Sub {
        Go {
            /// The password.
            #[arg(long, env = "MILLRACE_TEST_PASSWORD", hide_env_values = true)]
            password: Option<SecretString>,
        },
    }

    fn parsed(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Program, clap::Error> {
        try_parse(["program"].iter().chain(arguments).map(Into::into), |name| {
            variables.iter().find(|(found, _)| *found == name).map(|(_, value)| value.into())
        })
    }

    fn file(content: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(content.as_bytes()).expect("written");
        file
    }

    #[test]
    fn secret_in_a_file_is_read_without_its_line_end_and_never_printed() {
        let files = (file("redis://u:s3cr3t@there"), file("p w\u{e9}\r\n"));
        let path = |file: &tempfile::NamedTempFile| file.path().display().to_string();
        let (url, password) = (path(&files.0), path(&files.1));
        let variables = [
            ("MILLRACE_TEST_URL_FILE", url.as_str()),
            ("MILLRACE_TEST_PASSWORD_FILE", password.as_str()),
        ];

        let program = parsed(&["go"], &variables).expect("settings");

        assert_eq!(program.url.expose_secret(), "redis://u:s3cr3t@there");
        let Sub::Go { password } = &program.command;
        assert_eq!(password.as_ref().expect("a password").expose_secret(), "p w\u{e9}");
        assert!(!format!("{program:?}").contains("s3cr3t"));
        let help = parsed(&["--help"], &variables).expect_err("help").to_string();
        assert!(help.contains("MILLRACE_TEST_URL_FILE") && !help.contains("s3cr3t"), "{help}");
    }

    #[test]
    fn missing_file_of_a_secret_is_named_in_the_error() {
        let variables = [("MILLRACE_TEST_PASSWORD_FILE", "/nowhere/password")];
        let error = parsed(&["go"], &variables).expect_err("no file").to_string();
        let expected = "MILLRACE_TEST_PASSWORD_FILE: can't read /nowhere/password: No such file";
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn secret_that_is_given_twice_is_refused_without_printing_it() {
        let variables =
            [("MILLRACE_TEST_URL", "redis://s3cr3t"), ("MILLRACE_TEST_URL_FILE", "/nowhere")];
        let error = parsed(&["go"], &variables).expect_err("twice").to_string();
        assert!(
            error.contains("expected only one of them") && !error.contains("s3cr3t"),
            "{error}"
        );
    }

    #[test]
    fn argument_overrides_a_file() {
        let content = file("redis://file");
        let path = content.path().display().to_string();
        let program =
            parsed(&["--url", "redis://argument", "go"], &[("MILLRACE_TEST_URL_FILE", &path)]);
        assert_eq!(program.expect("settings").url.expose_secret(), "redis://argument");
    }
}

//! What the program asks the person at the terminal: a password, and whether to go on.

use std::{
    io::{BufRead as _, IsTerminal as _},
    path::PathBuf,
};

use secrecy::SecretString;

use crate::{failure::Failure, print, settings::secret};

/// The longest password that the gateway takes, with a line end.
const PASSWORD_BYTES_MAX: u64 = 130;

/// Whether to go on without a question.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Consent {
    /// Asks nothing. It is needed if the standard input is no terminal.
    #[arg(long, short)]
    yes: bool,
}

impl Consent {
    /// Checks that there is somebody to ask, before anything is sent.
    ///
    /// # Errors
    /// If a question can't be answered.
    pub(crate) fn check(self) -> Result<(), Failure> {
        if self.yes || std::io::stdin().is_terminal() {
            return Ok(());
        }
        let text = "the standard input is no terminal to confirm at: expected --yes";
        Err(Failure::Usage(text.to_owned()))
    }

    /// Asks whether to go on.
    ///
    /// # Errors
    /// If the answer is no, or there is none.
    pub(crate) fn ask(self, question: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        self.check()?;
        print::question(&format!("{question} [y/N]"));
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        read.map_err(|error| Failure::Failed(format!("no answer: {error}")))?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::Failed("nothing was done: it was not confirmed.".to_owned())),
        }
    }
}

/// The variable with the password.
const PASSWORD: &str = "MILLRACE_PASSWORD";
/// The variable that names a file with it.
const PASSWORD_FILE: &str = "MILLRACE_PASSWORD_FILE";

/// Where the password is.
pub(crate) enum Source {
    /// In a variable.
    Given(SecretString),
    /// In a file, whose line end is left out.
    File(PathBuf),
    /// At the terminal.
    Terminal,
}

impl Source {
    /// Where the password is: in its variable, in this file, or at the terminal.
    ///
    /// # Errors
    /// If there are both.
    pub(crate) fn of(file: Option<PathBuf>) -> Result<Self, Failure> {
        match (secret(PASSWORD), file) {
            (None, None) => Ok(Self::Terminal),
            (Some(password), None) => Ok(Self::Given(password)),
            (None, Some(file)) => Ok(Self::File(file)),
            (Some(_), Some(_)) => {
                let text = "MILLRACE_PASSWORD and a password file: expected only one of them";
                Err(Failure::Usage(text.to_owned()))
            }
        }
    }

    /// The same, with the file that the environment names.
    ///
    /// # Errors
    /// As [`Source::of`].
    pub(crate) fn from_env() -> Result<Self, Failure> {
        let file = std::env::var_os(PASSWORD_FILE).filter(|file| !file.is_empty());
        Self::of(file.map(PathBuf::from))
    }
}

/// The password.
///
/// # Errors
/// If the file can't be read, or there is no terminal.
pub(crate) fn password(source: Source) -> Result<SecretString, Failure> {
    match source {
        Source::Given(password) => Ok(password),
        Source::File(path) => {
            let shown = path.display();
            let wrong = |why: String| Failure::Failed(format!("the password file {shown}: {why}"));
            let text = read_bounded(&path).map_err(|error| wrong(error.to_string()))?;
            let line = text.strip_suffix('\n').unwrap_or(&text);
            let line = line.strip_suffix('\r').unwrap_or(line);
            match line.is_empty() || line.contains(['\n', '\r']) {
                true => Err(wrong("expected one line, the password".to_owned())),
                false => Ok(line.to_owned().into()),
            }
        }
        Source::Terminal => {
            rpassword::prompt_password("Password: ").map(SecretString::from).map_err(|error| {
                Failure::Usage(format!(
                    "no password was typed: expected a terminal, or MILLRACE_PASSWORD or \
                     MILLRACE_PASSWORD_FILE: {error}"
                ))
            })
        }
    }
}

fn read_bounded(path: &std::path::Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?.take(PASSWORD_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

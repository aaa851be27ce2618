//! The options of a program's command line.

use std::process::ExitCode;

use clap::Parser;

/// The exit code of every Millrace program for wrong settings.
const EXIT_USAGE: u8 = 64;

/// Parses the command line of this process.
///
/// # Errors
/// The code to exit with, if an option is wrong, or if help or version was requested. What clap
/// says about it is printed.
pub fn options<T: Parser>() -> Result<T, ExitCode> {
    T::try_parse().map_err(|error| {
        // Nothing can be done about a closed terminal.
        let _ = error.print();
        if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS }
    })
}

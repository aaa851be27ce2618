//! `millrace`: the operator's desk for terminals and scripts.
//!
//! It uses the gateway's HTTP API as the desk's page does, and decides nothing itself: it reads no
//! topic and no store. Exit codes: 0 done, 1 refused or failed, 64 wrong usage.

#![forbid(unsafe_code)]

mod arguments;
mod ask;
mod client;
mod commands;
mod failure;
mod print;
mod report;
mod session;
mod settings;
mod text;

use std::process::ExitCode;

use clap::Parser as _;

use arguments::Arguments;
use client::Client;
use failure::Failure;
use report::Report;

fn main() -> ExitCode {
    let Arguments { connection, json, command } = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nothing can be done about a closed terminal.
            let _ = error.print();
            // Help and version are no errors.
            return if error.use_stderr() {
                ExitCode::from(failure::USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    // A second call would find this provider.
    drop(rustls::crypto::ring::default_provider().install_default());
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Failure::Failed(format!("no runtime: {error}")), json),
    };
    let done = runtime.block_on(async {
        let mut client = Client::new(connection, command.replaces_session())?;
        command.run(&mut client).await
    });
    match done {
        Ok(report) => show(&report, json),
        Err(failure) => fail(&failure, json),
    }
}

fn show(report: &Report, json: bool) -> ExitCode {
    let printed = match json {
        true => print::json(&report.value),
        false => print::lines(&report.lines),
    };
    for note in &report.notes {
        print::note(note);
    }
    if let Err(error) = printed {
        // The command is done, but the reader of the result does not learn that.
        print::note(&format!("millrace: the result can't be written: {error}"));
        return ExitCode::from(failure::FAILED);
    }
    if report.is_done { ExitCode::SUCCESS } else { ExitCode::from(failure::FAILED) }
}

/// Says why nothing was done, to people and to scripts.
fn fail(failure: &Failure, json: bool) -> ExitCode {
    if json && let Some(problem) = failure.problem() {
        // The exit code says the same.
        drop(print::json(problem));
    }
    print::note(&format!("millrace: {failure}"));
    ExitCode::from(failure.exit_code())
}

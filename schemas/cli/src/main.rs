//! `schemas`: keeps the Avro files, the Rust types generated from them, and the released versions
//! consistent.
//!
//! Only the commands that name a registry or brokers ask them, and only `apply` changes them.

#![forbid(unsafe_code)]

mod apply;
mod baseline;
mod catalogue;
mod check;
mod config;
mod conform;
mod decode;
mod diff;
mod docs;
mod encode;
mod files;
mod generate;
mod git;
mod lint;
mod names;
mod place;
mod plan;
mod print;
mod release;
mod replay;
mod report;
mod runtime;
mod rust;
mod side;
mod source;
mod stop;
mod texts;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};

use print::note;
use report::{Format, Outcome};

/// Keeps schemas, generated types and released versions consistent. Exit codes: 0 nothing to do or
/// fine, 1 changes pending, 2 breaking or invalid, 64 wrong usage, 69 broker or registry
/// unreachable.
#[derive(Debug, Parser)]
#[command(name = "schemas", version)]
struct Settings {
    /// The folder of the schemas, which contains `avro`. By default it is searched from the working
    /// folder upwards.
    #[arg(long, env = "MILLRACE_SCHEMAS", global = true)]
    folder: Option<PathBuf>,
    /// The format of the findings.
    #[arg(long, value_enum, default_value_t = Format::Text, global = true)]
    format: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks that the files are valid and follow the house rules, or explains a rule.
    Lint(lint::Lint),
    /// Compares every schema with all of its released versions, and reports every problem with who
    /// fails and a fix.
    Check(check::Check),
    /// Reports what has changed since the latest release, and which changes break something.
    Diff(diff::Diff),
    /// Stores each changed schema as its next released version, unless one breaks a released
    /// version.
    Release(release::Release),
    /// Writes the Rust types and the self-contained schemas to src/generated, and the pages for
    /// people to docs.
    Generate {
        /// Writes nothing; fails if a file would change.
        #[arg(long)]
        check: bool,
    },
    /// Prints one record of the Confluent wire format as JSON, as rpk does.
    Decode(decode::Arguments),
    /// Writes one record in the Confluent wire format, from JSON as rpk takes it.
    Encode(encode::Arguments),
    /// Shows how registry and topics differ from the files.
    Plan(plan::Arguments),
    /// Changes registry and topics to what the files say.
    Apply(apply::Arguments),
    /// Reads every record on the topics with the working schemas, and counts the records by
    /// version.
    Replay(replay::Arguments),
    /// Prints this checker's results for a file of cases, one JSON object per line.
    Conform(conform::Conform),
}

/// Wrong usage, EX_USAGE.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let settings =
        match redpanda::settings::try_parse(std::env::args_os(), |name| std::env::var_os(name)) {
            Ok(settings) => settings,
            Err(error) => {
                drop(error.print());
                // Help and version are no errors.
                return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
            }
        };
    match run(settings) {
        Ok(outcome) => ExitCode::from(outcome as u8),
        Err(error) => {
            note!("schemas: {}", schemas::chain(&*error));
            stop::code_of(&error)
        }
    }
}

fn run(Settings { folder, format, command }: Settings) -> Result<Outcome> {
    let folder = || folder.map_or_else(locate, Ok);
    let fine = |()| Outcome::Fine;
    match command {
        Command::Lint(lint) => lint.run(folder, format),
        Command::Check(check) => check.run(&folder()?, format),
        Command::Diff(diff) => diff.run(folder, format),
        Command::Release(release) => release.run(&folder()?, format),
        Command::Generate { check } => generate::run(&folder()?, check).map(fine),
        Command::Conform(conform) => conform.run(),
        Command::Decode(arguments) => {
            runtime::start()?.block_on(decode::run(folder, arguments)).map(fine)
        }
        Command::Encode(arguments) => {
            runtime::start()?.block_on(encode::run(folder, arguments)).map(fine)
        }
        Command::Plan(arguments) => runtime::start()?.block_on(plan::run(folder, arguments)),
        Command::Apply(arguments) => {
            runtime::start()?.block_on(apply::run(folder, arguments)).map(fine)
        }
        Command::Replay(arguments) => replay::run(&runtime::start()?, folder, arguments),
    }
}

/// The folder of the schemas, searched from the working folder upwards.
fn locate() -> Result<PathBuf> {
    let here = std::env::current_dir()?;
    here.ancestors()
        .flat_map(|folder| [folder.to_owned(), folder.join("schemas")])
        .find(|folder| folder.join("avro").is_dir())
        .ok_or_else(|| {
            stop::Stop::Usage("no folder `avro` here or above: name it with --folder".to_owned())
                .into()
        })
}

//! `schemas`: keeps the Avro files, the Rust types made from them, and what was released of them
//! together.
//!
//! Registry and brokers are asked by those commands alone that name one, and changed by `apply`
//! alone.

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
mod plan;
mod release;
mod replay;
mod report;
mod rust;
mod source;
mod stop;
mod texts;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use tokio::runtime::Runtime;

use report::{Format, Outcome};

/// Keeps schemas, generated types and released history together. Exit codes: 0 nothing to do or
/// fine, 1 changes pending, 2 breaking or invalid, 64 wrong usage, 69 broker or registry
/// unreachable.
#[derive(Debug, Parser)]
#[command(name = "schemas", version)]
struct Settings {
    /// The folder of the schemas, with `avro` in it; found by itself from the project's folder or
    /// below.
    #[arg(long, env = "MILLRACE_SCHEMAS", global = true)]
    folder: Option<PathBuf>,
    /// How findings are written.
    #[arg(long, value_enum, default_value_t = Format::Text, global = true)]
    format: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks that the files are valid and keep to the house's rules, or explains a rule.
    Lint(lint::Lint),
    /// Checks every schema against all that was released of it; tells every problem, who breaks,
    /// and a fix.
    Check(check::Check),
    /// Tells what has changed since the latest release, and what of it breaks.
    Diff(diff::Diff),
    /// Keeps each working schema that has changed as its next released version, unless one breaks
    /// what was released.
    Release(release::Release),
    /// Writes the Rust types and the self-contained schemas to src/generated, and what people read
    /// to docs.
    Generate {
        /// Writes nothing; fails if something would change.
        #[arg(long)]
        check: bool,
    },
    /// Prints one record of the Confluent wire format as JSON, the way rpk does.
    Decode(decode::Arguments),
    /// Writes one record in the Confluent wire format, from JSON the way rpk takes it.
    Encode(encode::Arguments),
    /// Shows what registry and topics lack of what the files say.
    Plan(plan::Arguments),
    /// Brings registry and topics to what the files say.
    Apply(apply::Arguments),
    /// Reads every record that the topics hold with the working schemas, and counts them by
    /// version.
    Replay(replay::Arguments),
    /// Gives this checker's verdicts on a file of cases, one JSON object a line.
    Conform(conform::Conform),
}

/// Wrong usage, EX_USAGE.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let settings =
        match redpanda::settings::try_parse(std::env::args_os(), |name| std::env::var_os(name)) {
            Ok(settings) => settings,
            Err(error) => {
                let _ = error.print();
                // Help and version are no errors.
                return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
            }
        };
    match run(settings) {
        Ok(outcome) => ExitCode::from(outcome as u8),
        Err(error) => {
            eprintln!("schemas: {error:#}");
            stop::code_of(&error)
        }
    }
}

fn run(Settings { folder, format, command }: Settings) -> anyhow::Result<Outcome> {
    let folder = || folder.map_or_else(locate, Ok);
    match command {
        Command::Lint(lint) => lint.run(folder, format),
        Command::Check(check) => check.run(&folder()?, format),
        Command::Diff(diff) => diff.run(folder, format),
        Command::Release(release) => release.run(&folder()?, format),
        Command::Generate { check } => generate::run(&folder()?, check).map(|()| Outcome::Fine),
        Command::Conform(conform) => conform.run(),
        Command::Decode(arguments) => {
            online()?.block_on(decode::run(folder, arguments)).map(|()| Outcome::Fine)
        }
        Command::Encode(arguments) => {
            online()?.block_on(encode::run(folder, arguments)).map(|()| Outcome::Fine)
        }
        Command::Plan(arguments) => online()?.block_on(plan::run(folder, arguments)),
        Command::Apply(arguments) => {
            online()?.block_on(apply::run(folder, arguments)).map(|()| Outcome::Fine)
        }
        Command::Replay(arguments) => replay::run(&online()?, folder, arguments),
    }
}

/// What a command needs that may ask a registry.
fn online() -> anyhow::Result<Runtime> {
    drop(rustls::crypto::ring::default_provider().install_default());
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// The schemas crate, seen from the working folder.
fn locate() -> anyhow::Result<PathBuf> {
    let here = std::env::current_dir()?;
    here.ancestors()
        .flat_map(|folder| [folder.to_owned(), folder.join("schemas")])
        .find(|folder| folder.join("avro").is_dir())
        .ok_or_else(|| {
            stop::Stop::Usage("no folder `avro` here or above: name it with --folder".to_owned())
                .into()
        })
}

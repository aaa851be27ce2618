//! `schemas`: keeps the Avro files, the Rust types made from them, and what was released of them together.
//!
//! It works on the files of this crate alone: it never talks to a registry or a broker.

#![forbid(unsafe_code)]

mod catalogue;
mod check;
mod config;
mod conform;
mod diff;
mod files;
mod generate;
mod lint;
mod release;
mod report;
mod rust;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use report::{Format, Outcome};

/// Keeps schemas, generated types and released history together. Exit codes: 0 nothing to do or fine, 1 changes pending,
/// 2 breaking or invalid, 64 wrong usage.
#[derive(Debug, Parser)]
#[command(name = "schemas", version)]
struct Settings {
    /// The folder of the schemas, with `avro` in it; found by itself from the project's folder or below.
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
    /// Checks every schema against all that was released of it; tells every problem, who breaks, and a fix.
    Check(check::Check),
    /// Tells what has changed since the latest release, and what of it breaks.
    Diff(diff::Diff),
    /// Keeps each working schema that has changed as its next released version, unless one breaks what was released.
    Release(release::Release),
    /// Writes the Rust types and the self-contained schemas to src/generated.
    Generate {
        /// Writes nothing; fails if something would change.
        #[arg(long)]
        check: bool,
    },
    /// Gives this checker's verdicts on a file of cases, one JSON object a line.
    Conform(conform::Conform),
}

/// A request that makes no sense: exit code 64 (EX_USAGE).
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

const USAGE: u8 = 64;

fn main() -> ExitCode {
    let settings = match Settings::try_parse() {
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
            ExitCode::from(if error.is::<Usage>() { USAGE } else { Outcome::Broken as u8 })
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
    }
}

/// The schemas crate, seen from the working folder.
fn locate() -> anyhow::Result<PathBuf> {
    let here = std::env::current_dir()?;
    here.ancestors()
        .flat_map(|folder| [folder.to_owned(), folder.join("schemas")])
        .find(|folder| folder.join("avro").is_dir())
        .ok_or_else(|| Usage("no folder `avro` here or above: name it with --folder".to_owned()).into())
}

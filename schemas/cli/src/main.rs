//! `schemas`: keeps the Avro files, the Rust types made from them, and what was released of them together.
//!
//! Registry and brokers are asked by those commands alone that name one, and changed by `apply` alone.

#![forbid(unsafe_code)]

mod apply;
mod catalogue;
mod decode;
mod docs;
mod encode;
mod generate;
mod plan;
mod release;
mod replay;
mod rust;
mod source;
mod stop;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use tokio::runtime::Runtime;

/// Keeps schemas, generated types and released history together.
#[derive(Debug, Parser)]
#[command(name = "schemas", version)]
struct Settings {
    /// The folder of the schemas crate; found by itself from the project's folder or below.
    #[arg(long, env = "MILLRACE_SCHEMAS", global = true)]
    folder: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Writes the Rust types and the self-contained schemas to src/generated, and what people read to docs.
    Generate {
        /// Writes nothing; fails if something would change.
        #[arg(long)]
        check: bool,
    },
    /// Keeps each working schema that has changed as its next released version, unless one breaks what was released.
    Release {
        /// Writes nothing; says what would be released.
        #[arg(long)]
        dry_run: bool,
    },
    /// Prints one record of the Confluent wire format as JSON, the way rpk does.
    Decode(decode::Arguments),
    /// Writes one record in the Confluent wire format, from JSON the way rpk takes it.
    Encode(encode::Arguments),
    /// Shows what registry and topics lack of what the files say.
    Plan(plan::Arguments),
    /// Brings registry and topics to what the files say.
    Apply(apply::Arguments),
    /// Reads every record that the topics hold with the working schemas, and counts them by version.
    Replay(replay::Arguments),
}

fn main() -> ExitCode {
    let settings = match Settings::try_parse() {
        Ok(settings) => settings,
        Err(error) => {
            let _ = error.print();
            // Wrong settings are 64 (EX_USAGE) everywhere; help and version are no errors.
            return if error.use_stderr() { ExitCode::from(64) } else { ExitCode::SUCCESS };
        }
    };
    match run(settings) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("schemas: {error:#}");
            stop::code_of(&error)
        }
    }
}

fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    let folder = || settings.folder.map_or_else(locate, Ok);
    let done = |()| ExitCode::SUCCESS;
    match settings.command {
        Command::Generate { check } => generate::run(&folder()?, check).map(done),
        Command::Release { dry_run } => release::run(&folder()?, dry_run).map(done),
        Command::Decode(arguments) => online()?.block_on(decode::run(folder, arguments)).map(done),
        Command::Encode(arguments) => online()?.block_on(encode::run(folder, arguments)).map(done),
        Command::Plan(arguments) => online()?.block_on(plan::run(folder, arguments)),
        Command::Apply(arguments) => online()?.block_on(apply::run(folder, arguments)).map(done),
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
        .ok_or_else(|| anyhow::anyhow!("no folder `avro` here or above: name it with --folder"))
}

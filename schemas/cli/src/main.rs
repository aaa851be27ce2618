//! `schemas`: keeps the Avro files, the Rust types made from them, and what was released of them together.
//!
//! It works on the files of this crate alone: it never talks to a registry or a broker.

#![forbid(unsafe_code)]

mod catalogue;
mod generate;
mod release;
mod rust;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

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
    /// Writes the Rust types and the self-contained schemas to src/generated.
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
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("schemas: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(settings: Settings) -> anyhow::Result<()> {
    let folder = match settings.folder {
        Some(folder) => folder,
        None => locate()?,
    };
    match settings.command {
        Command::Generate { check } => generate::run(&folder, check),
        Command::Release { dry_run } => release::run(&folder, dry_run),
    }
}

/// The schemas crate, seen from the working folder.
fn locate() -> anyhow::Result<PathBuf> {
    let here = std::env::current_dir()?;
    here.ancestors()
        .flat_map(|folder| [folder.to_owned(), folder.join("schemas")])
        .find(|folder| folder.join("avro").is_dir())
        .ok_or_else(|| anyhow::anyhow!("no folder `avro` here or above: name it with --folder"))
}

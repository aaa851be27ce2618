//! `compose`: uses `compose.yaml` as a person would, step by step, and prints what each step took
//! and showed. `integration/compose` finds or makes the Docker engine and the images, sets the
//! variables that `docker compose` reads (`DOCKER_HOST`, `COMPOSE_FILE`, `COMPOSE_PROJECT_NAME`),
//! and clears up after it. It never looks inside a container that a person could not look into.
#![forbid(unsafe_code)]

mod brokers;
mod docker;
mod readme;
mod report;
mod shop;
mod steps;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;

use docker::Docker;
use report::Report;

/// Uses compose.yaml as a person would; run it through integration/compose
#[derive(Debug, Parser)]
#[command(name = "compose", version)]
struct Options {
    /// Also what takes long: every container killed, other settings, mail, three brokers
    #[arg(long)]
    all: bool,
    /// Only the steps whose name contains this text, after the start that they need
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Only the README's tour, on a system that runs; nothing is started or stopped
    #[arg(long)]
    tour: bool,
    /// Leave the mail profile out
    #[arg(long)]
    without_mail: bool,
    /// The checkout
    #[arg(long, default_value = ".", value_name = "DIR")]
    root: PathBuf,
    /// Where the table of the steps is written
    #[arg(long, default_value = ".millrace/compose/report.md", value_name = "FILE")]
    out: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            // Nothing can be done about a closed terminal.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(64) } else { ExitCode::SUCCESS };
        }
    };
    let mut report = Report::new(options.only.clone());
    let done = run(&options, &mut report).await;
    let written = std::fs::write(&options.out, report.table());
    match done.and(written.map_err(|error| anyhow::anyhow!("write {}: {error}", options.out.display()))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let docker = Docker::new(options.root.canonicalize()?);
    if options.tour {
        return report.step("the README's tour, typed", readme::tour(&docker)).await;
    }
    // What an earlier run may have left.
    docker.clone().with("COMPOSE_PROFILES", "*").compose(&["down", "-v", "--remove-orphans"]).await?;
    steps::one_broker(&docker, report, options.all).await?;
    if options.all {
        steps::other_settings(&docker, report).await?;
        if !options.without_mail {
            steps::mail(&docker, report).await?;
        }
        brokers::three(&docker, report).await?;
    }
    Ok(())
}

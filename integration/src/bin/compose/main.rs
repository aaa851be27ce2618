//! `compose`: uses `compose.yaml` as a person would, step by step, and prints the time and the
//! result of each step. `integration/compose` finds or creates the Docker engine and the images,
//! sets the variables that `docker compose` reads (`DOCKER_HOST`, `COMPOSE_FILE`,
//! `COMPOSE_PROJECT_NAME`), and removes everything afterwards. This program uses only commands that
//! a person could type.
#![forbid(unsafe_code)]

mod brokers;
mod disturbed;
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
    /// Also the long steps: every container killed, paused and cut off, other settings, mail,
    /// three brokers
    #[arg(long)]
    all: bool,
    /// Only the steps of `integration/test`: the first start, the tour, one crash, down and up
    #[arg(long, conflicts_with_all = ["all", "part", "tour"])]
    short: bool,
    /// Only this part of --all
    #[arg(long, value_name = "PART")]
    part: Option<Part>,
    /// Of the part `disturbed`, only this service
    #[arg(long, value_name = "SERVICE", requires = "part")]
    service: Option<String>,
    /// Only the README's tour, on a running system; starts and stops nothing
    #[arg(long)]
    tour: bool,
    /// Leave out the mail profile
    #[arg(long)]
    without_mail: bool,
    /// The checkout
    #[arg(long, default_value = ".", value_name = "DIR")]
    root: PathBuf,
    /// The file for the table of the steps
    #[arg(long, default_value = ".millrace/compose/report.md", value_name = "FILE")]
    out: PathBuf,
}

/// A part of the steps, which starts on empty volumes and deletes them at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// One broker, default settings
    One,
    /// One container after the other paused, and taken off its networks
    Disturbed,
    /// Another address and another password
    Settings,
    /// The profile that catches mail
    Mail,
    /// The profile with three brokers
    Three,
}

impl Options {
    fn wants(&self, part: Part) -> bool {
        match self.part {
            Some(only) => only == part,
            None => self.all || part == Part::One,
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let options: Options = match integration::options() {
        Ok(options) => options,
        Err(code) => return code,
    };
    let mut report = Report::new();
    let done = run(&options, &mut report).await;
    let written = std::fs::write(&options.out, report.table());
    match done
        .and(written.map_err(|error| anyhow::anyhow!("write {}: {error}", options.out.display())))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            integration::tell!("error: {}", integration::chain(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let docker = Docker::new(options.root.canonicalize()?);
    if options.tour {
        return report.step("the README's tour, typed", readme::tour(&docker)).await;
    }
    // An earlier run may have left containers.
    docker
        .clone()
        .with("COMPOSE_PROFILES", "*")
        .compose(&["down", "-v", "--remove-orphans"])
        .await?;
    if options.short {
        return steps::short(&docker, report).await;
    }
    if options.wants(Part::One) {
        steps::one_broker(&docker, report, options.all).await?;
    }
    if options.wants(Part::Disturbed) {
        disturbed::all(&docker, report, options.service.as_deref()).await?;
    }
    if options.wants(Part::Settings) {
        steps::other_settings(&docker, report).await?;
    }
    if options.wants(Part::Mail) && !options.without_mail {
        steps::mail(&docker, report).await?;
    }
    if options.wants(Part::Three) {
        brokers::three(&docker, report).await?;
    }
    Ok(())
}

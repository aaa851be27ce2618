//! `provision`: brings broker and registry to what `topics.yaml` and the schemas say, and prints what it does.
//!
//! It is idempotent and never deletes. Exit codes: 0 done or nothing to do, 1 changes pending (`--dry-run`) or failed,
//! 64 wrong settings.
#![forbid(unsafe_code)]

use std::{fmt::Display, io::Write as _, process::ExitCode, time::Duration};

use clap::Parser;
use redpanda::{
    provision::{Provision, retry::Patience},
    registry::{self, Registry},
};

/// Makes the topics and registers the schemas that are not there yet.
#[derive(Parser)]
#[command(version)]
struct Config {
    /// Brokers to begin with, `host:port`, comma separated.
    #[arg(long, env = "MILLRACE_BROKERS", default_value = "127.0.0.1:9092")]
    brokers: String,
    /// Base URLs of the schema registry, comma separated: a request fails over to the next one.
    #[arg(
        long,
        env = "MILLRACE_REGISTRY_URL",
        default_value = "http://127.0.0.1:8081",
        value_parser = registry::UrlsParser,
        hide_env_values = true
    )]
    registry_url: String,
    /// How many replicas new topics get.
    #[arg(long, env = "MILLRACE_REPLICATION", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=7))]
    replication: i32,
    /// Seconds for which each request is repeated while broker and registry start: timeouts, refused
    /// connections, 5xx answers, partitions without a leader. Other errors end the program at once.
    #[arg(long, env = "MILLRACE_WAIT_S", default_value_t = 60)]
    wait_s: u64,
    /// Prints the plan and changes nothing.
    #[arg(long)]
    dry_run: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let config = Config::try_parse().unwrap_or_else(|error| {
        let _ = error.print();
        std::process::exit(if error.use_stderr() { 64 } else { 0 });
    });
    drop(rustls::crypto::ring::default_provider().install_default());
    match run(&config).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("provision: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints a line. A reader who has left does not end the program halfway, as `println!` would.
fn say(line: impl Display) {
    drop(writeln!(std::io::stdout(), "{line}"));
}

async fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let registry = Registry::new(&config.registry_url)?;
    let patience = Patience::new(Duration::from_secs(config.wait_s), |failure| {
        eprintln!("provision: {failure}; trying again");
    });
    let provision = Provision::new(&config.brokers, registry, config.replication)?;
    let provision = provision.with_patience(patience);
    let plan = provision.plan().await?;
    if plan.is_empty() {
        say("nothing to do: all topics and schemas are there");
    }
    if let [first, others @ ..] = plan.breaks.as_slice() {
        let others: Vec<_> = others.iter().map(|other| format!("; {other}")).collect();
        anyhow::bail!("nothing is done: {first}{}", others.concat());
    }
    for step in &plan.steps {
        say(step);
        if !config.dry_run {
            provision.apply(step).await?;
        }
    }
    if config.dry_run {
        return Ok(ExitCode::from(u8::from(!plan.is_empty())));
    }
    provision.wait_for_leaders().await?;
    say("all topics have leaders");
    Ok(ExitCode::SUCCESS)
}

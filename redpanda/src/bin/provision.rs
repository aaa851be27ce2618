//! `provision`: changes broker and registry to what `topics.yaml` and the schemas declare, and
//! prints each step.
//!
//! `provision acls` prints or creates the access rules of `acls.yaml`. It is idempotent and never
//! deletes. Exit codes: 0 done or nothing to do, 1 changes pending (`--dry-run`) or failed, 64
//! wrong settings.
#![forbid(unsafe_code)]

use std::{fmt::Display, io::Write as _, process::ExitCode};

use clap::{Parser, Subcommand};
use redpanda::{
    acls::Acls,
    brokers::{BrokerSettings, Brokers},
    provision::{Provision, ProvisionSettings, retry::RetryPolicy},
    registry::{Registry, RegistrySettings},
    settings,
    tls::{self, TlsSettings},
};
use schemas::chain;

/// The exit code for wrong settings, EX_USAGE.
const USAGE: u8 = 64;

/// Creates the topics and registers the schemas that do not exist yet.
#[derive(Parser)]
#[command(version)]
struct Config {
    #[command(flatten)]
    brokers: BrokerSettings,
    #[command(flatten)]
    registry: RegistrySettings,
    #[command(flatten)]
    tls: TlsSettings,
    #[command(flatten)]
    provision: ProvisionSettings,
    /// Prints the plan and changes nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Prints the access rules of each program, as rpk commands that create them.
    Acls {
        /// Creates the rules instead of printing them. This needs the right to alter the cluster.
        /// It removes no rule.
        #[arg(long)]
        apply: bool,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let config: Config = settings::parse();
    tls::install_provider();
    let (brokers, registry) = match config.cluster() {
        Ok(cluster) => cluster,
        Err(error) => {
            eprintln!("provision: {}", chain(&*error));
            return ExitCode::from(USAGE);
        }
    };
    let done = match config.command {
        Some(Command::Acls { apply }) => acls(&config, &brokers, apply).await,
        None => run(&config, brokers, registry).await,
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("provision: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Prints a line. A closed standard output does not end the program halfway, as with `println!`.
fn say(line: impl Display) {
    drop(writeln!(std::io::stdout(), "{line}"));
}

impl Config {
    fn cluster(&self) -> anyhow::Result<(Brokers, Registry)> {
        let tls = self.tls.load()?;
        Ok((self.brokers.open(&tls)?, self.registry.open(&tls)?))
    }

    fn retries(&self) -> RetryPolicy {
        self.provision.retries(|failure| {
            eprintln!("provision: {}; trying again", chain(failure));
        })
    }
}

async fn acls(config: &Config, brokers: &Brokers, apply: bool) -> anyhow::Result<ExitCode> {
    let acls = Acls::all();
    if apply {
        acls.create(brokers, &config.retries()).await?;
        say(format_args!("{} access rules exist", acls.rules().len()));
    } else {
        acls.rules().iter().for_each(say);
    }
    Ok(ExitCode::SUCCESS)
}

async fn run(config: &Config, brokers: Brokers, registry: Registry) -> anyhow::Result<ExitCode> {
    let provision = Provision::new(&brokers, registry, config.provision.replication)?;
    let provision = provision.with_retries(config.retries());
    let plan = provision.plan().await?;
    if plan.is_empty() {
        say("nothing to do: all topics and schemas exist as declared");
    }
    if config.dry_run {
        plan.check()?;
        plan.steps.iter().for_each(say);
        return Ok(ExitCode::from(u8::from(!plan.is_empty())));
    }
    provision.apply_all(&plan, |step| say(step)).await?;
    say("all topics have leaders");
    Ok(ExitCode::SUCCESS)
}

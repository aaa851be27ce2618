//! What the commands of `stack` do. `up` starts the system on the well-known ports, runs a demo
//! order and stays until Ctrl-C. `run` starts it on free ports with fresh data, runs a command
//! against it, stops everything and ends as the command ended. Both stop in reverse order; a second
//! Ctrl-C kills what is being stopped: the command, or everything.

mod addresses;
mod command;
mod ctl;
mod signals;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crate::chain;
use crate::demo;
use crate::stack::parts::Setup;
use crate::stack::ports::local;
use crate::stack::{
    Layout, Part, Ports, PublicPorts, RestartPolicy, Secrets, Secured, StackError, Supervisor,
    control, parts, process,
};
use addresses::addresses;
use command::follow;
use signals::Signals;

pub use ctl::ctl;

/// How long the end of killed processes is awaited.
const KILL_MAX: Duration = Duration::from_secs(2);

/// The options of `stack up`.
#[derive(Debug, clap::Args)]
pub struct Up {
    /// Delete all data of an earlier start first
    #[arg(long)]
    pub fresh: bool,
    /// Folder for all data; a relative name is below the checkout
    #[arg(long, default_value = ".millrace/up", value_name = "DIR")]
    pub data: PathBuf,
    /// Start only the servers, to run the services from an editor
    #[arg(long)]
    pub servers_only: bool,
    /// Put the gate in front of the broker, which makes Kafka answer as Redpanda does
    #[arg(long)]
    pub redpanda_rules: bool,
    /// TLS, users and access rules on every server, with a certificate authority of its own;
    /// without the gate, which can't read TLS. Needs data of its own: --fresh, or another --data
    #[arg(long, conflicts_with = "redpanda_rules")]
    pub secured: bool,
    /// Add no products and run no demo order
    #[arg(long)]
    pub no_demo: bool,
    /// The ports that people use
    #[command(flatten)]
    pub public: PublicPorts,
}

/// The options of `stack run`.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// Folder for all data, which is deleted first
    #[arg(long, default_value = ".millrace/run", value_name = "DIR")]
    pub data: PathBuf,
    /// Start only the servers
    #[arg(long)]
    pub servers_only: bool,
    /// Start only these parts, which must need no others; with the broker comes its gate
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// The number of brokers: 1, or 3 with a replica of everything on each
    #[arg(long, default_value = "1", value_name = "COUNT", value_parser = ["1", "3"])]
    pub brokers: String,
    /// TLS, users and access rules on every server, with a certificate authority of its own; one
    /// broker, and without the gate, which can't read TLS
    #[arg(long, conflicts_with = "brokers")]
    pub secured: bool,
    /// Leave out the gate that makes Kafka answer as Redpanda does
    #[arg(long)]
    pub without_redpanda_rules: bool,
    /// The command and its arguments
    #[arg(required = true, last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Starts the system, runs a demo order and stays until a signal asks it to stop.
pub async fn up(options: Up) -> Result<ExitCode, StackError> {
    let mut signals = Signals::new()?;
    let layout = Layout::find(&options.data)?;
    let _lock = open(&layout, options.fresh).await?;
    let mut setup = setup(layout, Ports::well_known(options.public)?)?;
    if options.secured {
        secure(&mut setup)?;
    }
    let parts = parts::all(&setup, options.servers_only, options.redpanda_rules)?;
    let supervisor = supervise(&setup, parts, RestartPolicy::Restart)?;

    say!("starting; log files are in {}", setup.layout.logs().display());
    let begin = async {
        supervisor.start_all().await?;
        if !options.servers_only && !options.no_demo {
            demo::run(&demo_target(&setup))
                .await
                .map_err(|error| format!("the demo order failed: {}", chain(&error)))
                .map_err(StackError::Refused)?;
        }
        Ok::<(), StackError>(())
    };
    let begun = tokio::select! {
        begun = begin => begun.map(|()| true),
        _ = signals.next() => Ok(false),
    };
    if matches!(begun, Ok(true)) {
        addresses(&setup, options.servers_only);
        signals.next().await;
    } else if let Err(error) = &begun {
        tell!("error: {}", chain(error));
    }
    let killed = stop(&supervisor, &mut signals).await;
    Ok(if killed || begun.is_err() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Starts a system with fresh data, runs the command against it, stops it, and returns the
/// command's exit code.
pub async fn run(options: Run) -> Result<ExitCode, StackError> {
    let mut signals = Signals::new()?;
    let layout = Layout::find(&options.data)?;
    let _lock = open(&layout, true).await?;
    let brokers = if options.brokers == "3" { 3 } else { 1 };
    let mut setup = setup(layout, Ports::anywhere_with(brokers))?;
    if options.secured {
        secure(&mut setup)?;
    }
    let gated = !options.without_redpanda_rules && !options.secured;
    let parts = parts::all(&setup, options.servers_only, gated)?;
    let supervisor = supervise(&setup, only(parts, &options.only)?, RestartPolicy::Leave)?;

    say!(
        "starting a stack for {:?} (log files in {})",
        options.command[0],
        setup.layout.logs().display()
    );
    let begun = tokio::select! {
        begun = supervisor.start_all() => begun,
        _ = signals.next() => Err(StackError::Refused("interrupted".into())),
    };
    let code = match begun {
        Ok(()) => follow(&options.command, &setup, &mut signals).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &code {
        tell!("error: {}", chain(error));
    }
    let killed = stop(&supervisor, &mut signals).await;
    Ok(if killed { ExitCode::FAILURE } else { code.map_or(ExitCode::FAILURE, ExitCode::from) })
}

type Lock = nix::fcntl::Flock<std::fs::File>;

/// Locks the data folder, and stops the processes that an earlier stack left running on it.
async fn open(layout: &Layout, fresh: bool) -> Result<Lock, StackError> {
    let lock = layout.lock()?;
    process::stop_orphans(layout).await;
    if fresh {
        layout.clear()?;
    }
    layout.make()?;
    Ok(lock)
}

fn setup(layout: Layout, ports: Ports) -> Result<Setup, StackError> {
    let secrets = Secrets::ready(&layout)?;
    Ok(Setup { layout, ports, secrets, secured: None })
}

/// Makes every server of the stack ask for TLS and a password.
fn secure(setup: &mut Setup) -> Result<(), StackError> {
    let layout = &setup.layout;
    let formatted = layout.data.join("kafka/bootstrap.checkpoint").exists();
    if formatted && !Secured::exists(layout) {
        // Kafka creates users only when it formats its storage.
        return Err(StackError::Refused(format!(
            "the data in {} belongs to a stack without users; add --fresh, or choose another --data",
            layout.data.display()
        )));
    }
    let secured = Secured::ready(layout)?;
    parts::write(&layout.configs().join("kcat.conf"), &secured.kcat()?)?;
    setup.secured = Some(secured);
    Ok(())
}

/// Keeps the parts that `names` chooses, or all if it is empty. Clients reach the broker through
/// the gate, so the gate comes with the broker.
fn only(mut parts: Vec<Part>, names: &[String]) -> Result<Vec<Part>, StackError> {
    if let Some(unknown) = names.iter().find(|name| parts.iter().all(|part| part.name != **name)) {
        let known = parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>().join(", ");
        return Err(StackError::Refused(format!("no part is called {unknown}; there are {known}")));
    }
    let chosen = |name: &str| names.iter().any(|chosen| chosen == name);
    // Several brokers serve only together.
    let of_broker =
        |name: &str| name == "gate" || name.starts_with("broker-") || name.starts_with("link");
    parts.retain(|part| {
        names.is_empty() || chosen(&part.name) || (chosen("broker") && of_broker(&part.name))
    });
    Ok(parts)
}

fn supervise(
    setup: &Setup,
    parts: Vec<Part>,
    policy: RestartPolicy,
) -> Result<Arc<Supervisor>, StackError> {
    let supervisor = Supervisor::new(setup.layout.clone(), parts, policy);
    control::serve(&setup.layout.socket(), supervisor.clone())?;
    Ok(supervisor)
}

/// Stops everything. Returns true if a second signal made it kill everything instead.
async fn stop(supervisor: &Supervisor, signals: &mut Signals) -> bool {
    let killed = tokio::select! {
        () = supervisor.stop_all() => false,
        _ = signals.next_request() => {
            tell!("killing everything");
            supervisor.kill_all().await;
            let _ = tokio::time::timeout(KILL_MAX, supervisor.stop_all()).await;
            true
        }
    };
    if !killed {
        say!("stopped");
    }
    killed
}

fn demo_target(setup: &Setup) -> demo::Target {
    demo::Target {
        url: format!("http://{}", local(setup.ports.public.http_port)),
        admin_email: setup.secrets.admin_email.to_owned(),
        admin_password_file: setup.secrets.admin_password.clone(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::*;

    #[test]
    fn script_up_knows_every_option_of_stack_up() {
        let script = include_str!("../../../up");
        let known =
            script.split_once("options=(").expect("a list").1.split_once(')').expect("its end");
        let known: Vec<_> = known.0.split_whitespace().collect();
        let command = Up::augment_args(clap::Command::new("up"));
        for option in command.get_arguments().filter_map(clap::Arg::get_long) {
            assert!(known.contains(&&*format!("--{option}")), "{option} is not in {known:?}");
        }
    }
}

//! What the commands of `stack` do. `up` starts the system on the well-known ports, runs a demo order
//! and stays until Ctrl-C. `run` starts it on free ports with fresh data, runs a command against it,
//! stops everything and ends as the command ended. Both stop in reverse order; a second Ctrl-C kills.

mod addresses;
mod command;
mod ctl;
mod signals;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crate::journey;
use crate::stack::parts::Context;
use crate::stack::ports::local;
use crate::stack::{
    Layout, Outer, Part, Policy, Ports, Secrets, Secured, StackError, Supervisor, control, parts,
    process,
};
use addresses::addresses;
use command::follow;
use signals::Signals;

pub use ctl::ctl;

/// Signals closer than this are one.
const SAME_WISH: Duration = Duration::from_millis(300);

/// How long killed processes get to be gone.
const KILL_MAX: Duration = Duration::from_secs(2);

/// What `stack up` is told.
#[derive(Debug, clap::Args)]
pub struct Up {
    /// Start anew: throw all data of an earlier start away
    #[arg(long)]
    pub fresh: bool,
    /// Folder for all data; relative names are below the checkout
    #[arg(long, default_value = ".millrace/up", value_name = "DIR")]
    pub data: PathBuf,
    /// Only the servers: for working on the services outside the stack
    #[arg(long)]
    pub servers_only: bool,
    /// Put the gate before the broker, which makes Kafka answer as Redpanda does
    #[arg(long)]
    pub redpanda_rules: bool,
    /// Seed nothing and run no journey
    #[arg(long)]
    pub no_journey: bool,
    /// The ports that people use
    #[command(flatten)]
    pub outer: Outer,
}

/// What `stack run` is told.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// Folder for all data, thrown away first
    #[arg(long, default_value = ".millrace/run", value_name = "DIR")]
    pub data: PathBuf,
    /// Only the servers
    #[arg(long)]
    pub servers_only: bool,
    /// Only these parts, which must need no others; the broker brings its gate
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// How many brokers: one, or three that hold a replica of everything
    #[arg(long, default_value = "1", value_name = "COUNT", value_parser = ["1", "3"])]
    pub brokers: String,
    /// TLS, users and access rules everywhere, with an authority of its own; one broker, and
    /// without the gate, which can't see into TLS
    #[arg(long, conflicts_with = "brokers")]
    pub secured: bool,
    /// Leave out the gate that makes Kafka answer as Redpanda does
    #[arg(long)]
    pub without_redpanda_rules: bool,
    /// The command and its arguments
    #[arg(required = true, last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Starts the system and stays until told to stop.
pub async fn up(options: Up) -> Result<ExitCode, StackError> {
    let mut signals = Signals::new()?;
    let layout = Layout::find(&options.data)?;
    let _lock = open(&layout, options.fresh).await?;
    let context = context(layout, Ports::well_known(options.outer)?)?;
    let parts = parts::all(&context, options.servers_only, options.redpanda_rules)?;
    let supervisor = supervise(&context, parts, Policy::Restart)?;

    say!("starting; logs are in {}", context.layout.logs().display());
    let begin = async {
        supervisor.start_all().await?;
        if !options.servers_only && !options.no_journey {
            journey::show(&journey_target(&context))
                .await
                .map_err(|error| StackError::Refused(format!("the journey failed: {error}")))?;
        }
        Ok::<(), StackError>(())
    };
    let begun = tokio::select! {
        begun = begin => begun.map(|()| true),
        () = signals.next() => Ok(false),
    };
    if matches!(begun, Ok(true)) {
        addresses(&context, options.servers_only);
        signals.next().await;
    } else if let Err(error) = &begun {
        tell!("error: {error}");
    }
    let killed = stop(&supervisor, &mut signals).await;
    Ok(if killed || begun.is_err() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Starts a system of its own, runs the command against it, and returns the command's code.
pub async fn run(options: Run) -> Result<ExitCode, StackError> {
    let mut signals = Signals::new()?;
    let layout = Layout::find(&options.data)?;
    let _lock = open(&layout, true).await?;
    let brokers = if options.brokers == "3" { 3 } else { 1 };
    let mut context = context(layout, Ports::anywhere_with(brokers))?;
    if options.secured {
        let secured = Secured::ready(&context.layout)?;
        let path = context.layout.configs().join("kcat.conf");
        std::fs::write(&path, secured.kcat()?).map_err(StackError::file("write", &path))?;
        context.secured = Some(secured);
    }
    let gated = !options.without_redpanda_rules && !options.secured;
    let parts = parts::all(&context, options.servers_only, gated)?;
    let supervisor = supervise(&context, only(parts, &options.only)?, Policy::Leave)?;

    say!(
        "starting a stack for {:?} (logs in {})",
        options.command[0],
        context.layout.logs().display()
    );
    let begun = tokio::select! {
        begun = supervisor.start_all() => begun,
        () = signals.next() => Err(StackError::Refused("interrupted".into())),
    };
    let code = match begun {
        Ok(()) => follow(&options.command, &context, &mut signals).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &code {
        tell!("error: {error}");
    }
    let killed = stop(&supervisor, &mut signals).await;
    Ok(if killed { ExitCode::FAILURE } else { code.map_or(ExitCode::FAILURE, ExitCode::from) })
}

type Lock = nix::fcntl::Flock<std::fs::File>;

/// Takes the data folder, and stops what an earlier stack left running on it.
async fn open(layout: &Layout, fresh: bool) -> Result<Lock, StackError> {
    let lock = layout.lock()?;
    process::stop_orphans(layout).await;
    if fresh {
        layout.clear()?;
    }
    layout.make()?;
    Ok(lock)
}

fn context(layout: Layout, ports: Ports) -> Result<Context, StackError> {
    let secrets = Secrets::ready(&layout)?;
    Ok(Context { layout, ports, secrets, secured: None })
}

/// The parts that `names` chooses, or all. Clients reach the broker through its gate, so whoever
/// chooses it gets both.
fn only(mut parts: Vec<Part>, names: &[String]) -> Result<Vec<Part>, StackError> {
    if let Some(unknown) = names.iter().find(|name| parts.iter().all(|part| part.name != **name)) {
        let known = parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>().join(", ");
        return Err(StackError::Refused(format!("no part is called {unknown}; there are {known}")));
    }
    let chosen = |name: &str| names.iter().any(|chosen| chosen == name);
    // Of several brokers none serves without the others.
    let of_broker =
        |name: &str| name == "gate" || name.starts_with("broker-") || name.starts_with("link");
    parts.retain(|part| {
        names.is_empty() || chosen(&part.name) || (chosen("broker") && of_broker(&part.name))
    });
    Ok(parts)
}

fn supervise(
    context: &Context,
    parts: Vec<Part>,
    policy: Policy,
) -> Result<Arc<Supervisor>, StackError> {
    let supervisor = Supervisor::new(context.layout.clone(), parts, policy);
    control::serve(&context.layout.socket(), supervisor.clone())?;
    Ok(supervisor)
}

/// Stops everything; true when a second signal made it kill instead.
async fn stop(supervisor: &Supervisor, signals: &mut Signals) -> bool {
    let again = async {
        // `timeout` and terminals that close send their signal twice at once: that is one wish.
        tokio::time::sleep(SAME_WISH).await;
        if let Ok(fresh) = Signals::new() {
            *signals = fresh;
        }
        signals.next().await;
    };
    let killed = tokio::select! {
        () = supervisor.stop_all() => false,
        () = again => {
            tell!("killing everything");
            supervisor.kill_all();
            let _ = tokio::time::timeout(KILL_MAX, supervisor.stop_all()).await;
            true
        }
    };
    if !killed {
        say!("stopped");
    }
    killed
}

fn journey_target(context: &Context) -> journey::Target {
    journey::Target {
        url: format!("http://{}", local(context.ports.outer.http_port)),
        admin_email: context.secrets.admin_email.to_owned(),
        admin_password_file: context.secrets.admin_password.clone(),
    }
}

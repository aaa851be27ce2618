//! What the commands do. `up`: the well-known ports, a visible journey, then stay until Ctrl-C.
//! `run`: free ports and fresh data, run a command against them, stop everything, end as the
//! command ended. Both stop in reverse order; a second Ctrl-C kills.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::parts::{self, Context};
use super::ports::local;
use super::{
    Layout, Outer, Part, Policy, Ports, STRANGER, Secrets, Secured, StackError, Supervisor,
    control, process,
};
use crate::journey;

/// How long a command that was interrupted gets to end by itself.
const COMMAND_STOP_MAX: Duration = Duration::from_secs(10);

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

/// Asks a running stack one thing and prints its answer.
pub async fn ctl(data: &Path, request: &[String]) -> Result<ExitCode, StackError> {
    let layout = Layout::find(data)?;
    let client = match std::env::var_os(control::VARIABLE) {
        Some(path) => control::Client::at(path),
        None => control::Client::at(layout.socket()),
    };
    let refused = |error: control::ControlError| StackError::Refused(error.to_string());
    if request == ["status"] {
        for part in client.status().await.map_err(refused)? {
            let pid = part.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
            say!("{:<16} {:<12} {:>8}  {}", part.name, part.state, pid, part.address);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let answer = client.raw(&request.join(" ")).await.map_err(refused)?;
    say!("{answer}");
    Ok(if answer.starts_with(r#"{"ok":true"#) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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

/// Runs the command in the terminal's foreground, told where everything is.
async fn follow(
    words: &[OsString],
    context: &Context,
    signals: &mut Signals,
) -> Result<u8, StackError> {
    let mut command = process::command(words, None);
    command.envs(parts::environment(context)).envs(run_environment(context));
    let program = Path::new(&words[0]);
    let mut child = command.spawn().map_err(StackError::file("start", program))?;
    let status = tokio::select! {
        status = child.wait() => status,
        () = signals.next() => {
            // The terminal has told the command too, as it is of the same group.
            let ended = tokio::time::timeout(COMMAND_STOP_MAX, child.wait()).await;
            if ended.is_err() {
                let _ = child.start_kill();
            }
            child.wait().await
        }
    };
    let status = status.map_err(StackError::file("follow", program))?;
    let killed_by = std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0);
    Ok(u8::try_from(status.code().unwrap_or(128 + killed_by)).unwrap_or(1))
}

fn run_environment(context: &Context) -> Vec<(String, OsString)> {
    let ports = &context.ports;
    let gateways = ["gateway-0", "gateway-1"];
    let listed = gateways.map(|name| format!("http://{}", ports.at(name))).join(",");
    let mut env: Vec<(String, OsString)> = vec![
        ("MILLRACE_URL".into(), journey_target(context).url.into()),
        ("MILLRACE_GATEWAYS".into(), listed.into()),
        (
            "MILLRACE_PROMETHEUS_URL".into(),
            format!("http://{}", local(ports.outer.prometheus_port)).into(),
        ),
        (control::VARIABLE.into(), context.layout.socket().into()),
        ("MILLRACE_DATA".into(), context.layout.data.clone().into()),
        ("MILLRACE_ADMIN_EMAIL".into(), context.secrets.admin_email.into()),
        ("MILLRACE_ADMIN_PASSWORD_FILE".into(), context.secrets.admin_password.clone().into()),
    ];
    if let Some(secured) = &context.secured {
        env.push(("KCAT_CONFIG".into(), context.layout.configs().join("kcat.conf").into()));
        for user in [STRANGER, "gateway", "order"] {
            let variable = format!("MILLRACE_PASSWORD_FILE_{}", user.to_uppercase());
            env.push((variable, secured.password_file(user).into()));
        }
    }
    if let Some(url) = ports.mail_url() {
        env.push(("MILLRACE_SMTP_URL".into(), url.into()));
    }
    // Of each broker one, comma separated.
    let brokers = ports.brokers();
    let joined = |all: Vec<&str>| OsString::from(all.join(","));
    env.push((
        "MILLRACE_BROKERS_INNER".into(),
        joined(brokers.iter().map(|one| &*one.inner).collect()),
    ));
    let proxied: Vec<_> = brokers.iter().filter_map(|broker| broker.proxied.as_ref()).collect();
    if !proxied.is_empty() {
        env.push((
            "MILLRACE_PROXIED_BROKER".into(),
            joined(proxied.iter().map(|one| &*one.at).collect()),
        ));
        env.push((
            "MILLRACE_PROXY".into(),
            joined(proxied.iter().map(|one| &*one.proxy).collect()),
        ));
    }
    for service in ["user", "order", "notification", "gateway"] {
        for instance in ["0", "1"] {
            let variable = format!("MILLRACE_INNER_{}_{instance}", service.to_uppercase());
            let address = ports.inner_http(&format!("{service}-{instance}"));
            env.push((variable, format!("http://{address}").into()));
        }
    }
    env
}

fn journey_target(context: &Context) -> journey::Target {
    journey::Target {
        url: format!("http://{}", local(context.ports.outer.http_port)),
        admin_email: context.secrets.admin_email.to_owned(),
        admin_password_file: context.secrets.admin_password.clone(),
    }
}

fn addresses(context: &Context, servers_only: bool) {
    let outer = &context.ports.outer;
    say!();
    if !servers_only {
        say!("  HTTP API     http://{}/ (a live page; /openapi.json)", local(outer.http_port));
    }
    say!("  broker       {} (kcat -b {0} -L, rpk -X brokers={0})", local(outer.broker_port));
    say!("  registry     http://{}/subjects", local(outer.registry_port));
    say!("  Prometheus   http://{}/", local(outer.prometheus_port));
    for (name, value) in parts::environment(context) {
        if ["POSTGRES", "MONGO", "REDIS"].iter().any(|store| name.contains(store)) {
            say!(
                "  {:<12} {}",
                name.split('_').nth(1).unwrap_or_default().to_lowercase(),
                value.to_string_lossy()
            );
        }
    }
    let secrets = &context.secrets;
    let word = if secrets.made { "made now" } else { "as before" };
    say!(
        "  admin        {}, password in {} ({word})",
        secrets.admin_email,
        secrets.admin_password.display()
    );
    say!("  keys         {}, {} ({word})", secrets.jwt_keys.display(), secrets.secret.display());
    say!("  data         {}", context.layout.data.display());
    say!("\nCtrl-C stops all of it.");
}

/// The signals that mean stop.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> Result<Self, StackError> {
        let listen =
            |kind| signal(kind).map_err(StackError::file("listen for", Path::new("signals")));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}

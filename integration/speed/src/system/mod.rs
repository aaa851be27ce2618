//! `bench system`: the whole system over HTTP, from many client addresses, and peers that do the
//! same three hops, one after the other. Open loop: a request is sent when it is due, whether or
//! not earlier ones have been answered, and its latency counts from that moment. The rate rises in
//! steps until the 99th percentile passes a limit; after the last step the results are compared
//! with what the system shows. It asserts no figure.

mod check;
pub(crate) mod dashboards;
mod load;
mod log;
mod observe;
mod report;
mod shop;
pub(crate) mod soak;
mod subject;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, ensure};
use integration::mail::Mail;

use load::{Load, Step};
use observe::{Observation, Observer};
pub(crate) use shop::{Shop, variable};
use subject::{Subject, System};

/// A step that answers less than this share of what it was offered is past the capacity.
const DONE_MIN: f64 = 0.95;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What is measured, one after the other
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [System::Millrace])]
    systems: Vec<System>,
    #[command(flatten)]
    workload: Workload,
    /// Requests a second, one step after the other
    #[arg(long, value_delimiter = ',', default_values_t = [20, 50, 100, 150, 200, 300, 400, 600])]
    rates: Vec<u64>,
    /// How long each step is measured, in seconds
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// How long each step runs before it is measured, in seconds
    #[arg(long, default_value_t = 5)]
    warm_up: u64,
    /// How long each system runs at `--first-rate` before its first step, in seconds
    #[arg(long, default_value_t = 30)]
    first_warm_up: u64,
    /// Requests a second before the first step: Java and Node.js compile what runs often
    #[arg(long, default_value_t = 100)]
    first_rate: u64,
    /// The 99th percentile, in milliseconds, past which the system is over its capacity
    #[arg(long, default_value_t = 500)]
    p99_ms_max: u64,
    /// Run all steps, also past the capacity
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    streams: Streams,
    /// The file for the result as JSON
    #[arg(long, default_value = ".millrace/bench/system.json")]
    out: PathBuf,
}

/// What the clients do, and to what.
#[derive(Debug, clap::Args)]
struct Workload {
    /// What the clients do
    #[arg(long, value_enum, default_value_t = Mix::Orders)]
    mix: Mix,
    /// Registered users who order
    #[arg(long, default_value_t = 20)]
    users: usize,
    /// Products in the shop
    #[arg(long, default_value_t = 100)]
    products: usize,
}

/// Settings of Kafka Streams.
#[derive(Debug, clap::Args)]
struct Streams {
    /// Kafka Streams' commit interval, and its longest wait for records, in milliseconds
    #[arg(long, default_value_t = 10)]
    streams_commit_ms: u64,
    /// Kafka Streams' threads
    #[arg(long, default_value_t = 1)]
    streams_threads: u32,
}

/// What the clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mix {
    /// Orders of one line, one product for all
    Orders,
    /// Orders of one line, a hundred products
    Spread,
    /// Orders of three lines, a hundred products
    Lines,
    /// The product list and a user's orders, in turn
    Reads,
    /// Registrations, each followed by a log-in
    Accounts,
    /// One log-in, six reads and three orders of one line in ten
    Everything,
}

impl Mix {
    /// Whether the peers do the same work: they have no accounts with passwords.
    fn is_for_peers(self) -> bool {
        !matches!(self, Self::Accounts | Self::Everything)
    }
}

/// What a step has measured.
struct Measured {
    rate: u64,
    step: Step,
    seen: Observation,
    /// How long each hop took, if that is known: the median and the 99th percentile.
    hops_ms: Vec<[u64; 2]>,
}

/// All steps of one system.
struct Run {
    system: System,
    steps: Vec<Measured>,
    /// The highest rate that stayed within the limits before the first that did not.
    capacity: Option<u64>,
    checked: String,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    // The kernel ends a peer together with the thread that started it, so that is the main one.
    tokio::runtime::Runtime::new()?.block_on(measure_all(options))
}

async fn measure_all(options: &Options) -> anyhow::Result<()> {
    let has_peers = options.systems.iter().any(|system| *system != System::Millrace);
    ensure!(
        !has_peers || options.workload.mix.is_for_peers(),
        "peers have no accounts; expected --mix orders, spread, lines or reads"
    );
    // Without a mail server Millrace would retry each notification, and it would count several
    // times.
    let mail = Mail::serve(variable("MILLRACE_SMTP_URL")?.trim_start_matches("smtp://")).await?;
    let mut runs = Vec::new();
    for system in &options.systems {
        let run = measure(*system, options).await.with_context(|| system.name())?;
        integration::say!("{}: {}", system.name(), run.checked);
        runs.push(run);
    }
    integration::say!("{}", check::mails(&mail)?);
    report::report(options, &runs)
}

async fn measure(system: System, options: &Options) -> anyhow::Result<Run> {
    let subject = Subject::start(system, &options.streams).await?;
    let Workload { mix, users, products } = options.workload;
    let shop = Shop::open(&subject.url, users, products).await?;
    let observer = Observer::from_env()?;
    let load = Load::new(shop.clone(), mix);
    let (mut steps, mut capacity, mut is_over) = (Vec::new(), None, false);
    load.run(options.first_rate, Duration::from_secs(options.first_warm_up)).await?;
    for rate in &options.rates {
        shop.log_in_again().await?;
        load.run(*rate, Duration::from_secs(options.warm_up)).await?;
        let before = observer.look(&subject).await?;
        let step = load.run(*rate, Duration::from_secs(options.seconds)).await?;
        let seen = observer.look(&subject).await? - before;
        let is_within = is_within(&step, options.p99_ms_max);
        is_over |= !is_within;
        if !is_over {
            capacity = capacity.max(Some(*rate));
        }
        let measured = Measured { rate: *rate, step, seen, hops_ms: Vec::new() };
        integration::say!("{}", report::row(system, &measured).join(" | "));
        steps.push(measured);
        if !is_within && !options.all {
            break;
        }
    }
    let checked = if system == System::Millrace {
        let (log, checked) = check::millrace(&shop, &load.confirmed()).await?;
        for measured in &mut steps {
            let (from_ms, to_ms) = measured.step.window_ms;
            measured.hops_ms = log.hops_ms(from_ms, to_ms)?;
        }
        checked
    } else {
        check::peer(&shop, &load.confirmed()).await?
    };
    subject.end().await?;
    Ok(Run { system, steps, capacity, checked })
}

/// Whether 99% of all requests of a step were accepted within the limit, and enough were done.
fn is_within(step: &Step, p99_ms_max: u64) -> bool {
    // The latencies have no refused requests, so that a share of them would not be one of all.
    let in_time = step.latencies.count_between(0, p99_ms_max * 1000);
    in_time as f64 >= step.sent as f64 * 0.99 && step.done() as f64 >= step.sent as f64 * DONE_MIN
}

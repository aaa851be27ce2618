//! `bench system`: the whole system over HTTP, through the balancer, from many client addresses.
//! Open loop: a request is sent when it is due, whether or not earlier ones have been answered, and
//! its latency counts from that moment. The rate rises in steps until the 99th percentile passes a
//! limit; after the last step the results are compared with the log and the read models. It asserts
//! no figure.

mod check;
mod load;
mod observe;
mod shop;

use std::{path::PathBuf, time::Duration};

use hdrhistogram::Histogram;
use integration::mail::Mail;
use serde_json::{Value, json};

use crate::table::{rows, save};
use load::{Load, Step};
use observe::{Observation, Observer};
pub(crate) use shop::Shop;
use shop::variable;

const PERCENTILES: [f64; 3] = [50.0, 90.0, 99.0];
/// A step that answers less than this share of what it was offered is past the capacity.
const DONE_MIN: f64 = 0.95;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What the clients do
    #[arg(long, value_enum, default_value_t = Mix::Orders)]
    mix: Mix,
    /// Requests a second, one step after the other
    #[arg(long, value_delimiter = ',', default_values_t = [20, 50, 100, 150, 200, 300, 400, 600])]
    rates: Vec<u64>,
    /// How long each step is measured, in seconds
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// How long each step runs before it is measured, in seconds
    #[arg(long, default_value_t = 5)]
    warm_up: u64,
    /// Registered users who order
    #[arg(long, default_value_t = 20)]
    users: usize,
    /// The 99th percentile, in milliseconds, past which the system is over its capacity
    #[arg(long, default_value_t = 500)]
    p99_ms_max: u64,
    /// Run all steps, also past the capacity
    #[arg(long)]
    all: bool,
    /// The file for the result as JSON
    #[arg(long, default_value = ".millrace/bench/system.json")]
    out: PathBuf,
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

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    tokio::runtime::Runtime::new()?.block_on(measure(options))
}

async fn measure(options: &Options) -> anyhow::Result<()> {
    // Without a mail server each notification would be retried, and be measured several times.
    let _mail = Mail::serve(variable("MILLRACE_SMTP_URL")?.trim_start_matches("smtp://")).await?;
    let shop = Shop::open(options.users).await?;
    let observer = Observer::from_env()?;
    let load = Load::new(shop.clone(), options.mix);
    let mut table = vec![head()];
    let mut steps = Vec::new();
    let mut capacity = None;
    for rate in &options.rates {
        shop.log_in_again().await?;
        load.run(*rate, Duration::from_secs(options.warm_up)).await?;
        let before = observer.look().await?;
        let step = load.run(*rate, Duration::from_secs(options.seconds)).await?;
        let seen = observer.look().await? - before;
        let row = row(*rate, &step, &seen);
        integration::say!("{}", row.join(" | "));
        let p99_ms = ms(step.latencies.value_at_quantile(0.99));
        let is_within = p99_ms <= options.p99_ms_max as f64
            && step.done() as f64 >= step.sent as f64 * DONE_MIN;
        if is_within {
            capacity = Some(*rate);
        }
        steps.push(as_json(*rate, &step, &seen));
        table.push(row);
        if !is_within && !options.all {
            break;
        }
    }
    let checked = check::all(&shop, &load.confirmed()).await?;
    integration::say!("\n{}", rows(&table));
    match capacity {
        Some(rate) => {
            integration::say!("capacity: {rate}/s within {} ms at p99", options.p99_ms_max);
        }
        None => integration::say!("no step stayed within {} ms at p99", options.p99_ms_max),
    }
    integration::say!("{checked}");
    let result = json!({
        "mix": format!("{:?}", options.mix).to_lowercase(),
        "seconds": options.seconds,
        "capacity": capacity,
        "steps": steps,
        "checked": checked,
    });
    save(&options.out, &result)
}

fn head() -> Vec<String> {
    let fixed = ["offered/s", "done/s", "p50 ms", "p90 ms", "p99 ms", "statuses"];
    let waits = ["write ms", "outcome ms", "read model ms"];
    let costs =
        ["CPU ms: Millrace", "broker", "stores", "records in", "records out", "transactions"];
    fixed.iter().chain(&waits).chain(&costs).map(|&name| name.to_owned()).collect()
}

fn row(rate: u64, step: &Step, seen: &Observation) -> Vec<String> {
    let done = step.done().max(1) as f64;
    let mut row = vec![rate.to_string(), format!("{:.0}", step.done() as f64 / step.seconds)];
    row.extend(percentiles(&step.latencies).map(|value| format!("{value:.0}")));
    let statuses = step.statuses.iter().map(|(status, count)| format!("{status}: {count}"));
    row.push(statuses.collect::<Vec<_>>().join(", "));
    row.extend(seen.waits_ms().map(|value| format!("{value:.0}")));
    row.extend(seen.cpu_ms().map(|value| format!("{:.2}", value / done)));
    row.extend(seen.counts().map(|value| format!("{:.1}", value / done)));
    row
}

fn as_json(rate: u64, step: &Step, seen: &Observation) -> Value {
    let done = step.done().max(1) as f64;
    json!({
        "offered": rate,
        "done": step.done() as f64 / step.seconds,
        "percentiles_ms": PERCENTILES.iter().zip(percentiles(&step.latencies)).collect::<Vec<_>>(),
        "statuses": step.statuses,
        "waits_ms": seen.waits_ms(),
        "cpu_ms_per_request": seen.processes_ms().map(|(name, ms)| (name, ms / done)).collect::<Vec<_>>(),
        "records_in_out_transactions_per_request": seen.counts().map(|count| count / done),
    })
}

fn percentiles(latencies: &Histogram<u64>) -> [f64; 3] {
    PERCENTILES.map(|percentile| ms(latencies.value_at_percentile(percentile)))
}

fn ms(us: u64) -> f64 {
    us as f64 / 1000.0
}

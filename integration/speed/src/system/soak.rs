//! `bench soak`: the whole system at a steady rate for a long time. It shows whether the memory of
//! any process, the log or the latency grows from minute to minute, and checks the results at the
//! end, as `bench system` does. It asserts no figure.
//!
//! With `MILLRACE_RETENTION_MINUTES` the services forget finished aggregates and handled commands
//! after that time, and the broker removes the tombstones of changelogs after it. So memory and
//! changelogs stop growing within the soak.

use std::{path::PathBuf, sync::LazyLock, time::Duration};

use anyhow::{Context as _, ensure};
use integration::{cluster::Cluster, mail::Mail};
use serde_json::json;

use super::{
    Workload, check,
    load::{Load, Step},
    observe::{Observation, Observer},
    shop::{Shop, variable},
    subject::{Subject, own},
};
use crate::table::{Summary, rows, save};

const MINUTE: Duration = Duration::from_secs(60);
/// The parts whose memory is shown.
static PARTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    own().chain(["broker", "postgres", "mongo", "redis"].map(str::to_owned)).collect()
});

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How long it runs
    #[arg(long, default_value_t = 60)]
    minutes: usize,
    /// Requests a second
    #[arg(long, default_value_t = 100)]
    rate: u64,
    /// Minutes at the beginning that the trend leaves out
    #[arg(long, default_value_t = 10)]
    warm_up: usize,
    #[command(flatten)]
    workload: Workload,
    /// The file for the result as JSON
    #[arg(long, default_value = ".millrace/bench/soak.json")]
    out: PathBuf,
}

/// One minute.
struct Minute {
    step: Step,
    /// What happened during the minute; memory is that at its end.
    seen: Observation,
    /// The bytes of all topics at its end, in MB.
    log_mb: f64,
    /// The bytes of the changelogs at its end, in MB.
    changelogs_mb: f64,
    /// The mails that were sent during the minute.
    mails: usize,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    ensure!(
        options.minutes >= options.warm_up + 3,
        "expected at least three minutes more than --warm-up {}",
        options.warm_up
    );
    tokio::runtime::Runtime::new()?.block_on(measure(options))
}

async fn measure(options: &Options) -> anyhow::Result<()> {
    let mail = Mail::serve(variable("MILLRACE_SMTP_URL")?.trim_start_matches("smtp://")).await?;
    let subject = Subject::millrace().await?;
    if let Ok(minutes) = std::env::var("MILLRACE_RETENTION_MINUTES") {
        keep_tombstones(minutes.parse().context("MILLRACE_RETENTION_MINUTES")?).await?;
    }
    let Workload { mix, users, products } = options.workload;
    let shop = Shop::open(&subject.url, users, products).await?;
    let observer = Observer::from_env()?;
    let load = Load::new(shop.clone(), mix);
    let mut before = observer.look(&subject).await?;
    let mut minutes = Vec::new();
    let mut mailed = mail.taken();
    integration::say!("{}", head().join(" | "));
    for number in 1..=options.minutes {
        shop.log_in_again().await?;
        let step = load.run(options.rate, MINUTE).await?;
        let now = observer.look(&subject).await?;
        let log_mb = now.stored().bytes as f64 / 1e6;
        let changelogs = now.topics.iter().filter(|(topic, _)| is_changelog(topic));
        let changelogs_mb = changelogs.map(|(_, size)| size.bytes as f64 / 1e6).sum();
        let mails = mail.taken() - mailed;
        mailed += mails;
        let seen = now.clone() - before;
        let minute = Minute { step, seen, log_mb, changelogs_mb, mails };
        before = now;
        integration::say!("{}", row(number, &minute).join(" | "));
        minutes.push(minute);
    }
    let trends = trends(&minutes[options.warm_up..]);
    report(options, &minutes, &trends)?;
    let mails = check::mails(&mail)?;
    let (_, checked) = check::millrace(&shop, &load.confirmed()).await?;
    integration::say!("{mails}; {checked}");
    subject.end().await
}

fn is_changelog(topic: &str) -> bool {
    topic.ends_with(".state")
}

/// Lets the broker keep the tombstones of changelogs for `minutes` instead of a week, and close a
/// segment as often.
async fn keep_tombstones(minutes: u64) -> anyhow::Result<()> {
    let cluster = Cluster::at(&variable("MILLRACE_BROKERS_INTERNAL")?);
    let kept_ms = (minutes * 60_000).to_string();
    let settings = ["delete.retention.ms", "segment.ms"].map(|name| (name, Some(&*kept_ms)));
    for topic in cluster.topic_sizes().await?.keys().filter(|topic| is_changelog(topic)) {
        cluster.configure(topic, &settings).await?;
    }
    Ok(())
}

fn report(options: &Options, minutes: &[Minute], trends: &[Trend]) -> anyhow::Result<()> {
    let mut table = vec![head()];
    table.extend(minutes.iter().enumerate().map(|(index, minute)| row(index + 1, minute)));
    integration::say!("\n{}", rows(&table));
    let mut table = vec![Trend::head()];
    table.extend(trends.iter().map(Trend::row));
    integration::say!("{}", rows(&table));
    integration::say!(
        "After the warm-up of {} minutes. The median, and the slope (Theil and Sen) with its \
         interval of at least 95%: if that contains 0, a trend can't be told from noise.\n",
        options.warm_up
    );
    let minutes: Vec<_> = minutes.iter().map(as_json).collect();
    let trends: Vec<_> = trends.iter().map(Trend::as_json).collect();
    let result = json!({ "rate": options.rate, "minutes": minutes, "trends": trends });
    save(&options.out, &result)
}

fn head() -> Vec<String> {
    let names = ["minute", "done/s", "p50 ms", "p99 ms", "statuses"].into_iter();
    let names = names.map(str::to_owned).chain(PARTS.iter().map(|part| format!("{part} MB")));
    names.chain(["log MB", "changelogs MB", "mails"].map(str::to_owned)).collect()
}

fn row(number: usize, minute: &Minute) -> Vec<String> {
    let step = &minute.step;
    let mut row = vec![number.to_string(), format!("{:.0}", done_per_second(step))];
    row.extend([0.5, 0.99].map(|quantile| format!("{:.0}", latency_ms(step, quantile))));
    let statuses = step.statuses.iter().map(|(status, count)| format!("{status}: {count}"));
    row.push(statuses.collect::<Vec<_>>().join(", "));
    row.extend(PARTS.iter().map(|part| format!("{:.0}", minute.seen.memory_mb(part))));
    row.push(format!("{:.0}", minute.log_mb));
    row.push(format!("{:.0}", minute.changelogs_mb));
    row.push(minute.mails.to_string());
    row
}

fn as_json(minute: &Minute) -> serde_json::Value {
    let memory = PARTS.iter().map(|part| (part.clone(), json!(minute.seen.memory_mb(part))));
    json!({
        "done_per_second": done_per_second(&minute.step),
        "p50_ms": latency_ms(&minute.step, 0.5),
        "p99_ms": latency_ms(&minute.step, 0.99),
        "statuses": minute.step.statuses,
        "memory_mb": memory.collect::<serde_json::Map<_, _>>(),
        "log_mb": minute.log_mb,
        "changelogs_mb": minute.changelogs_mb,
        "mails": minute.mails,
    })
}

fn done_per_second(step: &Step) -> f64 {
    step.done() as f64 / step.seconds
}

fn latency_ms(step: &Step, quantile: f64) -> f64 {
    step.latencies.value_at_quantile(quantile) as f64 / 1000.0
}

/// How a quantity changes from minute to minute.
struct Trend {
    name: String,
    median: f64,
    /// In units of the quantity per hour.
    slope: Summary,
}

impl Trend {
    /// The trend of one value for each minute: the median of the slopes between the first half and
    /// the second half, minute by minute. It is the estimator of Theil and Sen restricted to
    /// disjoint pairs, whose slopes are independent, so that the median has an interval (Theil,
    /// "A rank-invariant method of linear and polynomial regression analysis", 1950).
    fn of(name: impl Into<String>, values: &[f64]) -> Self {
        let half = values.len().div_ceil(2);
        let pairs = values.iter().zip(&values[half..]);
        let slope = Summary::of(pairs.map(|(early, late)| (late - early) / half as f64 * 60.0));
        Self { name: name.into(), median: Summary::of(values.iter().copied()).median, slope }
    }

    fn head() -> Vec<String> {
        ["quantity", "median", "slope per hour", "from", "to"].map(str::to_owned).into()
    }

    fn row(&self) -> Vec<String> {
        let Summary { median, low, high, .. } = &self.slope;
        let mut row = vec![self.name.clone()];
        row.extend([&self.median, median, low, high].map(|value| format!("{value:.1}")));
        row
    }

    fn as_json(&self) -> serde_json::Value {
        json!({ "name": self.name, "median": self.median, "slope_per_hour": self.slope })
    }
}

fn trends(minutes: &[Minute]) -> Vec<Trend> {
    let trend = |name: &str, of: &dyn Fn(&Minute) -> f64| {
        Trend::of(name, &minutes.iter().map(of).collect::<Vec<_>>())
    };
    let memory = PARTS
        .iter()
        .map(|part| trend(&format!("{part} MB"), &|minute: &Minute| minute.seen.memory_mb(part)));
    let mut trends = vec![
        trend("p50 ms", &|minute| latency_ms(&minute.step, 0.5)),
        trend("p99 ms", &|minute| latency_ms(&minute.step, 0.99)),
    ];
    trends.extend(memory);
    trends.push(trend("log MB", &|minute| minute.log_mb));
    trends.push(trend("changelogs MB", &|minute| minute.changelogs_mb));
    trends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steady_growth_is_a_slope_and_noise_is_none() {
        let growing: Vec<_> = (0..50).map(|minute| 100.0 + f64::from(minute)).collect();
        let Trend { median, slope, .. } = Trend::of("memory", &growing);
        assert_eq!((124.5, 60.0, 60.0), (median, slope.low, slope.high));

        let noisy: Vec<_> = (0..50).map(|minute| 100.0 + f64::from(minute * 7 % 5)).collect();
        let Trend { slope, .. } = Trend::of("memory", &noisy);
        assert!(slope.low <= 0.0 && slope.high >= 0.0, "{slope:?}");
    }
}

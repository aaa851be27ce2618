//! `bench dashboards`: orders at a steady rate while one client, and in turn many, read the stream
//! of the public dashboard. It shows what the clients cost, and how long a confirmation takes from
//! its append until a frame counts it. It asserts no figure.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, ensure};
use hdrhistogram::Histogram;
use integration::{client::any_address, mail::Mail};
use reqwest::Response;
use serde::Deserialize;
use serde_json::json;
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    Mix,
    load::{Load, Step},
    log::Log,
    observe::{Observation, Observer},
    shop::{Shop, variable},
    subject::Subject,
};
use crate::table::{rows, save};

/// A delay above this counts as this, in milliseconds.
const DELAY_MS_MAX: u64 = 600_000;
/// The time after the last order for its frame to arrive.
const LAST_FRAME: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Orders a second
    #[arg(long, default_value_t = 50)]
    rate: u64,
    /// Clients of the stream beside the one that measures, every second time
    #[arg(long, default_value_t = 200)]
    dashboards: usize,
    /// How often it measures without and with them
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long each measurement takes, in seconds
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// How long the load runs before the first one, in seconds
    #[arg(long, default_value_t = 60)]
    warm_up: u64,
    /// The file for the result as JSON
    #[arg(long, default_value = ".millrace/bench/dashboards.json")]
    out: PathBuf,
}

/// One measurement.
struct Measured {
    dashboards: usize,
    step: Step,
    seen: Observation,
    /// What the other clients received, in bytes.
    received: u64,
    /// When frames arrived, in milliseconds since the epoch, and the confirmations that they count.
    frames: Vec<(i64, i64)>,
    /// From the append of a confirmation to the frame that counts it, in milliseconds.
    delays: Histogram<u64>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    tokio::runtime::Runtime::new()?.block_on(measure_all(options))
}

async fn measure_all(options: &Options) -> anyhow::Result<()> {
    let _mail = Mail::serve(variable("MILLRACE_SMTP_URL")?.trim_start_matches("smtp://")).await?;
    let subject = Subject::millrace().await?;
    let shop = Shop::open(&subject.url, 20, 1).await?;
    let observer = Observer::from_env()?;
    let load = Load::new(shop.clone(), Mix::Orders);
    load.run(options.rate, Duration::from_secs(options.warm_up)).await?;
    let mut all = Vec::new();
    for dashboards in (0..options.rounds).flat_map(|_| [0, options.dashboards]) {
        shop.log_in_again().await?;
        integration::say!("{dashboards} dashboards");
        all.push(measure(options, dashboards, &subject, &observer, &load).await?);
    }
    let appended = Log::read().await?.confirmed_at();
    for measured in &mut all {
        measured.delays = delays(&appended, &measured.frames, measured.step.window_ms)?;
    }
    report(options, &all)?;
    subject.end().await
}

async fn measure(
    options: &Options,
    dashboards: usize,
    subject: &Subject,
    observer: &Observer,
    load: &Load,
) -> anyhow::Result<Measured> {
    let mut readers = JoinSet::new();
    let received = Arc::new(AtomicU64::new(0));
    for _ in 0..dashboards {
        let (mut stream, received) = (open(&subject.url).await?, received.clone());
        readers.spawn(async move {
            while let Ok(Some(chunk)) = stream.chunk().await {
                received.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            }
        });
    }
    let (sender, mut frames) = mpsc::unbounded_channel();
    let stream = open(&subject.url).await?;
    readers.spawn(async move { drop(watch(stream, &sender).await) });

    let before = observer.look(subject).await?;
    let received_before = received.load(Ordering::Relaxed);
    let step = load.run(options.rate, Duration::from_secs(options.seconds)).await?;
    let seen = observer.look(subject).await? - before;
    let received = received.load(Ordering::Relaxed) - received_before;
    tokio::time::sleep(LAST_FRAME).await;
    ensure!(readers.try_join_next().is_none(), "the gateway has ended a stream");
    readers.shutdown().await;
    let mut arrived = Vec::new();
    while let Ok(frame) = frames.try_recv() {
        arrived.push(frame);
    }
    let delays = Histogram::new_with_bounds(1, DELAY_MS_MAX, 3)?;
    Ok(Measured { dashboards, step, seen, received, frames: arrived, delays })
}

/// Opens the stream as an anonymous client from an address of its own.
async fn open(url: &str) -> anyhow::Result<Response> {
    let client = integration::http().local_address(std::net::IpAddr::V4(any_address())).build()?;
    let response = client.get(format!("{url}/v1/statistics/stream")).send().await?;
    let status = response.status();
    ensure!(
        status.is_success(),
        "the stream is not public: {status}; start with integration/bench"
    );
    Ok(response)
}

#[derive(Deserialize)]
struct Frame {
    windows: Vec<Window>,
}

#[derive(Deserialize)]
struct Window {
    start: String,
    confirmed: i64,
}

/// Reads frames and reports when each arrived, and how many confirmations it counts.
async fn watch(
    mut stream: Response,
    frames: &mpsc::UnboundedSender<(i64, i64)>,
) -> anyhow::Result<()> {
    let (mut text, mut windows) = (Vec::new(), BTreeMap::new());
    while let Some(chunk) = stream.chunk().await? {
        text.extend_from_slice(&chunk);
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            let Some(data) = line.strip_prefix(b"data:") else { continue };
            let frame: Frame = serde_json::from_slice(data).context("a frame")?;
            windows
                .extend(frame.windows.into_iter().map(|window| (window.start, window.confirmed)));
            frames.send((now_ms(), windows.values().sum()))?;
        }
    }
    Ok(())
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The delay of each confirmation that was appended in the window: the first frame that counts as
/// many confirmations as had been appended up to it. All of the log's are in the stream's windows,
/// because the system is younger than they reach back.
fn delays(
    appended: &[i64],
    frames: &[(i64, i64)],
    (from_ms, to_ms): (i64, i64),
) -> anyhow::Result<Histogram<u64>> {
    let mut delays = Histogram::new_with_bounds(1, DELAY_MS_MAX, 3)?;
    for (at, number) in appended.iter().zip(1..) {
        if !(from_ms..to_ms).contains(at) {
            continue;
        }
        let frame = frames.iter().find(|(_, counted)| *counted >= number);
        let delay = frame.map_or(DELAY_MS_MAX, |(arrived, _)| (arrived - at).max(0).unsigned_abs());
        delays.saturating_record(delay);
    }
    Ok(delays)
}

fn report(options: &Options, all: &[Measured]) -> anyhow::Result<()> {
    let names = "dashboards,done/s,p50 ms,p99 ms,CPU ms a second: own,gateways,nginx,broker,stores,\
                 received kB a second,frame p50 ms,p99 ms,greatest ms";
    let mut table = vec![names.split(',').map(str::to_owned).collect()];
    table.extend(all.iter().map(row));
    integration::say!("\n{}", rows(&table));
    integration::say!(
        "A frame's delay is from the append of a confirmation, by the broker's clock, until the \
         first frame that counts it.\n"
    );
    let steps: Vec<_> = all.iter().map(as_json).collect();
    save(&options.out, &json!({ "rate": options.rate, "measured": steps }))
}

/// CPU time by second: own, gateways, nginx, broker and stores, in milliseconds.
fn cpu_ms(Measured { seen, step, .. }: &Measured) -> [f64; 5] {
    let of = |prefix: &str| {
        let parts = seen.processes_ms().filter(|(name, _)| name.starts_with(prefix));
        parts.map(|(_, ms)| ms).sum::<f64>()
    };
    let [own, broker, stores] = seen.cpu_ms();
    [own, of("gateway"), of("nginx"), broker, stores].map(|ms| ms / step.seconds)
}

fn row(measured: &Measured) -> Vec<String> {
    let Measured { step, delays, .. } = measured;
    let latency = |quantile| step.latencies.value_at_quantile(quantile) as f64 / 1000.0;
    let mut values = vec![step.done() as f64 / step.seconds, latency(0.5), latency(0.99)];
    values.extend(cpu_ms(measured));
    values.push(measured.received as f64 / 1000.0 / step.seconds);
    values.extend([0.5, 0.99, 1.0].map(|quantile| delays.value_at_quantile(quantile) as f64));
    let values = values.into_iter().map(|value| format!("{value:.0}"));
    std::iter::once(measured.dashboards.to_string()).chain(values).collect()
}

fn as_json(measured: &Measured) -> serde_json::Value {
    let Measured { step, delays, .. } = measured;
    let delays = [0.5, 0.99, 1.0].map(|quantile| delays.value_at_quantile(quantile));
    json!({
        "dashboards": measured.dashboards,
        "done_per_second": step.done() as f64 / step.seconds,
        "statuses": step.statuses,
        "cpu_ms_per_second_own_gateways_nginx_broker_stores": cpu_ms(measured),
        "received_bytes": measured.received,
        "frame_ms_p50_p99_max": delays,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confirmation_waits_for_the_first_frame_that_counts_it() {
        // The third confirmation is counted late, and the fourth was appended after the window.
        let appended = [100, 110, 120, 300];
        let frames = [(105, 1), (130, 2), (220, 3), (320, 4)];
        let delays = delays(&appended, &frames, (105, 200)).expect("bounds");
        let recorded: Vec<_> =
            delays.iter_recorded().map(|value| value.value_iterated_to()).collect();
        assert_eq!(recorded, [20, 100]);
    }
}

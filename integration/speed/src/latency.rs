//! `bench latency`: an open loop. Inputs are written when they are due, whether or not the outputs
//! of earlier ones exist. Each contains the time at which it was due, and the latency is from then
//! until a read-committed reader has its output, so that a stall counts in full (Tene, "How not to
//! measure latency").

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, ensure};
use hdrhistogram::Histogram;
use redpanda::{
    log::{Input as _, Membership, Record, TopicPartition},
    reader::Reader,
};
use schemas::Codec;

use crate::{
    rig::{Contender, Rig},
    table::{Summary, rows, save},
    work::{self, Counts, INPUTS, KEYS, OUTPUTS, PARTITIONS},
};

/// The longest latency that is recorded, in microseconds; longer ones count as this.
const LATENCY_US_MAX: u64 = 60_000_000;
/// How long outputs are awaited after the last input.
const REST_MAX: Duration = Duration::from_secs(30);
const PERCENTILES: [f64; 4] = [50.0, 90.0, 99.0, 99.9];

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Inputs per second
    #[arg(long, default_value_t = 2_000)]
    rate: u64,
    /// Seconds of the measurement
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Seconds of inputs before the measurement
    #[arg(long, default_value_t = 10)]
    warm_up: u64,
    /// Number of runs of each contender
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Milliseconds between commits
    #[arg(long, value_delimiter = ',', default_values_t = [5, 100])]
    commit_ms: Vec<u64>,
    /// The contenders
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [
        Contender::Engine, Contender::Streams, Contender::BareLoop,
    ])]
    contenders: Vec<Contender>,
    /// The file for the result as JSON
    #[arg(long, default_value = ".millrace/bench/latency.json")]
    out: PathBuf,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let rig = Rig::from_env()?;
    let head = PERCENTILES.map(|percentile| format!("p{percentile} ms")).join(" | ");
    integration::say!("{} inputs a second: {head}, greatest", options.rate);
    let mut all = BTreeMap::<(u64, usize), Vec<Histogram<u64>>>::new();
    // A broker that has just started is slower, so each contender runs once before the measurement.
    let commit_ms = *options.commit_ms.first().context("expected --commit-ms")?;
    for (index, contender) in options.contenders.iter().enumerate() {
        once(&rig, *contender, &format!("early-{index}"), commit_ms, options)?;
    }
    for round in 0..options.rounds {
        for commit_ms in &options.commit_ms {
            for turn in 0..options.contenders.len() {
                // Each round begins with another contender, so that none always runs after the same
                // one.
                let index = (round + turn) % options.contenders.len();
                let contender = &options.contenders[index];
                let name = format!("late-{round}-{commit_ms}-{index}");
                let found = once(&rig, *contender, &name, *commit_ms, options)?;
                let figures = PERCENTILES
                    .map(|percentile| format!("{:.1}", ms(found.value_at_percentile(percentile))));
                integration::say!(
                    "{:>2}/{} {:<24} commits every {commit_ms:>3} ms: {}, {:.1}",
                    round + 1,
                    options.rounds,
                    contender.name(),
                    figures.join(" | "),
                    ms(found.max())
                );
                all.entry((*commit_ms, index)).or_default().push(found);
            }
        }
    }
    tell(options, &all)
}

fn ms(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

fn once(
    rig: &Rig,
    contender: Contender,
    name: &str,
    commit_ms: u64,
    options: &Options,
) -> anyhow::Result<Histogram<u64>> {
    rig.fresh(&[INPUTS])?;
    let mut running = rig.begin(contender, name, commit_ms)?;
    let changelog = running.changelog.clone();
    let mut reader = Outputs::open(rig, name)?;
    let mut generator = rig.pace(options.rate, options.warm_up + options.seconds, KEYS)?;
    let expected = options.rate * (options.warm_up + options.seconds);
    let from_us = now_us() + options.warm_up * 1_000_000;
    let (mut found, mut seen) = (Histogram::<u64>::new_with_max(LATENCY_US_MAX, 3)?, 0);
    let until = Instant::now() + Duration::from_secs(options.warm_up + options.seconds) + REST_MAX;
    while seen < expected {
        ensure!(Instant::now() < until, "{name}: {seen} of {expected} outputs were there in time");
        reader.poll(|due_us| {
            seen += 1;
            if due_us >= from_us {
                found.saturating_record(now_us().saturating_sub(due_us));
            }
        })?;
    }
    ensure!(generator.wait()?.success(), "the generator failed");
    running.wait_for(expected)?;
    running.end()?;
    rig.delete(&[OUTPUTS, &changelog])?;
    Ok(found)
}

/// A reader of the outputs.
struct Outputs {
    reader: Reader,
    codec: Codec,
    counts: Counts,
    records: Vec<Record>,
}

impl Outputs {
    fn open(rig: &Rig, name: &str) -> anyhow::Result<Self> {
        let group = format!("{name}.reader");
        let mut reader = Reader::join(&rig.brokers, &group, &group, &[OUTPUTS.into()])?;
        let (begun, mut records) = (Instant::now(), Vec::new());
        loop {
            reader.poll(Duration::from_millis(100), 1, &mut records)?;
            if let Some(Membership::Assigned(_)) = reader.membership() {
                break;
            }
            ensure!(begun.elapsed() < REST_MAX, "the reader was assigned nothing");
        }
        let partitions =
            (0..PARTITIONS).map(|partition| (TopicPartition::new(OUTPUTS, partition), 0));
        reader.fetch_from(&partitions.collect::<Vec<_>>())?;
        Ok(Self { reader, codec: work::codec(), counts: Counts::default(), records })
    }

    /// Reads new outputs, checks them, and passes to `see` when their inputs were due.
    fn poll(&mut self, mut see: impl FnMut(u64)) -> anyhow::Result<()> {
        self.reader.poll(Duration::from_millis(50), 1_000, &mut self.records)?;
        for record in self.records.drain(..) {
            let counted = self.counts.see(&self.codec, record)?;
            let due = counted.body.split(' ').next().and_then(|due| due.parse().ok());
            see(due.context("an output without a time")?);
        }
        Ok(())
    }
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

fn tell(
    options: &Options,
    all: &BTreeMap<(u64, usize), Vec<Histogram<u64>>>,
) -> anyhow::Result<()> {
    let mut table =
        vec![vec![format!("{} inputs/s; median of {} runs", options.rate, options.rounds)]];
    table[0].extend(PERCENTILES.map(|percentile| format!("p{percentile} ms")));
    table[0].push("greatest ms".into());
    let mut json = Vec::new();
    for ((commit_ms, index), runs) in all {
        let at = |percentile: f64| {
            Summary::of(runs.iter().map(|run| ms(run.value_at_percentile(percentile))))
        };
        let greatest = Summary::of(runs.iter().map(|run| ms(run.max())));
        let contender = options.contenders[*index].name();
        let mut row = vec![format!("{contender}, commits every {commit_ms} ms")];
        row.extend(PERCENTILES.map(|percentile| format!("{:.1}", at(percentile).median)));
        row.push(format!("{:.1}", greatest.median));
        table.push(row);
        let percentiles: BTreeMap<String, Summary> = PERCENTILES
            .iter()
            .map(|percentile| (format!("p{percentile}"), at(*percentile)))
            .collect();
        json.push(serde_json::json!({
            "contender": contender, "commit_ms": commit_ms, "ms": percentiles, "greatest_ms": greatest,
        }));
    }
    integration::say!("\n{}", rows(&table).trim_end());
    save(
        &options.out,
        &serde_json::json!({ "rate": options.rate, "seconds": options.seconds, "contenders": json }),
    )
}

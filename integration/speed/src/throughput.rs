//! `bench engine`: all contenders in turn, in rounds, each with fresh topics and the same inputs.
//! The outputs of each are checked.

use std::{ops::ControlFlow, path::PathBuf, time::Duration};

use anyhow::{Context as _, ensure};
use redpanda::scan;
use serde::Serialize;

use crate::{
    rig::{Contender, Rig},
    table::{Summary, confidence, rows, save},
    work::{self, Counts, KEYS, OUTPUTS},
};

/// How long no record may arrive while outputs are read back.
const SILENT_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Inputs of each run
    #[arg(long, default_value_t = 4_000_000)]
    records: u64,
    /// Number of runs of each contender
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// Milliseconds between commits
    #[arg(long, default_value_t = 100)]
    commit_ms: u64,
    /// The contenders
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [
        Contender::Plain, Contender::Streams, Contender::BareLoop, Contender::AtLeastOnce,
        Contender::Engine, Contender::StreamsRocksdb,
    ])]
    contenders: Vec<Contender>,
    /// The file for the result as JSON
    #[arg(long, default_value = ".millrace/bench/engine.json")]
    out: PathBuf,
}

/// The result of one run.
#[derive(Clone, Copy, Debug, Serialize)]
struct Run {
    records_per_second: f64,
    cpu_us_per_record: f64,
    broker_us_per_record: f64,
    memory_mb: f64,
    commit_ms: Option<f64>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let rig = Rig::from_env()?;
    integration::say!("writing {} inputs of {KEYS} keys", options.records);
    rig.fill(options.records, KEYS)?;
    let mut runs: Vec<Vec<Run>> = vec![Vec::new(); options.contenders.len()];
    for round in 0..options.rounds {
        // Each round begins with another contender, so that none always runs after the same one.
        for turn in 0..options.contenders.len() {
            let index = (round + turn) % options.contenders.len();
            let contender = options.contenders[index];
            let name = format!("speed-{round}-{index}");
            let run = once(&rig, contender, &name, options)?;
            integration::say!(
                "{:>2}/{} {:<24} {:>9.0} records/s {:>6.2} us CPU ({:.2} the broker's) {:>6.0} MB, commits {}",
                round + 1,
                options.rounds,
                contender.name(),
                run.records_per_second,
                run.cpu_us_per_record,
                run.broker_us_per_record,
                run.memory_mb,
                run.commit_ms.map_or("?".to_owned(), |mean| format!("{mean:.1} ms")),
            );
            runs[index].push(run);
        }
    }
    tell(options, &runs)
}

fn once(rig: &Rig, contender: Contender, name: &str, options: &Options) -> anyhow::Result<Run> {
    let mut running = rig.begin(contender, name, options.commit_ms)?;
    let changelog = running.changelog.clone();
    let worked = running.wait_for(options.records)?;
    ensure!(worked.records > 0, "it has committed all at once: expected more --records");
    let us_per_record = |cpu: Duration| cpu.as_secs_f64() * 1e6 / worked.records as f64;
    let commit_ms = running.end()?;
    let seconds = check(rig, options.records)?;
    rig.delete(&[OUTPUTS, &changelog])?;
    Ok(Run {
        records_per_second: options.records as f64 / seconds,
        cpu_us_per_record: us_per_record(worked.own.cpu),
        broker_us_per_record: us_per_record(worked.broker_cpu),
        memory_mb: worked.own.memory_mb,
        commit_ms,
    })
}

/// Checks that every output exists once and in order, and that there are as many as inputs. Returns
/// the seconds from the first output to the last, by the broker's clock.
fn check(rig: &Rig, records: u64) -> anyhow::Result<f64> {
    let codec = work::codec();
    let (mut counts, mut all, mut wrong) = (Counts::default(), 0, None);
    let (mut first, mut last) = (i64::MAX, i64::MIN);
    let see = |record: redpanda::log::Record| {
        (first, last, all) =
            (first.min(record.timestamp_ms), last.max(record.timestamp_ms), all + 1);
        match counts.see(&codec, record) {
            Ok(_) => ControlFlow::Continue(()),
            Err(error) => {
                wrong = Some(error);
                ControlFlow::Break(())
            }
        }
    };
    let spans =
        scan::spans(&rig.brokers, OUTPUTS)?.with_context(|| format!("{OUTPUTS} is not there"))?;
    scan::each(&rig.brokers, OUTPUTS, &spans, SILENT_MAX, see)?;
    if let Some(error) = wrong {
        return Err(error);
    }
    ensure!(all == records, "{all} outputs of {records} inputs");
    Ok((last - first).max(1) as f64 / 1000.0)
}

fn tell(options: &Options, runs: &[Vec<Run>]) -> anyhow::Result<()> {
    let of = |index: usize, value: fn(&Run) -> f64| Summary::of(runs[index].iter().map(value));
    let mut table = vec![vec![
        format!("{} records, commits every {} ms", options.records, options.commit_ms),
        "records/s: min, median, max".into(),
        "CPU us/record".into(),
        "the broker's".into(),
        "memory MB".into(),
        "commit ms, mean".into(),
        format!("engine's rate to its ({:.0}% of the median)", 100.0 * confidence(options.rounds)),
    ]];
    let engine = options.contenders.iter().position(|contender| *contender == Contender::Plain);
    let mut json = Vec::new();
    for (index, contender) in options.contenders.iter().enumerate() {
        let rate = of(index, |run| run.records_per_second);
        let (cpu, memory) =
            (of(index, |run| run.cpu_us_per_record), of(index, |run| run.memory_mb));
        let broker = of(index, |run| run.broker_us_per_record);
        let commits = runs[index].iter().filter_map(|run| run.commit_ms).collect::<Vec<_>>();
        let commits = (!commits.is_empty()).then(|| Summary::of(commits));
        let ratio = engine.map(|engine| {
            let pairs = runs[engine].iter().zip(&runs[index]);
            Summary::of(
                pairs.map(|(ours, theirs)| ours.records_per_second / theirs.records_per_second),
            )
        });
        table.push(vec![
            contender.name().to_owned(),
            format!("{:.0}, {:.0}, {:.0} k", rate.min / 1e3, rate.median / 1e3, rate.max / 1e3),
            format!("{:.2}", cpu.median),
            format!("{:.2}", broker.median),
            format!("{:.0}", memory.median),
            commits.as_ref().map_or("-".into(), |commits| format!("{:.1}", commits.median)),
            ratio
                .as_ref()
                .map_or("-".into(), |r| format!("{:.2} ({:.2} to {:.2})", r.median, r.low, r.high)),
        ]);
        json.push(serde_json::json!({
            "contender": contender.name(), "runs": runs[index], "rate": rate, "cpu_us": cpu, "memory_mb": memory, "commit_ms": commits,
            "engine_rate_ratio": ratio,
        }));
    }
    integration::say!("\n{}", rows(&table).trim_end());
    save(
        &options.out,
        &serde_json::json!({ "records": options.records, "commit_ms": options.commit_ms, "contenders": json }),
    )
}

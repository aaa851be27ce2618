//! `bench restore`: the engine restores a changelog with one record for each of many keys.

use std::path::PathBuf;

use anyhow::{bail, ensure};

use crate::{
    contender::ContenderMessage,
    rig::{Contender, Rig},
    table::{Summary, save},
    work::OUTPUTS,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The number of keys
    #[arg(long, default_value_t = 1_000_000)]
    keys: u64,
    /// The number of restores
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The file for the result as JSON
    #[arg(long, default_value = ".millrace/bench/restore.json")]
    out: PathBuf,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let rig = Rig::from_env()?;
    integration::say!("writing a changelog of {} keys", options.keys);
    rig.fill(options.keys, options.keys)?;
    let mut running = rig.begin(Contender::Engine, "restored", 100)?;
    let changelog = running.changelog.clone();
    running.wait_for(options.keys)?;
    running.end()?;
    let mut rates = Vec::new();
    for round in 0..options.rounds {
        let running = rig.start(Contender::Engine, "restored", 100)?;
        let ContenderMessage::Ready { records, seconds } = running.next_message()? else {
            bail!("it ended before it was ready")
        };
        let usage = running.usage()?;
        running.end()?;
        ensure!(
            records >= options.keys,
            "{records} records were restored for {} keys",
            options.keys
        );
        integration::say!(
            "{:>2}/{} {records} records in {seconds:.2} s: {:.0} a second; {:.2} s of CPU, {:.0} MB",
            round + 1,
            options.rounds,
            records as f64 / seconds,
            usage.cpu.as_secs_f64(),
            usage.memory_mb
        );
        rates.push(records as f64 / seconds);
    }
    rig.delete(&[OUTPUTS, &changelog])?;
    let rate = Summary::of(rates);
    integration::say!(
        "\n{} keys restored: {:.0} records a second (least {:.0}, most {:.0})",
        options.keys,
        rate.median,
        rate.min,
        rate.max
    );
    save(&options.out, &serde_json::json!({ "keys": options.keys, "records_per_second": rate }))
}

//! `bench idle`: the CPU and the memory that the first instance of each program uses while nothing
//! happens, including projectors and internal listeners.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use anyhow::Context as _;
use integration::stack::PROGRAMS;

use crate::{
    rig::{pids, usage},
    table::save,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Seconds of the measurement
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Seconds of rest before it
    #[arg(long, default_value_t = 20)]
    rest: u64,
    /// The file for the result as JSON
    #[arg(long, default_value = ".millrace/bench/idle.json")]
    out: PathBuf,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let pids = pids(&PROGRAMS.iter().map(|program| program.instance(0)).collect::<Vec<_>>())?;
    std::thread::sleep(Duration::from_secs(options.rest));
    let used = || -> anyhow::Result<Vec<Duration>> {
        pids.values().map(|pid| Ok(usage(*pid)?.cpu)).collect()
    };
    let before = used()?;
    integration::say!("watching for {} s", options.seconds);
    std::thread::sleep(Duration::from_secs(options.seconds));
    let (mut shares, mut memory) = (BTreeMap::new(), BTreeMap::new());
    for (((name, pid), before), after) in pids.iter().zip(before).zip(used()?) {
        let share = (after - before).as_secs_f64() / options.seconds as f64 * 100.0;
        let [resident, anonymous] = memory_mb(*pid)?;
        integration::say!(
            "{name:<16} {share:.2}% of a core, {resident:.1} MB, of which {anonymous:.1} MB are in \
             no file"
        );
        shares.insert(name, share);
        memory.insert(name, [resident, anonymous]);
    }
    save(
        &options.out,
        &serde_json::json!({
            "seconds": options.seconds,
            "percent_of_a_core": shares,
            "resident_and_anonymous_mb": memory,
        }),
    )
}

/// The resident memory of a process, and the part of it that is in no file (proc(5):
/// `smaps_rollup`).
fn memory_mb(pid: u32) -> anyhow::Result<[f64; 2]> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let kilobytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_end_matches("kB").trim().parse::<f64>().ok()
    };
    match (kilobytes("Rss:"), kilobytes("Anonymous:")) {
        (Some(resident), Some(anonymous)) => Ok([resident, anonymous].map(|size| size / 1024.0)),
        _ => anyhow::bail!("{path}: expected the lines Rss and Anonymous"),
    }
}

//! `bench idle`: the CPU that the first instance of each program uses while nothing happens,
//! including projectors and internal listeners.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

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
    settle: u64,
    /// The file for the result as JSON
    #[arg(long, default_value = ".millrace/bench/idle.json")]
    out: PathBuf,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let pids = pids(&PROGRAMS.iter().map(|program| program.instance(0)).collect::<Vec<_>>())?;
    std::thread::sleep(Duration::from_secs(options.settle));
    let used = || -> anyhow::Result<Vec<Duration>> {
        pids.values().map(|pid| Ok(usage(*pid)?.cpu)).collect()
    };
    let before = used()?;
    integration::say!("watching for {} s", options.seconds);
    std::thread::sleep(Duration::from_secs(options.seconds));
    let mut shares = BTreeMap::new();
    for ((name, before), after) in pids.keys().zip(before).zip(used()?) {
        let share = (after - before).as_secs_f64() / options.seconds as f64 * 100.0;
        integration::say!("{name:<16} {share:.2}% of a core");
        shares.insert(name, share);
    }
    save(
        &options.out,
        &serde_json::json!({ "seconds": options.seconds, "percent_of_a_core": shares }),
    )
}

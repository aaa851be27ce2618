//! `bench`: how fast the engine is, beside others who do the same work on the same broker in the
//! same run.
#![forbid(unsafe_code)]

mod contender;
mod idle;
mod latency;
mod restore;
mod rig;
mod system;
mod table;
mod throughput;
mod work;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures the engine, beside others who do the same work
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Records a second, CPU, memory and commit times, contender by contender, round by round
    Engine(throughput::Options),
    /// From an input's due time to its output being readable, at a steady rate
    Latency(latency::Options),
    /// A changelog read back
    Restore(restore::Options),
    /// The CPU that services use while nothing happens
    Idle(idle::Options),
    /// The whole system over HTTP: rates, percentiles, CPU and waits, step by step
    System(system::Options),
    /// The engine as a process of its own: what the others start
    #[command(hide = true)]
    Contender(contender::Options),
}

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            // Nothing can be done about a closed terminal.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 64 } else { 0 });
        }
    };
    let done = match options.what {
        What::Engine(options) => throughput::run(&options),
        What::Latency(options) => latency::run(&options),
        What::Restore(options) => restore::run(&options),
        What::Idle(options) => idle::run(&options),
        What::System(options) => system::run(&options),
        What::Contender(options) => contender::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            integration::tell!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

//! `bench`: measures the engine, and other programs that do the same work on the same broker in the
//! same run.
#![forbid(unsafe_code)]

mod contender;
mod idle;
mod latency;
mod reads;
mod restore;
mod rig;
mod system;
mod table;
mod throughput;
mod work;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures the engine, and other programs that do the same work
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Records per second, CPU, memory and commit times of each contender, in rounds
    Engine(throughput::Options),
    /// Time from when an input is due until its output is readable, at a steady rate
    Latency(latency::Options),
    /// Time to restore a changelog
    Restore(restore::Options),
    /// CPU that the idle services use
    Idle(idle::Options),
    /// The whole system over HTTP: rates, percentiles, CPU and waits, step by step
    System(system::Options),
    /// The whole system at a steady rate, minute by minute: memory, disk and latency
    Soak(system::soak::Options),
    /// What many open dashboards cost, and how late they show an event
    Dashboards(system::dashboards::Options),
    /// Product lists that a gateway serves, compared with a bare warp server
    Reads(reads::Options),
    /// The engine as a process of its own, which the other measurements start
    #[command(hide = true)]
    Contender(contender::Options),
}

fn main() -> ExitCode {
    let options: Options = match integration::options() {
        Ok(options) => options,
        Err(code) => return code,
    };
    let done = match options.what {
        What::Engine(options) => throughput::run(&options),
        What::Latency(options) => latency::run(&options),
        What::Restore(options) => restore::run(&options),
        What::Idle(options) => idle::run(&options),
        What::System(options) => system::run(&options),
        What::Soak(options) => system::soak::run(&options),
        What::Dashboards(options) => system::dashboards::run(&options),
        What::Reads(options) => reads::run(&options),
        What::Contender(options) => contender::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            integration::tell!("error: {}", schemas::chain(&*error));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use redpanda::log::LogError;

    #[test]
    fn error_of_a_benchmark_names_each_cause_once() {
        let doing = "reading work.events".to_owned();
        let error = LogError::Fatal { doing, cause: "the broker is away".into() };
        let error = anyhow::Error::from(error).context("measuring");
        assert_eq!(
            schemas::chain(&*error),
            "measuring: reading work.events (the session must be rebuilt): the broker is away"
        );
    }
}

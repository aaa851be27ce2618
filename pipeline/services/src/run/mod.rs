//! Runs a service as a process: settings, log output, runtime, exit code.
//!
//! - `serve`: the order of start and end
//! - `start`: the threads of projectors and workers
//! - `health`: the checks of `/readyz`
//! - `signals`: SIGTERM and SIGINT

mod error;
mod health;
mod serve;
mod signals;
mod start;

use std::{process::ExitCode, time::Duration};

use redpanda::settings::USAGE;
use schemas::chain;
use tokio::runtime::Runtime;

use crate::{config::Config, service::Service};
use error::WrongSetting;

/// Runs a service until a signal or an error ends it.
pub fn run(service: fn(&Config) -> anyhow::Result<Service>) -> ExitCode {
    redpanda::allocator::disable_huge_pages();
    let config = Config::from_env();
    init_tracing();
    redpanda::tls::install_provider();
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("starting the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let created = {
        // The mail client spawns a task when it is created.
        let _entered = runtime.enter();
        service(&config)
    };
    let service = match created {
        Ok(service) => service,
        Err(error) => {
            eprintln!("{}", chain(&*error));
            return usage();
        }
    };
    let ended = runtime.block_on(serve::serve(service, config));
    redpanda::spans::shutdown();
    runtime.shutdown_timeout(Duration::from_secs(5));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = chain(&*error);
            let code = if error.is::<WrongSetting>() { usage() } else { ExitCode::FAILURE };
            tracing::error!(error = text, "ended");
            eprintln!("{text}");
            code
        }
    }
}

/// The exit code of a wrong setting.
fn usage() -> ExitCode {
    u8::try_from(USAGE).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn init_tracing() {
    let filter =
        tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}

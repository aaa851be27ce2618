//! `gate`: a proxy that makes Apache Kafka answer as Redpanda does. This file only parses
//! arguments; `integration::gate` does the work.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use integration::gate::{Gate, Listener, Settings, relay};

/// A proxy that makes Apache Kafka answer as Redpanda does
#[derive(Debug, Parser)]
#[command(name = "gate", version)]
struct Options {
    /// An address for clients, and the broker behind it, which must advertise that address; repeat
    /// for each broker
    #[arg(long = "listen", required_unless_present = "relays", value_name = "LISTEN=UPSTREAM")]
    listeners: Vec<Listener>,
    /// An address from which everything is forwarded unchanged, without any rule
    #[arg(long = "relay", value_name = "LISTEN=UPSTREAM")]
    relays: Vec<Listener>,
    /// Redpanda's cluster settings
    #[command(flatten)]
    settings: Settings,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options: Options = match integration::options() {
        Ok(options) => options,
        Err(code) => return code,
    };
    let gate = Arc::new(Gate::new(options.settings));
    match tokio::try_join!(gate.serve(&options.listeners), relay::serve(&options.relays)) {
        Ok(((), ())) => ExitCode::SUCCESS,
        Err(error) => {
            integration::tell!("error: {}", integration::chain(&*error));
            ExitCode::FAILURE
        }
    }
}

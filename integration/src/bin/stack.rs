//! `stack`: runs the whole system as plain processes. `stack up` is for people,
//! `stack run -- COMMAND` for tests, and `stack ctl REQUEST` starts, stops or kills parts of a
//! running stack. This file only parses arguments; `integration::stack` does the work.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use integration::stack::flow;

/// The whole system as plain processes, without Docker
#[derive(Debug, Parser)]
#[command(name = "stack", version)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything on the well-known ports, run a demo order, and stay until Ctrl-C
    Up(flow::Up),
    /// Start everything on free ports with fresh data, run a command against it, stop everything,
    /// and exit with the command's code
    Run(flow::Run),
    /// Send a request to a running stack: status, start NAME [VARIABLE=VALUE ...], stop NAME,
    /// signal NAME SIGNAL, wait NAME [SECONDS]
    Ctl {
        /// The data folder of the running stack
        #[arg(long, default_value = ".millrace/up", value_name = "DIR")]
        data: PathBuf,
        /// The request
        #[arg(required = true)]
        request: Vec<String>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let options: Options = match integration::options() {
        Ok(options) => options,
        Err(code) => return code,
    };
    let done = match options.command {
        Command::Up(up) => flow::up(up).await,
        Command::Run(run) => flow::run(run).await,
        Command::Ctl { data, request } => flow::ctl(&data, &request).await,
    };
    done.unwrap_or_else(|error| {
        integration::tell!("error: {}", integration::chain(&error));
        ExitCode::FAILURE
    })
}

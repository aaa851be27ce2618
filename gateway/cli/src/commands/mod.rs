//! The program's commands: [`Command`] lists them all, and each has a file.
//!
//! To add one, add a variant with its arguments here or in [`parked`] or [`dead`], and its call in
//! `run`. What changes data goes through [`action::Sent`], which waits for the outcome.

mod action;
mod audit;
mod dead;
mod edit;
mod key;
mod login;
mod pages;
mod parked;
mod redrive;
mod selection;
mod status;
mod trace;

use clap::Subcommand;

use crate::{client::Client, failure::Failure, report::Report};

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Logs in, and keeps the session in a file of mode 0600.
    Login(login::Login),
    /// Ends the session and removes its file.
    Logout,
    /// Shows whether the system works: tasks, the lag of each processor and projection, parked
    /// keys, dead letters.
    Status,
    /// Parked keys: their records wait because the first of them has failed.
    #[command(subcommand)]
    Parked(parked::Parked),
    /// Dead letters: records that could not be processed.
    #[command(subcommand)]
    Dead(dead::Dead),
    /// Shows all records that a command or an order has caused, as a tree; also by one of them.
    Trace(trace::Trace),
    /// Shows what operators have done, and why; the newest first.
    Audit(pages::Pages),
}

impl Command {
    /// Whether it replaces or removes the session's file, so that it needs none that can be used.
    pub(crate) fn replaces_session(&self) -> bool {
        matches!(self, Self::Login(_) | Self::Logout)
    }

    /// Runs the command.
    ///
    /// # Errors
    /// If it is refused or fails.
    pub(crate) async fn run(self, client: &mut Client) -> Result<Report, Failure> {
        match self {
            Self::Login(login) => login.run(client).await,
            Self::Logout => login::log_out(client).await,
            Self::Status => status::run(client).await,
            Self::Parked(parked) => parked.run(client).await,
            Self::Dead(dead) => dead.run(client).await,
            Self::Trace(trace) => trace.run(client).await,
            Self::Audit(pages) => audit::run(client, &pages).await,
        }
    }
}

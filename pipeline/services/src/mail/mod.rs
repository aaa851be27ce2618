//! Mail: sends what notifications ask for, and reports each attempt with a command.
//!
//! - [`Mailer`]: sends one mail and says how the attempt ended
//! - `sending`: how partitions share the connections to the server
//! - `reply`: what of a mail server's reply may be kept
//! - `unwritten`: reports on mails that were sent, until they are written
//! - [`MailWorker`]: the projection that finds requests and writes reports
//!
//! **A mail server's words are never kept or logged**, because servers echo addresses; only its
//! status codes are.

mod mailer;
mod reply;
mod sending;
#[cfg(test)]
mod tests;
mod unwritten;
mod worker;

pub use mailer::{Mailer, Report};
pub use worker::MailWorker;

//! A notification: a message in a user's inbox, and a mail if the service has a mail server.

mod decider;
pub mod policy;
mod text;

/// A notification. The key is its id.
#[derive(Debug)]
pub struct Notification;

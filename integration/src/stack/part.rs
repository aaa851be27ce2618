//! What one process of the stack is: how it is started, seen to be ready, and stopped. Data only;
//! the supervisor acts on it.

use std::ffi::OsString;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use nix::unistd::User;

/// What a part is to the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A server that the services need.
    Server,
    /// Runs to its end, once at each start.
    OneShot,
    /// A process of Millrace itself.
    Service,
}

/// When a part counts as ready.
#[derive(Clone, Debug)]
pub enum Ready {
    /// This address accepts connections.
    Tcp(String),
    /// This URL answers 200.
    Http(String),
    /// This address answers PING with PONG.
    Redis(String),
    /// This command succeeds.
    Command(Vec<OsString>),
    /// It has ended with success.
    Ended,
}

/// A command that ends: run before a part's start or after it is ready.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it does, for messages.
    pub what: &'static str,
    /// Not run where this path exists.
    pub unless: Option<PathBuf>,
    /// Program and arguments.
    pub command: Vec<OsString>,
    /// Given to it as input.
    pub stdin: String,
}

/// One process of the stack.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its name, in messages, logs and control requests.
    pub name: String,
    /// What it is to the system.
    pub kind: Kind,
    /// Parts of one stage start together, after all earlier stages are ready.
    pub stage: u8,
    /// Whether the stack starts it without being asked.
    pub autostart: bool,
    /// Program and arguments.
    pub command: Vec<OsString>,
    /// Added to the environment of the stack.
    pub env: Vec<(String, OsString)>,
    /// Run as this user.
    pub user: Option<User>,
    /// Asks it to stop.
    pub stop: Signal,
    /// Ends it when the whole stack stops, where that is not `stop`.
    pub stop_with_all: Option<Signal>,
    /// When it is ready.
    pub ready: Ready,
    /// Where it can be reached, for people.
    pub address: String,
    /// Run before each start, unless done.
    pub before: Vec<Step>,
    /// Run after it is ready, at each start.
    pub after: Vec<Step>,
}

impl Part {
    /// A part that starts with the stack and is stopped with SIGTERM; the rest is set on it.
    pub fn new(
        name: impl Into<String>,
        kind: Kind,
        stage: u8,
        command: Vec<OsString>,
        ready: Ready,
    ) -> Self {
        Self {
            name: name.into(),
            kind,
            stage,
            autostart: true,
            command,
            env: Vec::new(),
            user: None,
            stop: Signal::SIGTERM,
            stop_with_all: None,
            ready,
            address: String::new(),
            before: Vec::new(),
            after: Vec::new(),
        }
    }

    /// Where it can be reached.
    pub fn at(mut self, address: impl Into<String>) -> Self {
        self.address = address.into();
        self
    }

    /// Adds a variable to its environment.
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }
}

/// Strings, paths and numbers as one command line.
#[macro_export]
macro_rules! command {
    ($($word:expr),* $(,)?) => { vec![$(std::ffi::OsString::from($word)),*] };
}

//! A part: one process of the stack, with how it is started, checked and stopped. This is data
//! only; the supervisor acts on it.

use std::ffi::OsString;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use nix::unistd::User;

/// What a part does in the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// A server that the services need.
    Server,
    /// Runs once at each start, and ends.
    OneShot,
    /// A process of Millrace itself.
    Service,
}

/// The condition under which a part is ready.
#[derive(Clone, Debug)]
pub enum Ready {
    /// This address accepts connections.
    Tcp(String),
    /// This URL answers 200.
    Http(String),
    /// This address answers PING with PONG.
    Redis(String),
    /// This command exits with 0.
    Command(Vec<OsString>),
    /// The part itself has exited with 0.
    Ended,
}

/// A command that is run before a part's start, or after it is ready.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it does, for messages.
    pub what: &'static str,
    /// Skips the step if this path exists.
    pub unless: Option<PathBuf>,
    /// Program and arguments.
    pub command: Vec<OsString>,
    /// Its standard input.
    pub stdin: String,
}

/// One process of the stack.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its name, in messages, logs and control requests.
    pub name: String,
    /// What it does in the system.
    pub kind: PartKind,
    /// Parts of one stage start together, after all earlier stages are ready.
    pub stage: u8,
    /// Whether the stack starts it without a request.
    pub autostart: bool,
    /// Program and arguments.
    pub command: Vec<OsString>,
    /// Variables that are added to the stack's environment.
    pub env: Vec<(String, OsString)>,
    /// The user it runs as, if not the stack's own.
    pub user: Option<User>,
    /// The signal that asks it to stop.
    pub stop: Signal,
    /// The signal that ends it when the whole stack stops, if that is not `stop`.
    pub stop_with_all: Option<Signal>,
    /// When it counts as ready.
    pub ready: Ready,
    /// Its address, for people.
    pub address: String,
    /// Steps before each start.
    pub before: Vec<Step>,
    /// Steps after it is ready, at each start.
    pub after: Vec<Step>,
}

impl Part {
    /// Creates a part that starts with the stack and is stopped by SIGTERM.
    pub fn new(
        name: impl Into<String>,
        kind: PartKind,
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

    /// Sets the address that people see.
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

/// Makes one command line of strings and paths.
#[macro_export]
macro_rules! command {
    ($($word:expr),* $(,)?) => { vec![$(std::ffi::OsString::from($word)),*] };
}

//! The whole system as plain processes of one parent. A [`Part`] says how one process is started,
//! seen to be ready and stopped; [`parts`] lists them all; the [`Supervisor`] runs them;
//! [`control`] lets tests and people start, stop and kill them by name; [`flow`] is what `stack up`
//! and `stack run` do. It never restarts anything in tests, never touches a process it did not
//! start, and keeps nothing outside its data folder (but PostgreSQL's files, where that folder is
//! closed to PostgreSQL's user).

mod compose;
pub mod control;
pub mod flow;
mod layout;
mod part;
pub mod parts;
mod ports;
mod process;
mod programs;
mod ready;
mod secrets;
mod secured;
mod supervisor;

pub use compose::Compose;
pub use control::{Client as Control, ControlError, PartStatus};
pub use layout::Layout;
pub use part::{Kind, Part, Ready, Step};
pub use ports::{Broker, Outer, Ports, ProxiedListener};
pub use programs::{
    INSTANCES, PROGRAMS, Program, Role, Store, first_services, internal_variable, services,
};
pub use secrets::Secrets;
pub use secured::{ADMIN, STRANGER, Secured};
pub use supervisor::{Policy, Supervisor};

/// What can go wrong with the stack; each says what was tried, on what, and where to look.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// A file or folder could not be read or written.
    #[error("{doing} {path}: {source}")]
    File {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Another stack works on the same data folder.
    #[error(
        "another stack (pid {pid}) runs on {data}; stop it, or give this one its own folder with --data"
    )]
    Locked {
        /// The other one's process id.
        pid: String,
        /// The data folder.
        data: String,
    },
    /// A port that people use is taken by someone else.
    #[error(
        "port {port} ({what}) is in use by another program; stop it, or choose another with {option} PORT"
    )]
    PortInUse {
        /// The port.
        port: u16,
        /// What it was to serve.
        what: &'static str,
        /// The option that changes it.
        option: &'static str,
    },
    /// Something the stack needs is not on this machine.
    #[error("{what} is missing; {hint}")]
    Missing {
        /// What is missing.
        what: String,
        /// What to do about it.
        hint: String,
    },
    /// A part did not come up.
    #[error("{name} {why}; its log ends with:\n{tail}\n(all of it: {log})")]
    Part {
        /// The part's name.
        name: String,
        /// What happened.
        why: String,
        /// The last lines of its log.
        tail: String,
        /// Where the log is.
        log: String,
    },
    /// Nothing of this name is in the stack.
    #[error("no part is called {0}; `status` lists them")]
    Unknown(String),
    /// A request that can't be carried out now.
    #[error("{0}")]
    Refused(String),
}

impl StackError {
    /// For `map_err` on file operations.
    pub fn file(
        doing: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::File { doing, path, source }
    }
}

//! The whole system as plain processes of one parent. A [`Part`] describes how one process is
//! started, checked and stopped; [`parts`] lists all of them, Millrace's own after [`PROGRAMS`];
//! the [`Supervisor`] runs them; [`control`] lets tests and people start, stop and kill them by
//! name; [`flow`] implements `stack up` and `stack run`. It never restarts anything in tests, never
//! touches a process that it did not start, and keeps nothing outside its data folder, except
//! PostgreSQL's files if PostgreSQL's user can't traverse that folder, and the control socket if
//! its path would be too long.

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
mod status;
mod supervisor;
mod tree;

pub use compose::{Compose, Networks};
pub use control::Client as Control;
pub use layout::Layout;
pub use part::{Part, PartKind, Ready, Step};
pub use ports::{Broker, Ports, ProxiedListener, PublicPorts};
pub use programs::{
    INSTANCES, PROGRAMS, Program, Role, Store, first_services, internal_variable, services,
};
pub use secrets::Secrets;
pub use secured::{ADMIN, STRANGER, Secured};
pub use status::{ControlError, PartStatus};
pub use supervisor::{RestartPolicy, Supervisor};

/// Why the stack failed: what was tried, on what, and where to look.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// A file or folder could not be read or written.
    #[error("{doing} {path}")]
    File {
        /// What was tried.
        doing: &'static str,
        /// Its path.
        path: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Another stack uses the same data folder.
    #[error(
        "another stack (pid {pid}) runs on {data}; stop it, or give this one its own folder with --data"
    )]
    Locked {
        /// The other one's process id.
        pid: String,
        /// The data folder.
        data: String,
    },
    /// Another program uses a public port.
    #[error(
        "port {port} ({what}) is in use by another program; stop it, or choose another with {option} PORT"
    )]
    PortInUse {
        /// The port.
        port: u16,
        /// What was to listen there.
        what: &'static str,
        /// The option that changes it.
        option: &'static str,
    },
    /// Something that the stack needs is not on this machine.
    #[error("{what} is missing; {hint}")]
    Missing {
        /// What is missing.
        what: String,
        /// What to do about it.
        hint: String,
    },
    /// A part did not become ready.
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
    /// The stack has no part of this name.
    #[error("no part is called {0}; `status` lists them")]
    Unknown(String),
    /// A request that can't be carried out now.
    #[error("{0}")]
    Refused(String),
}

impl StackError {
    /// Creates the error of a file operation, for `map_err`.
    pub fn file(
        doing: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::File { doing, path, source }
    }
}

#[cfg(test)]
mod tests {
    use std::{io, path::Path};

    use super::*;

    #[test]
    fn error_of_the_stack_names_each_cause_once() {
        let error = StackError::file("read", Path::new("keys"))(io::ErrorKind::NotFound.into());
        assert_eq!(crate::chain(&error), "read keys: entity not found");
    }
}

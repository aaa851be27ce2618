//! What a running stack says about itself: the state of a part, and why a request was refused. It
//! is the same for the native stack and for containers.

use serde::{Deserialize, Serialize};

/// The state of one part.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PartStatus {
    /// Its name.
    pub name: String,
    /// `not started`, `starting`, `ready`, `stopped`, `dead` or, for a one-shot, `done`.
    pub state: String,
    /// Its process, while it runs.
    pub pid: Option<u32>,
    /// Its address, for people.
    pub address: String,
    /// The number of its starts.
    pub starts: u32,
    /// How its last process ended.
    pub ended: Option<String>,
}

/// Why a stack did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The environment names no stack.
    #[error(
        "MILLRACE_STACK_CONTROL is not set: run this under `stack run -- COMMAND`, as integration/test does"
    )]
    NoStack,
    /// The stack does not answer.
    #[error("no stack answers at {path} (does one run?)")]
    Silent {
        /// The socket.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The stack refused the request.
    #[error("{request}: {reason}")]
    Refused {
        /// The request.
        request: String,
        /// The reason.
        reason: String,
    },
}

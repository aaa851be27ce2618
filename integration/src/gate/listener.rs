//! An address of the gate or of a relay, and the server behind it.

use std::net::{AddrParseError, SocketAddr};
use std::str::FromStr;

/// An address for clients, and the broker behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The address that clients connect to, which the broker advertises.
    pub listen: SocketAddr,
    /// The address on which the broker listens, as `HOST:PORT`.
    pub upstream: String,
}

/// Why a text does not describe a listener. Clap shows the text of the error, but not that of its source.
#[derive(Debug, thiserror::Error)]
pub enum ListenerError {
    /// It has no `=`.
    #[error("expected LISTEN=UPSTREAM")]
    NoPair,
    /// The address for clients is invalid.
    #[error("{listen} is no IP:PORT: {cause}")]
    Listen {
        /// The text before the `=`.
        listen: String,
        /// Why.
        cause: AddrParseError,
    },
    /// The address of the broker has no port.
    #[error("{0} is no HOST:PORT")]
    Upstream(String),
}

impl FromStr for Listener {
    type Err = ListenerError;

    fn from_str(text: &str) -> Result<Self, ListenerError> {
        let (listen, upstream) = text.split_once('=').ok_or(ListenerError::NoPair)?;
        let listen = listen
            .parse()
            .map_err(|cause| ListenerError::Listen { listen: listen.to_owned(), cause })?;
        let port = upstream.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        match port {
            Some(Ok(_)) => Ok(Self { listen, upstream: upstream.to_owned() }),
            _ => Err(ListenerError::Upstream(upstream.to_owned())),
        }
    }
}

//! An address of the gate or of a relay, and the server behind it.

use std::net::SocketAddr;
use std::str::FromStr;

/// An address for clients, and the broker behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The address that clients connect to, which the broker advertises.
    pub listen: SocketAddr,
    /// The address on which the broker listens, as `HOST:PORT`.
    pub upstream: String,
}

impl FromStr for Listener {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (listen, upstream) = text.split_once('=').ok_or("expected LISTEN=UPSTREAM")?;
        let listen = listen.parse().map_err(|error| format!("{listen} is no IP:PORT: {error}"))?;
        let port = upstream.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        match port {
            Some(Ok(_)) => Ok(Self { listen, upstream: upstream.to_owned() }),
            _ => Err(format!("{upstream} is no HOST:PORT")),
        }
    }
}

//! Decisions of the rules: what is done with a request, and what follows Kafka's response. Data
//! only; a connection acts on it.

use std::time::Duration;

use bytes::Bytes;

/// The gate's decision about a request.
pub enum Plan {
    /// The request goes to Kafka and the response to the client, neither decoded.
    Pass,
    /// The gate answers itself; Kafka never gets the request.
    Answer(Bytes),
    /// A rule looks at Kafka's response.
    Exchange {
        /// The request to Kafka: the client's, or another one instead of it.
        request: Bytes,
        /// Looks at the response.
        exchange: Box<dyn Exchange>,
        /// Whether later requests of the connection wait until this one is answered. Set if the
        /// request may be repeated.
        alone: bool,
    },
}

/// A rule that looks at one response of Kafka.
pub trait Exchange: Send + Sync {
    /// Decides what follows Kafka's response.
    fn answered(&mut self, response: Bytes) -> anyhow::Result<Next>;
}

/// The decision of a rule about a response of Kafka.
pub enum Next {
    /// The client gets this response.
    Respond(Bytes),
    /// The gate sends Kafka this request after a pause, and the client waits.
    Ask {
        /// The request.
        request: Bytes,
        /// The pause.
        after: Duration,
    },
}

//! The promises of the balancer's files, on a real nginx in front of gateways that misbehave: it
//! never sends a command twice, a read survives the loss of a gateway, the client's address comes
//! from the socket, streams pass at once, and overload is answered with 503.

mod forwarding;
mod overload;
mod refusals;
mod support;

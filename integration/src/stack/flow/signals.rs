//! The signals that ask the stack to stop.

use std::path::Path;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::stack::StackError;

/// Signals that follow each other within this time are one request.
const SAME_REQUEST_MAX: Duration = Duration::from_millis(300);

/// SIGINT, SIGTERM and SIGHUP, which ask the stack to stop.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    pub(super) fn new() -> Result<Self, StackError> {
        let listen =
            |kind| signal(kind).map_err(StackError::file("listen for", Path::new("signals")));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal, and returns it.
    pub(super) async fn next(&mut self) -> nix::sys::signal::Signal {
        tokio::select! {
            _ = self.interrupt.recv() => nix::sys::signal::SIGINT,
            _ = self.terminate.recv() => nix::sys::signal::SIGTERM,
            _ = self.hang_up.recv() => nix::sys::signal::SIGHUP,
        }
    }

    /// Waits for the next request, after a signal. `timeout` and a terminal that closes send their
    /// signal twice at once: that is one request.
    pub(super) async fn next_request(&mut self) -> nix::sys::signal::Signal {
        tokio::time::sleep(SAME_REQUEST_MAX).await;
        if let Ok(fresh) = Self::new() {
            *self = fresh;
        }
        self.next().await
    }
}

//! What the restoring thread sends to its worker, and how it waits. It makes no request itself.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
        mpsc,
    },
    time::Duration,
};

use crate::log::{LogError, Record, Start};

/// The pause before a request is retried.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// One result of the thread.
pub(super) enum Found {
    /// The next records of the changelog.
    Records(Vec<Record>),
    /// Everything is read.
    Complete(Start),
}

/// Position and end in the changelog, which the worker may read at any time.
#[derive(Default)]
pub(super) struct Progress {
    position: AtomicI64,
    end: AtomicI64,
}

impl Progress {
    pub(super) fn position(&self) -> i64 {
        self.position.load(Ordering::Relaxed)
    }

    pub(super) fn end(&self) -> i64 {
        self.end.load(Ordering::Relaxed)
    }

    pub(super) fn set_position(&self, position: i64) {
        self.position.store(position, Ordering::Relaxed);
    }

    pub(super) fn set_end(&self, end: i64) {
        self.end.store(end, Ordering::Relaxed);
    }
}

/// The thread must end: the worker has dropped its reader, or has received an error that is not
/// retriable.
#[derive(Debug)]
pub(super) struct Stopped;

/// The thread's end of the channel.
pub(super) struct Reporter {
    sender: mpsc::SyncSender<Result<Found, LogError>>,
    pub(super) progress: Arc<Progress>,
}

impl Reporter {
    pub(super) fn new(
        sender: mpsc::SyncSender<Result<Found, LogError>>,
        progress: Arc<Progress>,
    ) -> Self {
        Self { sender, progress }
    }

    /// Sends a result. Blocks while the worker has not taken enough of the earlier ones.
    pub(super) fn send(&self, found: Found) -> Result<(), Stopped> {
        match &found {
            Found::Records(records) if records.is_empty() => Ok(()),
            _ => self.sender.send(Ok(found)).map_err(|_| Stopped),
        }
    }

    /// Sends an error. Returns `Ok` if the request may be retried.
    pub(super) fn send_error(&self, error: LogError) -> Result<(), Stopped> {
        let is_retriable = matches!(error, LogError::Retriable { .. });
        self.sender.send(Err(error)).map_err(|_| Stopped)?;
        if is_retriable { Ok(()) } else { Err(Stopped) }
    }

    /// Returns an error if the worker has dropped its reader.
    pub(super) fn check_reader(&self) -> Result<(), Stopped> {
        if Arc::strong_count(&self.progress) > 1 { Ok(()) } else { Err(Stopped) }
    }

    /// Waits before a retry; returns an error if the worker has dropped its reader.
    pub(super) fn pause(&self) -> Result<(), Stopped> {
        std::thread::sleep(RETRY_PAUSE);
        self.check_reader()
    }

    /// Repeats a request until it succeeds, and sends each error.
    pub(super) fn retry<T>(&self, request: impl Fn() -> Result<T, LogError>) -> Result<T, Stopped> {
        loop {
            match request() {
                Ok(answer) => return Ok(answer),
                Err(error) => self.send_error(error)?,
            }
            std::thread::sleep(RETRY_PAUSE);
        }
    }
}

//! The state of the transaction in flight, which the worker, its group callbacks and the committing
//! thread share. It makes no call and decides nothing.
//!
//! ```text
//!   Idle --- the worker submits or abandons ---> Busy --- the thread has a result ---> Ended
//!     ^                                                                                  |
//!     +-------------------------- the worker takes the result ---------------------------+
//! ```
//!
//! A write that fails leads from Idle to Ended directly: the worker has not submitted yet.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::log::TransactionError;

/// The transaction in flight, and a signal for those who wait for its end.
#[derive(Default)]
pub(super) struct InFlight {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
pub(super) enum State {
    /// No transaction was submitted. One may be open, with its first records written.
    #[default]
    Idle,
    /// The worker has submitted a transaction or requested its abort.
    Busy,
    /// The transaction has ended, and the worker has not taken the result.
    Ended(Result<(), TransactionError>),
}

impl InFlight {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores the result of the transaction and wakes all who wait for it.
    pub(super) fn end(&self, result: Result<(), TransactionError>) {
        *self.state() = State::Ended(result);
        self.changed.notify_all();
    }

    /// Waits up to `max` while a transaction is in flight.
    pub(super) fn wait_idle(&self, max: Duration) {
        let busy = |state: &mut State| matches!(state, State::Busy);
        drop(self.changed.wait_timeout_while(self.state(), max, busy));
    }

    /// Waits up to `wait` for a result and takes it. Returns `None` if there is none yet.
    pub(super) fn take_result(&self, wait: Duration) -> Option<Result<(), TransactionError>> {
        if !wait.is_zero() {
            self.wait_idle(wait);
        }
        let mut state = self.state();
        match std::mem::take(&mut *state) {
            State::Ended(result) => Some(result),
            other => {
                *state = other;
                None
            }
        }
    }
}

//! Closes a consumer without blocking its owner, and counts the closes that do not end. It never
//! interrupts a close that has begun.

use std::{
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::consumer::BaseConsumer;

use super::context::GroupContext;
use crate::log::LogError;

/// A close that takes longer is lost. The request to leave a group has a deadline of 5 s.
const CLOSE_MAX: Duration = Duration::from_secs(60);
/// A process with this many lost closes joins no group any more and must be restarted.
const LOST_MAX: usize = 8;

/// The closes of this process.
static CLOSES: Closes = Closes::new();

/// Returns an error if too many closes are lost: each keeps a client with its threads, connections
/// and queues, and the process must be restarted before many of them use up its memory.
pub(super) fn check(doing: impl FnOnce() -> String) -> Result<(), LogError> {
    CLOSES.check(CLOSE_MAX, doing)
}

/// When the closes that have not ended have begun.
struct Closes(Mutex<Vec<Arc<Instant>>>);

/// A close that has begun. It ends when this is dropped.
struct Close {
    closes: &'static Closes,
    begun: Arc<Instant>,
}

impl Closes {
    const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    fn begin(&'static self) -> Close {
        let begun = Arc::new(Instant::now());
        self.begun().push(begun.clone());
        Close { closes: self, begun }
    }

    /// The number of closes that began at least `close_max` ago.
    fn lost(&self, close_max: Duration) -> usize {
        self.begun().iter().filter(|begun| begun.elapsed() >= close_max).count()
    }

    fn check(&self, close_max: Duration, doing: impl FnOnce() -> String) -> Result<(), LogError> {
        let lost = self.lost(close_max);
        if lost < LOST_MAX {
            return Ok(());
        }
        let cause = format!("{lost} earlier consumers have not closed within {close_max:?}");
        Err(LogError::Exhausted { doing: doing(), cause: cause.into() })
    }

    fn begun(&self) -> MutexGuard<'_, Vec<Arc<Instant>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Close {
    fn drop(&mut self) {
        self.closes.begun().retain(|begun| !Arc::ptr_eq(begun, &self.begun));
    }
}

/// A consumer that a thread closes when it is dropped.
///
/// Closing a consumer serves the events that are still queued, and the answer to an assignment that
/// arrives meanwhile can wait forever. A worker that rebuilds must not wait for that. At worst the
/// closing thread is lost, and counted.
pub(super) struct Closing(Option<Arc<BaseConsumer<GroupContext>>>);

impl Closing {
    pub(super) fn new(consumer: BaseConsumer<GroupContext>) -> Self {
        Self(Some(Arc::new(consumer)))
    }
}

/// Ends the use of a consumer by another thread than its owner's. If the owner has dropped it
/// meanwhile, it is closed here, and counted as every other one.
pub(crate) fn give_back(consumer: Arc<BaseConsumer<GroupContext>>) {
    if let Some(last) = Arc::into_inner(consumer) {
        drop(Closing::new(last));
    }
}

impl Deref for Closing {
    type Target = Arc<BaseConsumer<GroupContext>>;

    fn deref(&self) -> &Self::Target {
        match &self.0 {
            Some(consumer) => consumer,
            None => unreachable!("only `drop` takes the consumer"),
        }
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        let lost = CLOSES.lost(CLOSE_MAX);
        if lost > 0 {
            tracing::error!(left = lost, "closes of consumers are stuck and are left behind");
        }
        let (consumer, close) = (self.0.take(), CLOSES.begin());
        let work = move || {
            drop(consumer);
            drop(close);
        };
        // If the thread can't start, the consumer is dropped, and so closed, here.
        drop(std::thread::Builder::new().name("close".to_owned()).spawn(work));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closes_that_do_not_end_are_counted_and_limited() {
        static CLOSES: Closes = Closes::new();
        let check = |close_max| CLOSES.check(close_max, || "joining a group".to_owned());
        let mut begun: Vec<_> = (0..LOST_MAX).map(|_| CLOSES.begin()).collect();
        check(Duration::from_secs(60)).expect("they may still end");
        let error = check(Duration::ZERO).expect_err("they are lost");
        assert!(matches!(error, LogError::Exhausted { .. }), "{error:?}");

        begun.pop();
        check(Duration::ZERO).expect("one has ended");
        drop(begun);
        assert_eq!(CLOSES.lost(Duration::ZERO), 0);
    }
}

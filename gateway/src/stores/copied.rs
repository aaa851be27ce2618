//! A copy of something that is costly to read, for readers that come more often than it should be
//! read. The less it costs, the fresher the copy: what takes 2 ms is read 25 times a second at
//! most, and what takes a second every 20 s.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use projections::StoreError;
use schemas::chain;
use tokio::time::{Instant, timeout};

/// After each read there is none for this many times as long as it took.
const PAUSE_FACTOR: u32 = 20;
/// How long a reader waits for the next copy before it takes the one that is there.
const WAIT_MAX: Duration = Duration::from_millis(200);
/// From this age on, a copy is taken only if the next one does not come.
const AGE_MAX: Duration = Duration::from_secs(120);
/// How long a reader waits then. A read ends earlier.
const LONG_WAIT_MAX: Duration = Duration::from_secs(6);

/// The copy. Before the first read has succeeded, it is the default value.
#[derive(Default)]
pub(super) struct Copied<T>(Mutex<Held<T>>);

#[derive(Default)]
struct Held<T> {
    value: T,
    /// When the read of the value began.
    read_at: Option<Instant>,
    /// The last read of a next one, which may have ended.
    reading: Option<Shared<BoxFuture<'static, ()>>>,
    /// The next read does not begin before this time.
    next_read: Option<Instant>,
}

impl<T: Clone + Send + 'static> Copied<T> {
    /// The copy, renewed by `read` if it is time to do so. A read that fails leaves the copy as it
    /// is. One read runs at a time, also when its reader is gone.
    pub(super) async fn get<R>(self: &Arc<Self>, read: impl FnOnce() -> R) -> T
    where
        R: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let (reading, wait_max) = {
            let mut held = self.held();
            let is_due = held.next_read.is_none_or(|next| Instant::now() >= next);
            // A read that has panicked has ended too.
            let reads = held.reading.clone().is_some_and(|read| read.now_or_never().is_none());
            if !reads && is_due {
                let renewing = tokio::spawn(self.clone().renew(read()));
                held.reading = Some(renewing.map(drop).boxed().shared());
            }
            let is_fresh = held.read_at.is_some_and(|read_at| read_at.elapsed() < AGE_MAX);
            (held.reading.clone(), if is_fresh { WAIT_MAX } else { LONG_WAIT_MAX })
        };
        if let Some(reading) = reading {
            // Whether it has ended or not: what is there is taken.
            let _ = timeout(wait_max, reading).await;
        }
        self.held().value.clone()
    }

    async fn renew(self: Arc<Self>, read: impl Future<Output = Result<T, StoreError>>) {
        let begun = Instant::now();
        let read = read.await;
        let mut held = self.held();
        held.next_read = Some(Instant::now() + begun.elapsed() * PAUSE_FACTOR);
        match read {
            Ok(value) => (held.value, held.read_at) = (value, Some(begun)),
            Err(error) => tracing::warn!(error = chain(&error), "an older copy is used"),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::time::sleep;

    use super::*;

    /// A store that counts its reads; each returns its number.
    struct Store {
        copied: Arc<Copied<u64>>,
        reads: Arc<AtomicU64>,
    }

    impl Store {
        fn new() -> Self {
            Self { copied: Arc::default(), reads: Arc::default() }
        }

        /// Reads the copy, where a read of the store takes `cost_ms` milliseconds.
        async fn get(&self, cost_ms: u64) -> u64 {
            let reads = self.reads.clone();
            let read = move || async move {
                let number = reads.fetch_add(1, Ordering::Relaxed) + 1;
                sleep(Duration::from_millis(cost_ms)).await;
                Ok(number)
            };
            self.copied.get(read).await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn cheap_read_is_repeated_soon_and_a_costly_one_takes_a_small_part_of_the_time() {
        for (cost_ms, most) in [(2, 250), (1_000, 1)] {
            let store = Store::new();
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(10) {
                assert!(store.get(cost_ms).await > 0, "the first reader waits");
                sleep(Duration::from_millis(10)).await;
            }
            let reads = store.reads.load(Ordering::Relaxed);
            assert!((most / 2..=most).contains(&reads), "{cost_ms} ms: {reads}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn reader_takes_a_fresh_copy_rather_than_wait_for_the_next_one_but_not_an_old_one() {
        let store = Store::new();
        assert_eq!(store.get(1_000).await, 1);
        // when the next copy is due, and many ask for it
        sleep(Duration::from_secs(30)).await;
        let begun = Instant::now();
        let all = tokio::join!(store.get(1_000), store.get(1_000), store.get(1_000));
        assert_eq!(all, (1, 1, 1));
        assert!(begun.elapsed() < 2 * WAIT_MAX, "{:?}", begun.elapsed());
        // when it is there
        sleep(Duration::from_secs(1)).await;
        assert_eq!((store.get(1_000).await, store.reads.load(Ordering::Relaxed)), (2, 2));
        // when nobody has asked for long
        sleep(Duration::from_secs(3_600)).await;
        assert_eq!(store.get(1_000).await, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn failed_read_leaves_the_copy_and_is_not_repeated_at_once() {
        let store = Store::new();
        let fails = || async {
            sleep(Duration::from_secs(5)).await;
            Err(StoreError::failed("reading", "no answer within 5 s"))
        };
        assert_eq!(store.copied.get(fails).await, 0);
        assert_eq!((store.get(0).await, store.reads.load(Ordering::Relaxed)), (0, 0));
        sleep(Duration::from_secs(101)).await;
        assert_eq!(store.get(0).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn read_that_panics_does_not_prevent_the_next_one() {
        let store = Store::new();
        assert_eq!(store.copied.get(|| async { panic!("a bug") }).await, 0);
        assert_eq!(store.get(0).await, 1);
    }
}

//! The threads that a service needs: workers and projectors. One that ends by itself, by a panic or
//! an error, makes the service not ready at once and then ends it. Each thread says when it begins
//! a turn of its work, so one that is stuck makes the service not ready, and its age is a metric. A
//! service that is shutting down is not ready either. It restarts no thread and ends none that is
//! stuck: the process has to be restarted. A shutdown does not wait for a stuck one without an end.

use std::{
    any::Any,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use prometheus::{
    GaugeVec,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use schemas::chain;

use crate::metrics;

/// The polling interval of [`Threads::any_ended`].
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A thread whose turn takes longer is stuck. Nothing that a turn waits for may take this long:
/// stores, mail servers and brokers have deadlines far below it.
pub(crate) const TURN_MAX: Duration = Duration::from_secs(60);

/// How long a shutdown waits for the threads. The longest that one has to finish is a turn of the
/// mail worker: it begins mails for 5 s, the last of them may take 30 s, and the write of its
/// report 10 s. A mail without a report is sent again. A commit takes the broker 20 s at most.
pub(crate) const END_MAX: Duration = Duration::from_secs(50);

/// The polling interval of [`Threads::join`].
const JOIN_EVERY: Duration = Duration::from_millis(10);

struct Thread {
    name: String,
    handle: JoinHandle<anyhow::Result<()>>,
    turns: Turns,
}

/// The turns of a thread's work: when the last one began.
#[derive(Clone)]
pub(crate) struct Turns(Arc<Mutex<Instant>>);

impl Turns {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// Begins a turn.
    pub(crate) fn begin(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn age(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

/// Threads that work until a shutdown. Clones are the same threads.
#[derive(Clone, Default)]
pub(crate) struct Threads(Arc<Mutex<All>>);

#[derive(Default)]
struct All {
    threads: Vec<Thread>,
    /// The service is shutting down: the threads are being joined and are no longer listed.
    is_shutting_down: bool,
}

impl Threads {
    /// Starts a thread. Its work says when it begins a turn.
    pub(crate) fn spawn(
        &self,
        name: String,
        work: impl FnOnce(&Turns) -> anyhow::Result<()> + Send + 'static,
    ) -> std::io::Result<()> {
        let turns = Turns::new();
        let own = turns.clone();
        let handle = std::thread::Builder::new().name(name.clone()).spawn(move || work(&own))?;
        self.all().threads.push(Thread { name, handle, turns });
        Ok(())
    }

    /// Why the threads do not work: the service is shutting down, one has ended, or a turn of one
    /// takes longer than `turn_max`. Returns `None` if they do.
    pub(crate) fn failing(&self, turn_max: Duration) -> Option<String> {
        let all = self.all();
        if all.is_shutting_down {
            return Some("the service is shutting down".to_owned());
        }
        if let Some(ended) = all.threads.iter().find(|thread| thread.handle.is_finished()) {
            return Some(format!("thread {} has ended; the process ends too", ended.name));
        }
        let stuck = all.threads.iter().find(|thread| thread.turns.age() > turn_max)?;
        let age_s = stuck.turns.age().as_secs();
        Some(format!("thread {} has been in one turn of its work for {age_s} s", stuck.name))
    }

    /// Exports the age of each thread's turn.
    ///
    /// # Errors
    /// When a metric of this name is registered already.
    pub(crate) fn register(
        &self,
        registry: &prometheus::Registry,
    ) -> Result<(), prometheus::Error> {
        let ages = metrics::thread_turn_ages()?;
        registry.register(Box::new(Ages { threads: self.clone(), ages }))
    }

    /// The name of a thread that has ended; `None` while all work.
    pub(crate) fn ended(&self) -> Option<String> {
        let all = self.all();
        all.threads
            .iter()
            .find(|thread| thread.handle.is_finished())
            .map(|thread| thread.name.clone())
    }

    /// Waits until a thread has ended, and returns its name.
    pub(crate) async fn any_ended(&self) -> String {
        loop {
            if let Some(name) = self.ended() {
                return name;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Joins all threads, as part of a shutdown. Blocks for `wait_max` at most; a thread that has
    /// not ended then ends with the process.
    ///
    /// # Errors
    /// The error or the panic of the first thread that failed; otherwise which have not ended.
    pub(crate) fn join(&self, wait_max: Duration) -> anyhow::Result<()> {
        let threads = {
            let mut all = self.all();
            all.is_shutting_down = true;
            std::mem::take(&mut all.threads)
        };
        let begun = Instant::now();
        while threads.iter().any(|thread| !thread.handle.is_finished())
            && begun.elapsed() < wait_max
        {
            std::thread::sleep(JOIN_EVERY);
        }
        let mut result = Ok(());
        let mut stuck = Vec::new();
        for Thread { name, handle, .. } in threads {
            if !handle.is_finished() {
                stuck.push(name);
                continue;
            }
            let ended = handle.join().unwrap_or_else(|panic| {
                Err(anyhow!("thread {name} panicked: {}", panic_message(&*panic)))
            });
            if let Err(error) = ended {
                tracing::error!(thread = name, error = chain(&*error), "a thread has failed");
                result = result.and(Err(error));
            }
        }
        if !stuck.is_empty() {
            let names = stuck.join(", ");
            tracing::error!(threads = names, "threads are stuck, and end with the process");
            result = result.and(Err(anyhow!("threads have not ended in {wait_max:?}: {names}")));
        }
        result
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Measures the turns when Prometheus collects.
struct Ages {
    threads: Threads,
    ages: GaugeVec,
}

impl Collector for Ages {
    fn desc(&self) -> Vec<&Desc> {
        self.ages.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        for thread in &self.threads.all().threads {
            self.ages.with_label_values(&[&thread.name]).set(thread.turns.age().as_secs_f64());
        }
        self.ages.collect()
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no message)")
}

#[cfg(test)]
mod tests;

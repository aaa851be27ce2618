//! The threads that a service can't do without: workers and projectors. One that has ended by
//! itself, by a panic or an error, is seen at once by whoever asks whether the service is ready,
//! and ends the service. Each says when it begins a turn of its work, so one that is stuck makes
//! the service not ready, and its age is a metric. A service that is shutting down is not ready
//! either. It starts no thread a second time, and ends none that is stuck: such a process is to be
//! started anew.

use std::{
    any::Any,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use prometheus::{
    GaugeVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

/// How often the threads are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A thread whose turn takes longer is stuck. Nothing that a turn waits for may take so long: a
/// store, a mail server and a broker have deadlines far below it.
pub(crate) const TURN_MAX: Duration = Duration::from_secs(60);

struct Thread {
    name: String,
    handle: JoinHandle<anyhow::Result<()>>,
    turned: Turned,
}

/// When a thread has begun its last turn.
#[derive(Clone)]
pub(crate) struct Turned(Arc<Mutex<Instant>>);

impl Turned {
    fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// A turn begins.
    pub(crate) fn turn(&self) {
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
    /// Starts a thread, whose work says when it begins a turn.
    pub(crate) fn spawn(
        &self,
        name: String,
        work: impl FnOnce(&Turned) -> anyhow::Result<()> + Send + 'static,
    ) -> std::io::Result<()> {
        let turned = Turned::now();
        let its = turned.clone();
        let handle = std::thread::Builder::new().name(name.clone()).spawn(move || work(&its))?;
        self.all().threads.push(Thread { name, handle, turned });
        Ok(())
    }

    /// Why the threads can't be relied on: the service is shutting down, one has ended, or its turn
    /// takes longer than `turn_max`.
    pub(crate) fn failing(&self, turn_max: Duration) -> Option<String> {
        let all = self.all();
        if all.is_shutting_down {
            return Some("the service is shutting down".to_owned());
        }
        if let Some(ended) = all.threads.iter().find(|thread| thread.handle.is_finished()) {
            return Some(format!("thread {} has ended; the process ends too", ended.name));
        }
        let stuck = all.threads.iter().find(|thread| thread.turned.age() > turn_max)?;
        let age_s = stuck.turned.age().as_secs();
        Some(format!("thread {} has been in one turn of its work for {age_s} s", stuck.name))
    }

    /// Exports how long each thread has been in its turn.
    ///
    /// # Errors
    /// When a metric of this name is registered already.
    pub(crate) fn register(
        &self,
        registry: &prometheus::Registry,
    ) -> Result<(), prometheus::Error> {
        let help = "Seconds since a worker or projector has begun its last turn of work.";
        let ages = GaugeVec::new(Opts::new("millrace_thread_turn_age_seconds", help), &["thread"])?;
        registry.register(Box::new(Ages { threads: self.clone(), ages }))
    }

    /// The name of a thread that has ended.
    pub(crate) fn ended(&self) -> Option<String> {
        let all = self.all();
        all.threads
            .iter()
            .find(|thread| thread.handle.is_finished())
            .map(|thread| thread.name.clone())
    }

    /// Waits until a thread has ended, and names it.
    pub(crate) async fn any_ended(&self) -> String {
        loop {
            if let Some(name) = self.ended() {
                return name;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits for all threads, as part of a shutdown. Blocks.
    ///
    /// # Errors
    /// What the first thread that failed has said, or how it panicked.
    pub(crate) fn join(&self) -> anyhow::Result<()> {
        let threads = {
            let mut all = self.all();
            all.is_shutting_down = true;
            std::mem::take(&mut all.threads)
        };
        let mut result = Ok(());
        for Thread { name, handle, .. } in threads {
            let ended = handle
                .join()
                .unwrap_or_else(|panic| Err(anyhow!("thread {name} panicked: {}", said(&*panic))));
            if let Err(error) = ended {
                tracing::error!(thread = name, error = format!("{error:#}"), "a thread has failed");
                result = result.and(Err(error));
            }
        }
        result
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Measures the threads when it is asked.
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
            self.ages.with_label_values(&[&thread.name]).set(thread.turned.age().as_secs_f64());
        }
        self.ages.collect()
    }
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no message)")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn thread_that_panics_is_named_while_others_work_and_is_the_error() {
        let threads = Threads::default();
        let (end, ended) = mpsc::channel::<()>();
        threads
            .spawn("works".to_owned(), move |_| {
                ended.recv().unwrap_or_default();
                Ok(())
            })
            .expect("a thread");
        assert_eq!(threads.ended(), None);

        threads.spawn("dies".to_owned(), |_| panic!("a bug")).expect("a thread");
        assert_eq!(threads.any_ended().await, "dies");
        drop(end);
        let error = threads.join().expect_err("one has panicked");
        assert_eq!(error.to_string(), "thread dies panicked: a bug");
    }

    #[test]
    fn threads_that_end_in_order_are_no_error() {
        let threads = Threads::default();
        threads.spawn("ends".to_owned(), |_| Ok(())).expect("a thread");
        assert!(threads.join().is_ok());
        assert_eq!(threads.ended(), None, "nobody is left");
    }

    #[test]
    fn threads_that_are_joined_while_one_still_works_are_failing() {
        let threads = Threads::default();
        let (end, ended) = mpsc::channel::<()>();
        threads
            .spawn("finishes".to_owned(), move |_| {
                ended.recv().unwrap_or_default();
                Ok(())
            })
            .expect("a thread");
        let joins = threads.clone();
        let joined = std::thread::spawn(move || joins.join());
        let begun = Instant::now();
        while threads.failing(Duration::from_secs(60)).is_none() {
            assert!(
                begun.elapsed() < Duration::from_secs(10),
                "a service that shuts down seems well"
            );
            std::thread::yield_now();
        }
        drop(end);
        joined.join().expect("no panic").expect("the thread ends in order");
    }

    #[test]
    fn thread_that_does_not_end_its_turn_is_named_until_it_begins_another() {
        const SHORT: Duration = Duration::from_millis(20);
        let threads = Threads::default();
        let registry = prometheus::Registry::new();
        threads.register(&registry).expect("a metric");
        let (next, turns) = mpsc::channel::<()>();
        let (turned, has_turned) = mpsc::channel::<()>();
        threads
            .spawn("worker-0".to_owned(), move |its| {
                while turns.recv().is_ok() {
                    its.turn();
                    turned.send(())?;
                }
                Ok(())
            })
            .expect("a thread");
        let begun = Instant::now();
        while threads.failing(SHORT).is_none() {
            assert!(begun.elapsed() < Duration::from_secs(10), "it is stuck and not named");
            std::thread::yield_now();
        }
        let text =
            prometheus::TextEncoder::new().encode_to_string(&registry.gather()).expect("text");
        let age = text.lines().find_map(|line| {
            line.strip_prefix("millrace_thread_turn_age_seconds{thread=\"worker-0\"} ")
        });
        let age: f64 = age.expect("its age").parse().expect("a number");
        assert!(age > SHORT.as_secs_f64(), "{text}");

        next.send(()).expect("it waits for its turn");
        has_turned.recv().expect("it turns");
        assert_eq!(threads.failing(Duration::from_secs(10)), None);
        drop(next);
        threads.join().expect("it ends");
    }
}

//! The threads that a service can't do without: workers and projectors. One that has ended by itself, by a panic or
//! an error, is seen at once by whoever asks whether the service is ready, and ends the service. It starts no thread
//! a second time: a process that has lost one is to be started anew.

use std::{
    any::Any,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use anyhow::anyhow;

/// How often the threads are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

struct Thread {
    name: String,
    handle: JoinHandle<anyhow::Result<()>>,
}

/// Threads that work until a shutdown. Clones are the same threads.
#[derive(Clone, Default)]
pub(crate) struct Threads(Arc<Mutex<Vec<Thread>>>);

impl Threads {
    /// Starts a thread.
    pub(crate) fn spawn(
        &self,
        name: String,
        work: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
    ) -> std::io::Result<()> {
        let handle = std::thread::Builder::new().name(name.clone()).spawn(work)?;
        self.all().push(Thread { name, handle });
        Ok(())
    }

    /// The name of a thread that has ended.
    pub(crate) fn ended(&self) -> Option<String> {
        self.all().iter().find(|thread| thread.handle.is_finished()).map(|thread| thread.name.clone())
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

    /// Waits for all threads. Blocks.
    ///
    /// # Errors
    /// What the first thread that failed has said, or how it panicked.
    pub(crate) fn join(&self) -> anyhow::Result<()> {
        let threads = std::mem::take(&mut *self.all());
        let mut result = Ok(());
        for Thread { name, handle } in threads {
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

    fn all(&self) -> MutexGuard<'_, Vec<Thread>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
            .spawn("works".to_owned(), move || {
                ended.recv().unwrap_or_default();
                Ok(())
            })
            .expect("a thread");
        assert_eq!(threads.ended(), None);

        threads.spawn("dies".to_owned(), || panic!("a bug")).expect("a thread");
        assert_eq!(threads.any_ended().await, "dies");
        drop(end);
        let error = threads.join().expect_err("one has panicked");
        assert_eq!(error.to_string(), "thread dies panicked: a bug");
    }

    #[test]
    fn threads_that_end_in_order_are_no_error() {
        let threads = Threads::default();
        threads.spawn("ends".to_owned(), || Ok(())).expect("a thread");
        assert!(threads.join().is_ok());
        assert_eq!(threads.ended(), None, "nobody is left");
    }
}

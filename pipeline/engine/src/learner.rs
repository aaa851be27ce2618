//! Fetches the schemas of older or newer writers from the registry, on threads of its own.
//!
//! A worker that reads an unknown id calls [`Learner::learn`] again later, so nothing that decides,
//! restores or commits waits for a registry that does not answer.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, Weak, mpsc},
    time::Duration,
};

use schemas::{Codec, chain};

/// The error of a [`SchemaSource`].
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// Finds the schemas of older or newer writers.
pub trait SchemaSource: Send + Sync {
    /// The schema registered under `id`, as JSON. Returns `None` if the registry has no such id.
    ///
    /// # Errors
    /// Fails if the registry can't be reached. The call is retried; the record is not a dead
    /// letter.
    fn schema_by_id(&self, id: u32) -> Result<Option<String>, SourceError>;
}

/// How long the first request for an id is waited for: a registry that is up answers within it.
const GRACE: Duration = Duration::from_millis(20);
/// The longest wait between two requests to a registry that can't be reached.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(2);

/// What is known about a schema id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Learnt {
    /// The codec has its schema now.
    Known,
    /// The registry has no schema with this id, or one that the codec can't use.
    Unknown,
    /// The registry has not answered yet.
    Requested,
}

/// Requests schemas from the registry, with at most one request for each id.
pub(crate) struct Learner {
    source: Arc<dyn SchemaSource>,
    codec: Arc<Codec>,
    requests: HashMap<u32, Request>,
}

/// The state of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// There is no answer yet.
    Pending,
    /// Whether the registry has a schema that the codec can use.
    Usable(bool),
    /// The thread could not be started: the request must be sent again.
    NotSent,
}

/// A request to the registry. Its thread ends soon after the request is dropped.
struct Request {
    usable: mpsc::Receiver<bool>,
    answer: Answer,
    /// Why the registry could not be reached the last time.
    error: Arc<Mutex<Option<String>>>,
}

impl Learner {
    pub(crate) fn new(source: Arc<dyn SchemaSource>, codec: Arc<Codec>) -> Self {
        Self { source, codec, requests: HashMap::new() }
    }

    /// Requests the schema under `id`, or takes the answer of the request.
    pub(crate) fn learn(&mut self, id: u32) -> Learnt {
        let mut wait = Duration::ZERO;
        let request = self.requests.entry(id).or_insert_with(|| {
            wait = GRACE;
            Request::send(self.source.clone(), self.codec.clone(), id)
        });
        let answer = request.wait_for(wait);
        if answer != Answer::Pending {
            self.requests.remove(&id);
        }
        match answer {
            Answer::Usable(true) => Learnt::Known,
            Answer::Usable(false) => Learnt::Unknown,
            Answer::Pending | Answer::NotSent => Learnt::Requested,
        }
    }

    /// Whether the registry has not answered the request for `id` yet.
    pub(crate) fn is_requested(&mut self, id: u32) -> bool {
        self.requests
            .get_mut(&id)
            .is_some_and(|request| request.wait_for(Duration::ZERO) == Answer::Pending)
    }

    /// The error of the latest attempt to request `id`, if the registry can't be reached.
    pub(crate) fn error(&self, id: u32) -> Option<String> {
        self.requests.get(&id)?.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Drops all requests. A task that still needs a schema requests it again.
    pub(crate) fn clear(&mut self) {
        self.requests.clear();
    }
}

impl Request {
    fn send(source: Arc<dyn SchemaSource>, codec: Arc<Codec>, id: u32) -> Self {
        let (sender, usable) = mpsc::channel();
        let error = Arc::<Mutex<Option<String>>>::default();
        let noted = Arc::downgrade(&error);
        let request = move || {
            // A schema on which the codec panics is not usable.
            let known = catch_unwind(AssertUnwindSafe(|| answer_of(&*source, &codec, id, &noted)));
            if let Some(known) = known.unwrap_or(Some(false)) {
                // The request may have been dropped.
                sender.send(known).ok();
            }
        };
        if let Err(error) = std::thread::Builder::new().name("learn".to_owned()).spawn(request) {
            tracing::warn!(schema.id = id, %error, "the thread for a schema can't be started");
        }
        Self { usable, answer: Answer::Pending, error }
    }

    fn wait_for(&mut self, wait: Duration) -> Answer {
        if self.answer == Answer::Pending {
            self.answer = match self.usable.recv_timeout(wait) {
                Ok(known) => Answer::Usable(known),
                Err(mpsc::RecvTimeoutError::Timeout) => Answer::Pending,
                Err(mpsc::RecvTimeoutError::Disconnected) => Answer::NotSent,
            };
        }
        self.answer
    }
}

/// Requests until the registry answers, and returns whether it has a schema that the codec can use.
/// Returns `None` if the request was dropped meanwhile.
fn answer_of(
    source: &dyn SchemaSource,
    codec: &Codec,
    id: u32,
    noted: &Weak<Mutex<Option<String>>>,
) -> Option<bool> {
    let mut wait = Duration::from_millis(50);
    loop {
        match source.schema_by_id(id) {
            Ok(Some(schema)) => {
                let learnt = codec.learn(id, &schema);
                if let Err(error) = &learnt {
                    let error = chain(error);
                    tracing::error!(schema.id = id, error, "a registered schema can't be used");
                }
                return Some(learnt.is_ok());
            }
            Ok(None) => return Some(false),
            Err(error) => {
                let error = chain(&*error);
                tracing::warn!(
                    schema.id = id,
                    error,
                    "the registry can't be reached; the request is retried"
                );
                *noted.upgrade()?.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                std::thread::sleep(wait);
                wait = (wait * 2).min(RETRY_WAIT_MAX);
            }
        }
    }
}

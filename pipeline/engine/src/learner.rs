//! Learns the schemas of older or newer writers from the registry, on threads of its own.
//!
//! Whoever meets an unknown id asks again later: nothing that decides, restores or commits ever
//! waits for a registry that is away.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, Weak, mpsc},
    time::Duration,
};

use schemas::Codec;

use crate::worker::SchemaSource;

/// How long whoever asks first waits for the answer: a registry that is there needs less.
const GRACE: Duration = Duration::from_millis(20);
/// The longest wait between two requests to a registry that can't be reached.
const AGAIN_MAX: Duration = Duration::from_secs(2);

/// What is known about a schema id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Learnt {
    /// The codec has its schema now.
    Known,
    /// The registry has none, or none that can be used.
    Unknown,
    /// The registry has not answered yet.
    Asked,
}

/// Asks the registry, once for each id at a time.
pub(crate) struct Learner {
    source: Arc<dyn SchemaSource>,
    codec: Arc<Codec>,
    asked: HashMap<u32, Asked>,
}

/// Whether the registry has a schema that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    None,
    Some(bool),
    /// Its thread could not be started: it has to be asked for anew.
    Never,
}

/// What a request has come to. Its thread ends when nobody waits any more.
struct Asked {
    coming: mpsc::Receiver<bool>,
    answer: Answer,
    /// Why the registry could not be reached the last time.
    error: Arc<Mutex<Option<String>>>,
}

impl Learner {
    pub(crate) fn new(source: Arc<dyn SchemaSource>, codec: Arc<Codec>) -> Self {
        Self { source, codec, asked: HashMap::new() }
    }

    /// Asks for the schema under `id`, or takes the answer.
    pub(crate) fn learn(&mut self, id: u32) -> Learnt {
        let mut wait = Duration::ZERO;
        let asked = self.asked.entry(id).or_insert_with(|| {
            wait = GRACE;
            Asked::ask(self.source.clone(), self.codec.clone(), id)
        });
        let answer = asked.wait_for(wait);
        if answer != Answer::None {
            self.asked.remove(&id);
        }
        match answer {
            Answer::Some(true) => Learnt::Known,
            Answer::Some(false) => Learnt::Unknown,
            Answer::None | Answer::Never => Learnt::Asked,
        }
    }

    /// Whether the answer about `id` has still to come.
    pub(crate) fn is_asked(&mut self, id: u32) -> bool {
        self.asked.get_mut(&id).is_some_and(|asked| asked.wait_for(Duration::ZERO) == Answer::None)
    }

    /// Why the answer about `id` has not come yet, where the registry can't be reached.
    pub(crate) fn error(&self, id: u32) -> Option<String> {
        self.asked.get(&id)?.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets what was asked. Whoever still needs it asks again.
    pub(crate) fn clear(&mut self) {
        self.asked.clear();
    }
}

impl Asked {
    fn ask(source: Arc<dyn SchemaSource>, codec: Arc<Codec>, id: u32) -> Self {
        let (tell, coming) = mpsc::channel();
        let error = Arc::<Mutex<Option<String>>>::default();
        let noted = Arc::downgrade(&error);
        let ask = move || {
            // A schema that nobody can work with is none.
            let known = catch_unwind(AssertUnwindSafe(|| answer_of(&*source, &codec, id, &noted)));
            if let Some(known) = known.unwrap_or(Some(false)) {
                // Nobody may listen any more.
                tell.send(known).ok();
            }
        };
        if let Err(error) = std::thread::Builder::new().name("learn".to_owned()).spawn(ask) {
            tracing::warn!(schema.id = id, %error, "no thread can be started to ask the registry");
        }
        Self { coming, answer: Answer::None, error }
    }

    fn wait_for(&mut self, wait: Duration) -> Answer {
        if self.answer == Answer::None {
            self.answer = match self.coming.recv_timeout(wait) {
                Ok(known) => Answer::Some(known),
                Err(mpsc::RecvTimeoutError::Timeout) => Answer::None,
                Err(mpsc::RecvTimeoutError::Disconnected) => Answer::Never,
            };
        }
        self.answer
    }
}

/// Asks until the registry answers; whether it has a schema that can be used. `None` when nobody
/// waits any more.
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
                    tracing::error!(schema.id = id, %error, "a schema of the registry can't be used");
                }
                return Some(learnt.is_ok());
            }
            Ok(None) => return Some(false),
            Err(error) => {
                tracing::warn!(
                    schema.id = id,
                    error,
                    "the registry can't be reached; it is asked again"
                );
                *noted.upgrade()?.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                std::thread::sleep(wait);
                wait = (wait * 2).min(AGAIN_MAX);
            }
        }
    }
}

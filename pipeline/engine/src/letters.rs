//! Reads the dead letters that operators send again, on threads of its own.
//!
//! A worker that needs one calls [`Letters::fetch`] again later, so nothing that decides, restores
//! or commits waits for the log. Unlike a schema, a dead letter is not waited for until it arrives:
//! an operator can send the command again.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, mpsc},
    time::Duration,
};

use redpanda::log::{Connect, Record, TopicPartition};
use schemas::chain;

/// How long the first request is waited for.
const GRACE: Duration = Duration::from_millis(20);
/// The longest wait for the record itself, after the log has answered where the partition begins
/// and ends.
const READ_MAX: Duration = Duration::from_secs(5);

/// The position of a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LetterAt {
    /// The partition of the topic of dead letters.
    pub(crate) partition: TopicPartition,
    /// The offset of the dead letter.
    pub(crate) offset: i64,
}

impl fmt::Display for LetterAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "offset {} of {}", self.offset, self.partition)
    }
}

/// What was found there.
#[derive(Clone, Debug)]
pub(crate) enum Letter {
    Found(Record),
    /// The log holds no record there: retention has removed it, or there never was one.
    Gone,
    /// The log could not be read, and why.
    Unreadable(String),
}

/// Requests dead letters, with at most one request for each.
pub(crate) struct Letters {
    connect: Arc<dyn Connect>,
    requests: BTreeMap<LetterAt, Request>,
}

/// A request. Its thread ends with the deadline of the read, also if the request is dropped.
struct Request {
    answers: mpsc::Receiver<Letter>,
    answer: Option<Letter>,
}

impl Letters {
    pub(crate) fn new(connect: Arc<dyn Connect>) -> Self {
        Self { connect, requests: BTreeMap::new() }
    }

    /// Requests a dead letter, or takes the answer of the request. Returns `None` if there is no
    /// answer yet.
    pub(crate) fn fetch(&mut self, at: &LetterAt) -> Option<Letter> {
        let mut wait = Duration::ZERO;
        let connect = &self.connect;
        let request = self.requests.entry(at.clone()).or_insert_with(|| {
            wait = GRACE;
            Request::send(connect.clone(), at.clone())
        });
        request.wait_for(wait);
        let answer = request.answer.take()?;
        self.requests.remove(at);
        Some(answer)
    }

    /// Whether the request for a dead letter has no answer yet.
    pub(crate) fn is_requested(&mut self, at: &LetterAt) -> bool {
        self.requests.get_mut(at).is_some_and(|request| {
            request.wait_for(Duration::ZERO);
            request.answer.is_none()
        })
    }

    /// Drops all requests. A task that still needs a dead letter requests it again.
    pub(crate) fn clear(&mut self) {
        self.requests.clear();
    }
}

impl Request {
    fn send(connect: Arc<dyn Connect>, at: LetterAt) -> Self {
        let (sender, answers) = mpsc::channel();
        let read = move || {
            let letter = match connect.record_at(&at.partition, at.offset, READ_MAX) {
                Ok(Some(record)) => Letter::Found(record),
                Ok(None) => Letter::Gone,
                Err(error) => Letter::Unreadable(chain(&error)),
            };
            // The request may have been dropped.
            sender.send(letter).ok();
        };
        // Without a thread the channel is closed, which `wait_for` sees.
        std::thread::Builder::new().name("letter".to_owned()).spawn(read).ok();
        Self { answers, answer: None }
    }

    fn wait_for(&mut self, wait: Duration) {
        if self.answer.is_none() {
            self.answer = match self.answers.recv_timeout(wait) {
                Ok(letter) => Some(letter),
                Err(mpsc::RecvTimeoutError::Timeout) => None,
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    Some(Letter::Unreadable("the thread that reads it has ended".to_owned()))
                }
            };
        }
    }
}

//! Closes a consumer without blocking its owner. It never interrupts a close that has begun.

use std::{ops::Deref, sync::Arc};

use rdkafka::consumer::BaseConsumer;

use super::context::GroupContext;

/// A consumer that a thread closes when it is dropped.
///
/// Closing a consumer serves the events that are still queued, and the answer to an assignment that
/// arrives meanwhile can wait forever. A worker that rebuilds must not wait for that. At worst the
/// closing thread is lost.
pub(super) struct Closing(Option<Arc<BaseConsumer<GroupContext>>>);

impl Closing {
    pub(super) fn new(consumer: BaseConsumer<GroupContext>) -> Self {
        Self(Some(Arc::new(consumer)))
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
        let consumer = self.0.take();
        // If the thread can't start, the consumer is dropped, and so closed, here.
        drop(std::thread::Builder::new().name("close".to_owned()).spawn(move || drop(consumer)));
    }
}

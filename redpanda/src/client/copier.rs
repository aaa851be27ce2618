//! Copies librdkafka's messages into records. It drops nothing and interprets nothing.

use rdkafka::{Message as _, message::BorrowedMessage};

use crate::{
    arena::Arena,
    log::{Headers, Record, Topic},
    raw,
};

/// Makes records of messages. Records of one topic share its name, and an arena holds keys and
/// values.
#[derive(Default)]
pub(crate) struct Copier {
    topics: Vec<Topic>,
    arena: Arena,
}

impl Copier {
    /// A copier that already knows the names `topics`.
    pub(crate) fn of(topics: &[Topic]) -> Self {
        Self { topics: topics.to_vec(), arena: Arena::default() }
    }

    pub(crate) fn record(&mut self, message: &BorrowedMessage<'_>) -> Record {
        let name = message.topic();
        let topic = match self.topics.iter().find(|topic| ***topic == *name) {
            Some(topic) => topic.clone(),
            None => {
                let topic: Topic = name.into();
                self.topics.push(topic.clone());
                topic
            }
        };
        let mut headers = Headers::default();
        if let Some(found) = message.headers() {
            raw::copy_headers(found, &mut headers);
        }
        Record {
            topic,
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis().unwrap_or_default(),
            key: message.key().map(|key| self.arena.copy(key)),
            value: message.payload().map(|value| self.arena.copy(value)),
            headers,
        }
    }
}

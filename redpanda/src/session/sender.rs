//! Sends the records of a transaction. It looks each topic up once, and chooses no partition.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    producer::Producer as _,
};

use super::{
    calls::CALL_MAX, connections::Connections, errors::CallError, producer::TransactionalProducer,
};
use crate::{
    fault,
    log::{ProducerRecordRef, ProducerRecords, Topic},
    raw,
};

/// A producer with the handles of the topics that it has written to.
pub(super) struct RecordSender {
    producer: Arc<TransactionalProducer>,
    /// A session writes to few topics, and most records share the allocation of the topic's name,
    /// so comparing addresses finds it first.
    topics: Vec<(Topic, raw::ProducerTopic<Connections>)>,
}

impl RecordSender {
    pub(super) fn new(producer: Arc<TransactionalProducer>) -> Self {
        Self { producer, topics: Vec::new() }
    }

    /// Queues all records. librdkafka sends them in the background; the commit waits for them.
    pub(super) fn send_all(&mut self, records: &ProducerRecords) -> Result<(), CallError> {
        for record in records.iter() {
            self.send(record)?;
            // Without a flush, the records would be lost with the process, before the broker has
            // any.
            fault::point_after("after-send", || drop(self.producer.flush(CALL_MAX)));
        }
        Ok(())
    }

    fn send(&mut self, record: ProducerRecordRef<'_>) -> Result<(), CallError> {
        let failed =
            |error: &KafkaError| CallError::of(&format!("writing to {}", record.topic), error);
        let index = match self.index_of(record.topic) {
            Some(index) => index,
            None => {
                let topic = raw::ProducerTopic::new(self.producer.clone(), record.topic)
                    .map_err(|error| failed(&error))?;
                self.topics.push((record.topic.clone(), topic));
                self.topics.len() - 1
            }
        };
        let mut since = None;
        loop {
            match self.topics[index].1.send(&record) {
                Ok(()) => return Ok(()),
                Err(RDKafkaErrorCode::QueueFull)
                    if since.get_or_insert_with(Instant::now).elapsed() < CALL_MAX =>
                {
                    // The thread that polls the producer empties the queue.
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(code) => return Err(failed(&KafkaError::MessageProduction(code))),
            }
        }
    }

    fn index_of(&self, topic: &Topic) -> Option<usize> {
        self.topics.iter().position(|(name, _)| Topic::ptr_eq(name, topic) || name == topic)
    }
}

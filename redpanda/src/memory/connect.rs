//! Opens sessions and readers of a log in memory. It ends none.

use std::time::Duration;

use super::{log::MemoryLog, session::MemorySession};
use crate::log::{Connect, Input, LogError, Record, Session, Topic, TopicPartition};

/// Opens sessions on a [`MemoryLog`].
#[derive(Clone, Debug)]
pub struct MemoryConnect {
    log: MemoryLog,
    group: String,
    inputs: Vec<Topic>,
    transactional_id: String,
}

impl Connect for MemoryConnect {
    fn open(&self) -> Result<Box<dyn Session>, LogError> {
        let id = Some(self.transactional_id.clone());
        Ok(Box::new(MemorySession::join(&self.log, &self.group, &self.inputs, id)))
    }

    fn record_at(
        &self,
        partition: &TopicPartition,
        offset: i64,
        _at_most: Duration,
    ) -> Result<Option<Record>, LogError> {
        let (state, mut found) = (self.log.state(), Vec::new());
        if state.unreadable.contains(partition) {
            let doing = format!("reading offset {offset} of {partition}");
            return Err(LogError::Retriable { doing, cause: "a test ordered this".into() });
        }
        state.read(partition, offset, 1, &mut found);
        Ok(found.pop().filter(|record| record.offset == offset))
    }
}

impl MemoryLog {
    /// Opens sessions of `group` under `transactional_id`.
    pub fn connect(&self, group: &str, inputs: &[Topic], transactional_id: &str) -> MemoryConnect {
        MemoryConnect {
            log: self.clone(),
            group: group.to_owned(),
            inputs: inputs.to_vec(),
            transactional_id: transactional_id.to_owned(),
        }
    }

    /// A member of `group` that only reads.
    pub fn input(&self, group: &str, inputs: &[Topic]) -> Box<dyn Input> {
        Box::new(MemorySession::join(self, group, inputs, None))
    }
}

//! Opens sessions and readers of a log in memory. It ends none.

use super::{log::MemoryLog, session::MemorySession};
use crate::log::{Connect, Input, LogError, Session, Topic};

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

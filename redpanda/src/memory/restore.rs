//! Restores in memory, in the order of [`Restore`]: offsets, end, changelog, watermarks. They wait
//! for nothing.

use std::time::Duration;

use super::{fault::Fault, log::MemoryLog};
use crate::log::{CommittedOffset, LogError, Record, Restore, Start, TopicPartition};

/// One restore of a task.
pub(super) struct MemoryRestore {
    pub(super) log: MemoryLog,
    pub(super) transactional_id: Option<String>,
    pub(super) group: String,
    pub(super) changelog: TopicPartition,
    pub(super) inputs: Vec<TopicPartition>,
    pub(super) watched: Vec<TopicPartition>,
    /// The group's committed offsets at the moment when `end` was taken; `None` before.
    pub(super) committed: Option<Vec<Option<CommittedOffset>>>,
    pub(super) position: i64,
    pub(super) end: i64,
    /// The number of records that were read.
    pub(super) read: usize,
    /// Set when everything is read; every later poll returns it again.
    pub(super) start: Option<Start>,
}

impl Restore for MemoryRestore {
    fn poll(
        &mut self,
        _timeout: Duration,
        max: usize,
        out: &mut Vec<Record>,
    ) -> Result<Option<Start>, LogError> {
        let (mut state, before) = (self.log.state(), out.len());
        let doing = format!("reading {} back", self.changelog);
        if state.unreadable.contains(&self.changelog) {
            return Err(LogError::Retriable { doing, cause: "a test ordered this".into() });
        }
        let is_held = state.held.contains(&self.changelog);
        if self.start.is_some() {
            return Ok(self.start.clone().filter(|_| !is_held));
        }
        let committed = match &self.committed {
            Some(committed) => committed,
            None => {
                self.end = state.span(&self.changelog).1;
                self.committed.insert(state.committed(&self.group, &self.inputs)?)
            }
        };
        self.position = state.read(&self.changelog, self.position, max, out);
        for _ in before..out.len() {
            self.read += 1;
            let fault = Fault::DuringRestore(self.read);
            if state.takes_fault(self.transactional_id.as_deref(), fault) {
                return Err(LogError::Fatal { doing, cause: "the session has ended".into() });
            }
        }
        let kept = || self.inputs.iter().map(|input| state.span(input)).collect();
        let ends = || self.watched.iter().map(|partition| state.span(partition).1).collect();
        if self.position >= self.end {
            let (committed, kept, ends) = (committed.clone(), kept(), ends());
            self.start = Some(Start { committed, kept, ends });
        }
        Ok(self.start.clone().filter(|_| !is_held))
    }

    fn progress(&self) -> (i64, i64) {
        (self.position, self.end)
    }
}

//! Discards a worker's session and memory when it is unknown whether they agree with the log.

use redpanda::log::Session;
use schemas::chain;

use super::{
    Worker, WorkerError, batch::PendingBatch, error::SessionError, settings::REBUILD_WAIT_MAX,
    spans::Spans,
};

impl Worker {
    /// Discards session, positions and state, because it is unknown whether they agree with the
    /// log. The next step opens a session with a new epoch, and restores every task from the log.
    pub(super) fn rebuild(
        &mut self,
        error: SessionError,
        session: Option<Box<dyn Session>>,
    ) -> Result<(), WorkerError> {
        let processor = self.topology.processor;
        // The reason is logged first: closing a session may take seconds.
        match &error {
            SessionError::Fenced(detail) => {
                self.fenced += 1;
                tracing::warn!(processor, detail, "fenced: the session is rebuilt");
            }
            SessionError::Exhausted(_) => {}
            error => {
                let reason = chain(error);
                tracing::warn!(processor, reason, "the session is rebuilt from the log");
            }
        }
        drop(session);
        self.assigned = false;
        let begun = self.active.keys().chain(self.restoring.keys());
        for partition in begun.chain(self.unread.keys()).chain(self.stuck.keys()) {
            self.forget_progress(*partition);
        }
        self.active.clear();
        self.restoring.clear();
        self.unread.clear();
        self.stuck.clear();
        self.awaiting.clear();
        self.learner.clear();
        self.letters.clear();
        self.inbox.clear();
        self.batch = PendingBatch::default();
        self.positions_pending = None;
        self.spans = Spans::default();
        (self.in_flight, self.open_since) = (None, None);
        self.paused = None;
        self.metrics.rebuilds.inc();
        self.publish();
        match error {
            SessionError::Fenced(detail) if self.fenced >= self.settings.fenced_max => {
                return Err(WorkerError::Fenced { processor, times: self.fenced, detail });
            }
            SessionError::Exhausted(source) => {
                return Err(WorkerError::Exhausted { processor, source });
            }
            _ => {}
        }
        std::thread::sleep(self.rebuild_wait);
        self.rebuild_wait = (self.rebuild_wait * 2).min(REBUILD_WAIT_MAX);
        Ok(())
    }
}

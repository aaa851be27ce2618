//! Finds the offsets at which a restored task starts to read, and refuses to start if the log
//! contradicts itself. No record is skipped unless an operator has allowed it.

use redpanda::log::{CommittedOffset, LogError, Start, TopicPartition};
use schemas::chain;

use super::{
    Worker,
    error::{NotRestored, StuckError},
    restore::Restoring,
};
use crate::{task::Task, topology::Route};

impl Worker {
    /// Starts a task whose changelog is loaded.
    pub(super) fn start_task(&mut self, restoring: Restoring) -> Result<(), NotRestored> {
        let Restoring { mut task, start, since, .. } = restoring;
        let Start { committed, kept, ends } = start.unwrap_or_default();
        task.finish_restore();
        let partition = task.partition;
        let (mut positions, mut adjusted) = (Vec::new(), false);
        for ((topic, committed), kept) in
            self.topology.inputs().into_iter().zip(&committed).zip(kept)
        {
            let input = TopicPartition { topic: topic.clone(), partition };
            let applied =
                task.positions().iter().find(|(known, _)| *known == topic).map(|(_, next)| *next);
            self.check_committed(&input, committed.map(|offset| offset.next), applied)?;
            // An input that neither the group nor the changelog knows starts at the log's
            // beginning.
            let next = applied.map_or(Ok(kept.0), |next| self.next_kept(&input, next, kept))?;
            adjusted |= applied.is_some_and(|applied| applied != next);
            positions.push((topic, next));
        }
        self.check_count(&task, &committed)?;
        task.start_at(positions, adjusted);
        task.resumed((self.clock)());
        // The last owner's follow-ups may be in any partition. The committed offsets were stable,
        // so its transactions had ended before these ends were requested. What this worker has sent
        // since then is awaited (`open_partitions`).
        if self.settings.local_follow_ups {
            for (partition, end) in self.topology.follow_up_partitions().into_iter().zip(ends) {
                self.batch.open_partitions().close_until(partition, end);
            }
        }
        self.stuck.remove(&partition);
        tracing::info!(
            processor = self.topology.processor,
            partition,
            rows = task.rows(),
            seconds = since.elapsed().as_secs_f64(),
            "a task is restored and begins to work"
        );
        self.active.insert(partition, task);
        Ok(())
    }

    /// Checks that the group's committed offset equals the changelog's. Every transaction writes
    /// both, so a difference means that one of them was changed by other means. Without a committed
    /// offset (it has expired, or the group is new) the changelog's applies.
    fn check_committed(
        &self,
        input: &TopicPartition,
        committed: Option<i64>,
        applied: Option<i64>,
    ) -> Result<(), StuckError> {
        let Some(committed) = committed.filter(|_| committed != applied) else { return Ok(()) };
        let (input, changelog) = (input.clone(), self.topology.changelog.clone());
        Err(match applied {
            Some(applied) => StuckError::PositionsDiffer { input, committed, applied },
            None => StuckError::NoPosition { input, committed, changelog },
        })
    }

    /// Checks that the changelog has every transaction that the group's offsets count. Positions do
    /// not tell: a transaction of timers, or of follow-ups that were decided at once, moves none.
    ///
    /// The latest count applies, because an older version commits no offset of an input that it
    /// does not have. Offsets that were committed without a count, by a version that knows none or
    /// by hand, are not compared. A changelog with a greater count lacks nothing.
    fn check_count(
        &self,
        task: &Task,
        committed: &[Option<CommittedOffset>],
    ) -> Result<(), StuckError> {
        let counts = committed.iter().flatten().filter_map(|offset| offset.transactions);
        let (counted, held) = (counts.max().unwrap_or(0), task.transactions());
        if counted <= held {
            return Ok(());
        }
        let topic = self.topology.changelog.clone();
        let changelog = TopicPartition { topic, partition: task.partition };
        Err(StuckError::TransactionsLost { changelog, counted, held })
    }

    /// Returns the offset at which to read an input whose position is `next`, while the log keeps
    /// `beginning..end` of it.
    fn next_kept(
        &self,
        input: &TopicPartition,
        next: i64,
        (beginning, end): (i64, i64),
    ) -> Result<i64, StuckError> {
        if (beginning..=end).contains(&next) {
            return Ok(next);
        }
        // Only processors write follow-ups and events, in transactions, so the last offset of such
        // a partition is a transaction marker. If retention has removed only that one, no record is
        // lost.
        let is_written_by_users =
            matches!(self.topology.route(&input.topic), Some(Route::Commands(_)));
        if !is_written_by_users && beginning == end && next + 1 == beginning {
            tracing::warn!(
                %input, next, beginning,
                "retention has removed a transaction marker; reading continues behind it"
            );
            return Ok(beginning);
        }
        let range = LogError::OutOfRange { partition: input.clone(), offset: next, beginning, end };
        if next > end {
            return Err(StuckError::EndLost(range));
        }
        if self.settings.accept_loss.contains(&input.to_string()) {
            let error = chain(&range);
            tracing::error!(error, "unread records are skipped, as MILLRACE_ACCEPT_LOSS says");
            return Ok(beginning);
        }
        Err(StuckError::RecordsRemoved { input: input.clone(), beginning, range })
    }
}

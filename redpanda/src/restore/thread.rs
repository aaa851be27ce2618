//! The thread that reads what a task starts from, step by step as the module's text lists them. It
//! never reads past a pending transaction and never skips an offset.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
};

use super::channel::{Found, Reporter, Stopped};
use crate::{
    client::{
        Copier, SEEK_MAX, Standalone, committed, consumption, fatal, is_transient, is_unreadable,
        retriable, watermarks,
    },
    fault,
    group::{GroupContext, give_back},
    log::{CommittedOffset, LogError, Start, TopicPartition},
};

/// The largest number of records that are handed over at a time.
const CHUNK_MAX: usize = 1_000;
/// The longest wait for records before the thread checks whether the worker still polls.
const READ_WAIT: Duration = Duration::from_millis(100);
/// How long the read of a changelog may receive neither a record nor the partition's end. The
/// client reconnects by itself; but one that does not know that it should fetch would wait forever,
/// so the task is restored again with a new one.
pub(super) const READ_MAX: Duration = Duration::from_secs(60);
/// How long a leader may state a smaller end than an earlier leader did. A new leader learns the
/// end from the other replicas within moments. After this time records are lost, and the group's
/// committed offsets show whether any of them matter.
pub(super) const BEHIND_MAX: Duration = Duration::from_secs(30);

/// The clients of one restore, and what it reads.
pub(super) struct RestoreThread {
    /// The client of the group's member. The session owns it.
    pub(super) member: Weak<BaseConsumer<GroupContext>>,
    pub(super) consumer: BaseConsumer<Standalone>,
    pub(super) watermark_client: Arc<BaseConsumer>,
    pub(super) group: String,
    pub(super) changelog: TopicPartition,
    pub(super) inputs: Vec<TopicPartition>,
    pub(super) watched: Vec<TopicPartition>,
    pub(super) reporter: Reporter,
    /// See [`BEHIND_MAX`].
    pub(super) behind_max: Duration,
    /// See [`READ_MAX`].
    pub(super) read_max: Duration,
}

/// Whether the changelog is read completely, after a pass that reached `position` of `end` and a
/// leader that then stated `stated`, which is not before `end`.
///
/// A pass may stop before `end` without a record: the rest may be transaction markers and aborted
/// records, or a leader that does not serve the rest yet. `is_quiet` says that two passes stopped
/// at the same position although everything up to `end` was readable: then the rest holds no
/// records.
pub(super) fn is_complete(position: i64, end: i64, stated: i64, is_quiet: bool) -> bool {
    position >= stated || is_quiet && stated == end
}

impl RestoreThread {
    /// Makes all steps and sends what they find.
    pub(super) fn run(&self) -> Result<(), Stopped> {
        let reporter = &self.reporter;
        // Step 1. First the offsets, then the changelog's end: so the changelog holds at least what
        // the offsets cover.
        let committed = match self.inputs.is_empty() {
            true => Vec::new(),
            false => reporter.retry(|| self.committed())?,
        };
        // Step 2.
        let (beginning, end) =
            reporter.retry(|| watermarks(&*self.watermark_client, &self.changelog))?;
        reporter.progress.set_position(beginning);
        reporter.progress.set_end(end);
        // Steps 3 to 5.
        self.read_changelog(beginning, end)?;
        // Step 6.
        let mut kept = Vec::with_capacity(self.inputs.len());
        for input in &self.inputs {
            kept.push(reporter.retry(|| watermarks(&*self.watermark_client, input))?);
        }
        // Step 7.
        let mut ends = Vec::with_capacity(self.watched.len());
        for partition in &self.watched {
            ends.push(reporter.retry(|| watermarks(&*self.watermark_client, partition))?.1);
        }
        reporter.send(Found::Complete(Start { committed, kept, ends }))
    }

    /// The committed offsets, which the coordinator returns that has accepted the member. The
    /// session may be dropped meanwhile: this thread keeps the member alive for one request only.
    fn committed(&self) -> Result<Vec<Option<CommittedOffset>>, LogError> {
        let Some(member) = self.member.upgrade() else {
            return Err(fatal(format!("restoring {}", self.changelog), "its session has ended"));
        };
        let answer = committed(&member, &self.group, &self.inputs);
        give_back(member);
        answer
    }

    /// Reads the changelog from `position` to the end that its leader states after everything up to
    /// `end` is read.
    pub(super) fn read_changelog(&self, mut position: i64, mut end: i64) -> Result<(), Stopped> {
        let reporter = &self.reporter;
        // The position at which a pass stopped before `end`.
        let (mut stopped_at, mut is_assigned) = (None, false);
        loop {
            if position < end {
                // Step 3. Committed records end before a pending transaction, and that end would be
                // mistaken for the end of the partition.
                let stable = self.stable_end(end)?;
                if stable < end {
                    (end, stopped_at) = (stable, None);
                }
            }
            if position < end {
                // Step 4.
                reporter.retry(|| self.seek(position, is_assigned))?;
                is_assigned = true;
                position = self.read(position, end)?;
            }
            // Step 5. `None`: records are lost, and there is nothing left to read.
            let Some(stated) = self.stated_end(end)? else { return Ok(()) };
            if is_complete(position, end, stated, stopped_at == Some(position)) {
                reporter.progress.set_position(position.max(stated));
                return Ok(());
            }
            // A new end starts the comparison of passes again.
            stopped_at = Some(position).filter(|_| stated == end);
            end = stated;
            reporter.progress.set_end(end);
        }
    }

    /// Moves the client to `position`. The first call assigns the partition; a later one seeks,
    /// because assigning again would stop and start the fetcher.
    fn seek(&self, position: i64, is_assigned: bool) -> Result<(), LogError> {
        let TopicPartition { topic, partition } = &self.changelog;
        let from = Offset::Offset(position);
        let doing = || format!("reading {} back", self.changelog);
        if is_assigned {
            let sought = self.consumer.seek(topic, *partition, from, SEEK_MAX);
            return sought.map_err(|error| retriable(doing(), error));
        }
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, *partition, from)
            .and_then(|()| self.consumer.assign(&list))
            .map_err(|error| fatal(doing(), error))
    }

    /// Reads from `position` until `end`, or until the end of the partition as its leader sees it
    /// at that moment. Returns the position that it reached. Fails if nothing arrives for
    /// [`READ_MAX`].
    fn read(&self, mut position: i64, end: i64) -> Result<i64, Stopped> {
        let reporter = &self.reporter;
        let (mut copier, mut records, mut at_end) = (Copier::default(), Vec::new(), false);
        let mut heard = Instant::now();
        while !at_end && position < end {
            let wait = if records.is_empty() { READ_WAIT } else { Duration::ZERO };
            let polled = self.consumer.poll(wait);
            let mut is_idle = polled.is_none();
            match polled {
                None => {}
                Some(Ok(message)) => {
                    fault::point("during-restore");
                    // A record behind `end` was written later. The task need not know it yet, but
                    // it does no harm.
                    position = message.offset() + 1;
                    records.push(copier.record(&message));
                }
                Some(Err(KafkaError::PartitionEOF(_))) => at_end = true,
                // One of several brokers is down, or its name can't be resolved: the client
                // continues with the others.
                Some(Err(error)) if is_transient(&error) => is_idle = true,
                Some(Err(error)) if is_unreadable(&error) => {
                    let (partition, cause) = (self.changelog.clone(), error.into());
                    reporter.send(Found::Records(std::mem::take(&mut records)))?;
                    let offset = position;
                    reporter.send_error(LogError::Unreadable { partition, offset, cause })?;
                }
                Some(Err(error)) => {
                    reporter.send_error(consumption(&self.changelog.to_string(), error))?;
                }
            }
            let has_nothing = is_idle && records.is_empty();
            if is_idle || at_end || position >= end || records.len() >= CHUNK_MAX {
                reporter.check_reader()?;
                reporter.send(Found::Records(std::mem::take(&mut records)))?;
                reporter.progress.set_position(position);
            }
            if !has_nothing {
                // Sending may have waited for the worker, which does not count.
                heard = Instant::now();
            } else if heard.elapsed() >= self.read_max {
                let doing = format!("reading {} back from offset {position}", self.changelog);
                let cause =
                    format!("neither a record nor the end within {:?}, up to {end}", self.read_max);
                reporter.send_error(fatal(doing, cause))?;
            }
        }
        Ok(self.followed_position().map_or(position, |next| position.max(next)))
    }

    /// The client's position, which moves past transaction markers too; `None` if it is unknown.
    fn followed_position(&self) -> Option<i64> {
        let TopicPartition { topic, partition } = &self.changelog;
        let list = self.consumer.position().ok()?;
        match list.find_partition(topic, *partition)?.offset() {
            Offset::Offset(next) => Some(next),
            _ => None,
        }
    }
}

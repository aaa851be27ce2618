//! Reads what a task starts from: committed offsets, the changelog, the watermarks of the inputs.
//! It commits nothing.
//!
//! A thread of its own makes the requests, because each of them may have to wait: a transaction is
//! pending, a partition has no leader, a broker does not answer. The worker only polls for results,
//! so a task that is being restored delays no other task.
//!
//! The steps, in this order:
//!
//! 1. **Committed offsets** of the inputs, as stable. They come first: then the changelog holds at
//!    least what these offsets cover. The group member's own client asks for them, so they come
//!    from the coordinator that has assigned the task. On Apache Kafka, a broker that is cut off
//!    from the others answers a client apart from the group, with old offsets that agree with its
//!    old changelog; but it can't assign a task.
//! 2. **The changelog's high watermark**, read uncommitted. Everything below it must be read.
//! 3. **The last stable offset reaches that watermark.** Before that, a pending transaction hides
//!    records, and the end of the readable part would look like the end of the changelog. If the
//!    high watermark itself stays before that of step 2 for 30 s, records are lost, and the smaller
//!    one takes its place. Every 30 s of waiting for a transaction are reported.
//! 4. **The changelog**, read committed, up to the watermark.
//! 5. **The leader's metadata and last stable offset, again.** After a change of leader, the end of
//!    step 2 may be too low: a new leader does not know yet how far the log is committed, and a
//!    deposed one does not know what was written since. A larger end leads back to step 3. A
//!    smaller one is retried for 30 s, and then means that records are lost.
//! 6. **The watermarks of the inputs.** The engine compares them with the restored offsets.
//! 7. **The high watermarks of the watched partitions.** The engine decides no follow-up at once
//!    before it has read these partitions up to there.
//!
//! - `channel`: what the thread sends to the worker
//! - `thread`: the steps; `end`: where the changelog ends

mod channel;
mod end;
#[cfg(test)]
mod tests;
mod thread;

use std::{
    sync::{Arc, Weak, mpsc},
    time::Duration,
};

use rdkafka::consumer::BaseConsumer;

use crate::{
    client::{Standalone, fatal},
    group::GroupContext,
    log::{LogError, Record, Restore, Start, TopicPartition},
};
use channel::{Found, Progress, Reporter};
use thread::{BEHIND_MAX, READ_MAX, RestoreThread};

/// The number of chunks of records that may wait until the worker takes them.
const CHUNKS_MAX: usize = 4;

/// The partitions that a restore reads.
pub(crate) struct Restored<'a> {
    pub(crate) changelog: &'a TopicPartition,
    pub(crate) inputs: &'a [TopicPartition],
    pub(crate) watched: &'a [TopicPartition],
}

/// The worker's end of a restore: hands over what the thread has read.
pub(crate) struct RestoreReader {
    changelog: TopicPartition,
    found: mpsc::Receiver<Result<Found, LogError>>,
    progress: Arc<Progress>,
    /// Set when everything is read; every later poll returns it again.
    start: Option<Start>,
}

impl RestoreReader {
    /// Starts the thread. `member` is the client of the group's member, `consumer` reads committed
    /// records, and `watermark_client` sees uncommitted ones too.
    pub(crate) fn begin(
        member: Weak<BaseConsumer<GroupContext>>,
        consumer: BaseConsumer<Standalone>,
        watermark_client: Arc<BaseConsumer>,
        group: &str,
        Restored { changelog, inputs, watched }: Restored<'_>,
    ) -> Result<Self, LogError> {
        let (sender, found) = mpsc::sync_channel(CHUNKS_MAX);
        let progress = Arc::<Progress>::default();
        let restore = RestoreThread {
            member,
            consumer,
            watermark_client,
            group: group.to_owned(),
            changelog: changelog.clone(),
            inputs: inputs.to_vec(),
            watched: watched.to_vec(),
            reporter: Reporter::new(sender, progress.clone()),
            behind_max: BEHIND_MAX,
            read_max: READ_MAX,
        };
        // The thread ends after its request when this reader is dropped.
        let run = move || {
            restore.run().ok();
        };
        std::thread::Builder::new()
            .name("restore".to_owned())
            .spawn(run)
            .map_err(|error| fatal(format!("reading {changelog} back"), error))?;
        Ok(Self { changelog: changelog.clone(), found, progress, start: None })
    }
}

impl Restore for RestoreReader {
    fn poll(
        &mut self,
        timeout: Duration,
        max: usize,
        out: &mut Vec<Record>,
    ) -> Result<Option<Start>, LogError> {
        let (before, mut wait) = (out.len(), timeout);
        while self.start.is_none() && out.len() - before < max {
            match self.found.recv_timeout(wait) {
                Ok(Ok(Found::Records(records))) => out.extend(records),
                Ok(Ok(Found::Complete(start))) => self.start = Some(start),
                Ok(Err(error)) => return Err(error),
                Err(mpsc::RecvTimeoutError::Timeout) => break,
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let doing = format!("reading {} back", self.changelog);
                    return Err(fatal(doing, "its thread has ended"));
                }
            }
            wait = Duration::ZERO;
        }
        Ok(self.start.clone())
    }

    fn progress(&self) -> (i64, i64) {
        (self.progress.position(), self.progress.end())
    }
}

//! The end of the changelog, as its leaders state it. It reads no record.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};

use super::{channel::Stopped, thread::RestoreThread};
use crate::{
    client::{REQUEST_MAX, request, retriable, watermarks},
    log::TopicPartition,
};

/// How many times a restore that waits for the last stable offset asks for the high watermark
/// before it concludes that records are lost.
const BEHIND_CHECKS: u32 = 30;
/// The time after which a restore reports that it waits for a transaction, again and again. Brokers
/// abort a transaction earlier, up to 20 s after it began.
const PENDING_REPORT: Duration = Duration::from_secs(30);

impl RestoreThread {
    /// Waits until the last stable offset is not before `end`, and returns `end`.
    ///
    /// It never is if the log has lost its end. So if the high watermark stays before `end`,
    /// records are lost, and the smaller high watermark takes the place of `end`: what is left
    /// below it must be stable too before it is read.
    pub(super) fn stable_end(&self, mut end: i64) -> Result<i64, Stopped> {
        let reporter = &self.reporter;
        let doing = || format!("waiting until {} can be read to its end", self.changelog);
        let (mut checked, mut reported) = (Instant::now(), Instant::now());
        // Since when the high watermark is before `end`.
        let mut behind: Option<Instant> = None;
        loop {
            let stable = reporter.retry(|| watermarks(&self.consumer, &self.changelog))?.1;
            if stable >= end {
                return Ok(end);
            }
            if checked.elapsed() >= self.behind_max / BEHIND_CHECKS {
                checked = Instant::now();
                let high = self.stated(&*self.watermark_client)?;
                match behind {
                    _ if high >= end => behind = None,
                    Some(since) if checked.duration_since(since) >= self.behind_max => {
                        self.lose_end(high, end);
                        (end, behind) = (high, None);
                        continue;
                    }
                    since => {
                        behind = since.or(Some(checked));
                        let cause = format!(
                            "its leader states the end {high}, an earlier one stated {end}"
                        );
                        reporter.send_error(retriable(doing(), cause))?;
                    }
                }
            }
            if reported.elapsed() >= PENDING_REPORT {
                reported = Instant::now();
                let cause = format!("a transaction is pending at offset {stable}, before {end}");
                reporter.send_error(retriable(doing(), cause))?;
            }
            reporter.pause()?;
        }
    }

    /// The end of the changelog that its current leader states to `client`: the last stable offset,
    /// or the high watermark.
    fn stated<C: ConsumerContext>(&self, client: &BaseConsumer<C>) -> Result<i64, Stopped> {
        let TopicPartition { topic, .. } = &self.changelog;
        self.reporter.retry(|| {
            // The metadata first: it names the leader that answers the next request.
            let metadata = client.fetch_metadata(Some(topic), REQUEST_MAX);
            metadata.map_err(|error| request(self.asking_again(), error))?;
            Ok(watermarks(client, &self.changelog)?.1)
        })
    }

    fn asking_again(&self) -> String {
        format!("asking for the end of {} again", self.changelog)
    }

    /// Records in the log that the changelog ends at `stated`, where it ended at `before` once.
    fn lose_end(&self, stated: i64, before: i64) {
        tracing::error!(
            place = %self.changelog,
            stated,
            before,
            "the log's end has moved back: records are lost"
        );
        self.reporter.progress.set_end(stated);
    }

    /// Requests the last stable offset from the changelog's current leader until it is not before
    /// `end`. Returns `None` if it stays before `end`: then records are lost. Records behind the
    /// last stable offset belong to a transaction of a former owner, which can't commit any more.
    pub(super) fn stated_end(&self, end: i64) -> Result<Option<i64>, Stopped> {
        let (reporter, since) = (&self.reporter, Instant::now());
        loop {
            let stated = self.stated(&self.consumer)?;
            if stated >= end {
                return Ok(Some(stated));
            }
            if since.elapsed() >= self.behind_max {
                self.lose_end(stated, end);
                reporter.progress.set_position(stated);
                return Ok(None);
            }
            let cause = format!("its leader states the end {stated}, an earlier one stated {end}");
            reporter.send_error(retriable(self.asking_again(), cause))?;
            reporter.pause()?;
        }
    }
}

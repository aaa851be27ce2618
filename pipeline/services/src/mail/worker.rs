//! The mail worker: a projection whose data is outside of any store. Its position is in MongoDB.
//!
//! It takes part in no transaction. The position moves only after the report is written, so a crash
//! may send the same mail again: with the same Message-ID, and the second report is the same
//! command, which changes nothing. A report that can't be written is retried without sending the
//! mail again, as long as the process lives.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use domain::notification::policy::SEND_MS;
use futures_util::future::{BoxFuture, join_all};
use projections::{
    Projection, StoreError,
    clock::now_ms,
    mongo::{Mongo, Recipients},
    projection::{Batch, PositionStore},
};
use redpanda::{
    log::{Headers, Record},
    writer::CommandWriter,
};
use schemas::{
    Codec, Message as _, Record as _, Schema, headers,
    notification::{Command, Event, MailRequested, RecordDelivery},
};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::mailer::{CONCURRENT_MAX, Mailer, Report};

/// The projection's name.
const NAME: &str = "mail";

/// The most records of a poll, if about every third requests a mail, as in a system that keeps up.
const POLL_MAX: usize = 3 * CONCURRENT_MAX;

/// A batch whose mails took longer shows that the server is slow. The next poll then has no more
/// records than mails that can be sent concurrently, even if each record requests one.
const SLOW: Duration = Duration::from_secs(5);

/// The most reports that are remembered until they are written. A poll that fails leaves at most
/// [`POLL_MAX`].
const UNWRITTEN_MAX: usize = 16 * POLL_MAX;

/// The deadline of writing a report to the log.
const REPORT_MAX: Duration = Duration::from_secs(10);

/// Sends requested mails and reports on them.
pub struct MailWorker {
    mailer: Mailer,
    mongo: Mongo,
    recipients: Recipients,
    writer: CommandWriter,
    /// Permits to send, over all partitions.
    sending: Semaphore,
    /// The most records of the next poll.
    poll_max: AtomicUsize,
    /// Reports that are not known to be written, by the command's id: their mails are not sent
    /// again.
    unwritten: Mutex<HashMap<Uuid, Report>>,
}

impl MailWorker {
    /// A worker that sends through `mailer` to the recipients in `mongo`, and reports to the log.
    pub fn new(mailer: Mailer, mongo: Mongo, writer: CommandWriter) -> Self {
        let recipients = Recipients::new(mongo.clone());
        let (sending, poll_max) =
            (Semaphore::new(CONCURRENT_MAX), AtomicUsize::new(CONCURRENT_MAX));
        Self { mailer, recipients, mongo, writer, sending, poll_max, unwritten: Mutex::default() }
    }

    fn unwritten(&self) -> MutexGuard<'_, HashMap<Uuid, Report>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the mail that a record requests, writes the report, and returns the report's id.
    async fn handle(
        &self,
        record: &Record,
        request: &MailRequested,
        codec: &Codec,
    ) -> Result<Uuid, StoreError> {
        // The id follows from the attempt: reported twice, it is one command.
        let name = format!("attempt {}", request.attempt);
        let id = Uuid::new_v5(&request.notification_id, name.as_bytes());
        let report = self.send_once(id, request).await?;
        self.report(id, record, request, report, codec).await?;
        Ok(id)
    }

    /// Sends a mail, unless this process has already sent it and not yet reported.
    async fn send_once(&self, id: Uuid, request: &MailRequested) -> Result<Report, StoreError> {
        let known = self.unwritten().get(&id).cloned();
        if let Some(report) = known {
            return Ok(report);
        }
        let recipient = self.recipients.find(request.user_id).await?;
        // The semaphore is never closed.
        let permit = self.sending.acquire().await;
        let report = self.mailer.send(request, recipient).await;
        drop(permit);
        let Report { delivered, detail } = &report;
        tracing::info!(
            notification.id = %request.notification_id,
            request.attempt,
            delivered,
            detail,
            "mail"
        );
        let mut unwritten = self.unwritten();
        // Those are of partitions that other members own by now.
        if unwritten.len() >= UNWRITTEN_MAX {
            unwritten.clear();
        }
        unwritten.insert(id, report.clone());
        Ok(report)
    }

    /// Writes a report as a command, which the record of the request has caused.
    async fn report(
        &self,
        id: Uuid,
        record: &Record,
        request: &MailRequested,
        report: Report,
        codec: &Codec,
    ) -> Result<(), StoreError> {
        let doing = "reporting on a mail";
        let MailRequested { notification_id, attempt, .. } = *request;
        let Report { delivered, detail } = report;
        let command = RecordDelivery { notification_id, attempt, delivered, detail };
        let mut value = Vec::new();
        Command::from(command)
            .encode(codec, &mut value)
            .map_err(|error| StoreError::failed(doing, error))?;
        let mut with = Headers::default();
        with.push(headers::ID, id.to_string());
        with.push(headers::TYPE, RecordDelivery::SCHEMA.name);
        with.push(headers::SOURCE, "/millrace/mail");
        with.push(headers::PRINCIPAL, "system");
        let cause = [
            (headers::CORRELATION_ID, headers::CORRELATION_ID),
            (headers::CAUSATION_ID, headers::ID),
            (headers::TRACE_PARENT, headers::TRACE_PARENT),
        ];
        for (name, of_record) in cause {
            if let Some(value) = record.headers.get(of_record) {
                with.push(name, value);
            }
        }
        let key = notification_id.to_string();
        let written =
            self.writer.write("notification.commands", &key, value.into(), &with, REPORT_MAX).await;
        written.map(drop).map_err(|error| StoreError::failed(doing, error))
    }

    /// Checks that the claim of a batch is still the newest. A mail can't be taken back, so this is
    /// checked before it is sent, not only when the position moves.
    async fn check_claim(&self, batch: &Batch<'_>) -> Result<(), StoreError> {
        let current = self.mongo.current_claim(NAME, batch.partition).await?;
        match current == Some(batch.claim) {
            true => Ok(()),
            false => Err(StoreError::Lost { position: format!("{NAME} {}", batch.partition) }),
        }
    }
}

impl Projection for MailWorker {
    fn name(&self) -> &'static str {
        NAME
    }

    fn topics(&self) -> &'static [&'static str] {
        &["notification.events"]
    }

    fn schemas(&self) -> Vec<&'static Schema> {
        [Event::schemas(), Command::schemas()].concat()
    }

    fn positions(&self) -> &dyn PositionStore {
        &self.mongo
    }

    fn records_max(&self) -> usize {
        self.poll_max.load(Ordering::Relaxed)
    }

    /// Without a position it starts at the end: a worker that is switched on late sends no mail
    /// about the past.
    fn start(&self, _beginning: i64, end: i64) -> i64 {
        end
    }

    fn erase(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        let why = "mail that was sent can't be taken back";
        Box::pin(async move { Err(StoreError::failed("erasing mail", why)) })
    }

    fn apply<'a>(
        &'a self,
        batch: &'a Batch<'a>,
        codec: &'a Codec,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let (now_ms, begun) = (now_ms(), Instant::now());
            let request = |record: &'a Record| Some((record, request(record, now_ms, codec)?));
            let requests: Vec<(&Record, MailRequested)> =
                batch.records.iter().filter_map(request).collect();
            let mut reported = Vec::with_capacity(requests.len());
            for round in requests.chunks(CONCURRENT_MAX) {
                self.check_claim(batch).await?;
                // Waits for all of them: one whose report fails must not cancel the others
                // half-way.
                let handled = round.iter().map(|(record, it)| self.handle(record, it, codec));
                let handled = join_all(handled).await.into_iter();
                reported.extend(handled.collect::<Result<Vec<_>, _>>()?);
            }
            let poll_max = next_poll(batch.records.len(), requests.len(), begun.elapsed());
            self.poll_max.store(poll_max, Ordering::Relaxed);
            self.mongo.advance(NAME, batch).await?;
            self.unwritten().retain(|id, _| !reported.contains(id));
            Ok(())
        })
    }
}

/// The most records of the next poll, after a batch of `records` that requested `requests` mails
/// and took this long: as many as are expected to request [`CONCURRENT_MAX`] mails. A turn then
/// takes at most the deadlines of one mail and its report, less than the minute after which the
/// thread counts as stuck. It takes longer only if suddenly more records request a mail and the
/// server becomes slow in the same turn.
pub(super) fn next_poll(records: usize, requests: usize, took: Duration) -> usize {
    match took > SLOW {
        true => CONCURRENT_MAX,
        false => (CONCURRENT_MAX * records / requests.max(1)).clamp(CONCURRENT_MAX, POLL_MAX),
    }
}

/// The mail that a record asks for. `None` also if the request is so old that the mail counts as
/// failed, or soon will.
pub(super) fn request(record: &Record, now_ms: i64, codec: &Codec) -> Option<MailRequested> {
    // A record that can't be read asks for no mail; the other projections report it.
    let Ok(Event::MailRequested(request)) = Event::decode(codec, record.value.as_ref()?) else {
        return None;
    };
    if record.timestamp_ms < now_ms - SEND_MS {
        let MailRequested { notification_id, attempt, .. } = request;
        tracing::warn!(
            notification.id = %notification_id,
            attempt,
            "the mail is too old to be sent"
        );
        return None;
    }
    Some(request)
}

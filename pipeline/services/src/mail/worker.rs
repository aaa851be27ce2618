//! The mail worker: a projection whose data is outside of any store. Its position is in MongoDB.
//!
//! It takes part in no transaction. The position moves only after the report is written, so a crash
//! may send the same mail again: with the same Message-ID, and the second report is the same
//! command, which changes nothing. A report that can't be written is retried without sending the
//! mail again, as long as the process lives.

use std::time::{Duration, Instant};

use domain::notification::policy::SEND_MS;
use futures_util::{
    StreamExt as _,
    future::{BoxFuture, join},
    stream::FuturesOrdered,
};
use jiff::Timestamp;
use projections::{
    Projection, StoreError,
    clock::now_ms,
    mongo::{Mongo, Recipients},
    projection::{Batch, Claim, PositionStore},
};
use redpanda::{
    log::{Headers, Record},
    writer::CommandWriter,
};
use schemas::{
    Codec, Message as _, Record as _, Schema, headers,
    notification::{Command, Event, MailRequested, RecordDelivery},
};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use uuid::Uuid;

use super::{
    mailer::{Mailer, Report},
    sending::Sending,
    unwritten::Unwritten,
};

/// The projection's name.
const NAME: &str = "mail";

/// The most records of a poll. About every third requests a mail.
const POLL_MAX: usize = 1_000;

/// How long a turn begins to send mails. It ends after the deadlines of the last mail and of its
/// report, less than the minute after which the thread counts as stuck.
const TURN: Duration = Duration::from_secs(5);

/// The most reports that are remembered. A turn uses at most [`POLL_MAX`], so the others are of
/// earlier turns: of partitions that wait, or that other members own by now.
const UNWRITTEN_MAX: usize = 4 * POLL_MAX;

/// The deadline of writing a report to the log.
const REPORT_MAX: Duration = Duration::from_secs(10);

/// Sends requested mails and reports on them.
pub struct MailWorker {
    mailer: Mailer,
    mongo: Mongo,
    recipients: Recipients,
    writer: CommandWriter,
    sending: Sending,
    /// Reports that are not known to be written: their mails are not sent again.
    unwritten: Unwritten,
}

impl MailWorker {
    /// A worker that sends through `mailer` to the recipients in `mongo`, and reports to the log.
    pub fn new(mailer: Mailer, mongo: Mongo, writer: CommandWriter) -> Self {
        let recipients = Recipients::new(mongo.clone());
        let (sending, unwritten) = (Sending::default(), Unwritten::new(UNWRITTEN_MAX));
        Self { mailer, recipients, mongo, writer, sending, unwritten }
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
        if let Some(report) = self.unwritten.find(id) {
            return Ok(report);
        }
        let recipient = self.recipients.find(request.user_id).await?;
        let report = self.mailer.send(request, recipient).await;
        let Report { delivered, detail } = &report;
        tracing::info!(
            notification.id = %request.notification_id,
            request.attempt,
            delivered,
            detail,
            "mail"
        );
        self.unwritten.insert(id, report.clone());
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

    /// Sends the mails of a batch until the turn ends, as many at once as `concurrent_max`. Says in
    /// `reported`, in their order, where the position may go and which report is written. Returns
    /// the position behind what is handled. An error comes only after what had begun has ended.
    async fn handle_all(
        &self,
        batch: &Batch<'_>,
        concurrent_max: usize,
        reported: UnboundedSender<(i64, Uuid)>,
        codec: &Codec,
    ) -> Result<i64, StoreError> {
        let (now_ms, begun) = (now_ms(), Instant::now());
        let request = |record| Some((record, request(record, now_ms, codec)?));
        let mut requests = batch.records.iter().filter_map(request);
        let mut handled = FuturesOrdered::new();
        let (mut left, mut failed) = (None, None);
        loop {
            let goes_on = left.is_none() && failed.is_none() && !reported.is_closed();
            while goes_on && handled.len() < concurrent_max {
                let Some((record, request)) = requests.next() else { break };
                if begun.elapsed() > TURN {
                    left = Some(record.offset);
                    break;
                }
                handled.push_back(async move {
                    (record.offset, self.handle(record, &request, codec).await)
                });
            }
            let Some((offset, result)) = handled.next().await else { break };
            match result {
                // Nobody receives it after the position could not move.
                Ok(report) if failed.is_none() => drop(reported.send((offset + 1, report))),
                // The report is remembered: its mail is not sent again.
                Ok(_) => {}
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(left.unwrap_or(batch.to)), Err)
    }

    /// Moves the position of a batch behind mails that are reported, and forgets their reports.
    /// Returns the claim with the position as it is in the store.
    async fn follow(
        &self,
        batch: &Batch<'_>,
        mut reports: UnboundedReceiver<(i64, Uuid)>,
    ) -> Result<Claim, StoreError> {
        let (mut claim, mut done) = (batch.claim, Vec::new());
        while reports.recv_many(&mut done, POLL_MAX).await > 0 {
            let to = done.last().map_or(batch.begin, |(to, _)| *to);
            self.mongo.advance(NAME, &Batch { claim, to, ..*batch }).await?;
            claim.next = Some(to);
            done.drain(..).for_each(|(_, report)| self.unwritten.remove(report));
        }
        Ok(claim)
    }

    /// Checks that the claim of a batch is still the newest. A mail can't be taken back, so this is
    /// checked before the first is sent, and then whenever the position moves.
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
        POLL_MAX
    }

    /// Without a position it starts at the end: if MongoDB has lost the position, the mails of the
    /// last hours are in the log, and would be sent again.
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
    ) -> BoxFuture<'a, Result<i64, StoreError>> {
        Box::pin(async move {
            let sending = self.sending.begin();
            self.check_claim(batch).await?;
            // By now the other partitions of this turn have begun too.
            let concurrent_max = sending.share();
            // It holds at most the reports of this batch. Both ends are polled all the time: a mail
            // that stopped in the middle of a read would keep its connection from the other.
            let (reported, reports) = mpsc::unbounded_channel();
            let handled = self.handle_all(batch, concurrent_max, reported, codec);
            let (handled, claim) = join(handled, self.follow(batch, reports)).await;
            let (to, claim) = (handled?, claim?);
            self.mongo.advance(NAME, &Batch { claim, to, ..*batch }).await?;
            Ok(to)
        })
    }
}

/// The mail that a record asks for. `None` also if the request is so old that the mail counts as
/// failed, or soon will. That counts from the time of the decision, which may be long before the
/// record's own: a service that was down decides its backlog at the times of its inputs.
pub(super) fn request(record: &Record, now_ms: i64, codec: &Codec) -> Option<MailRequested> {
    // A record that can't be read asks for no mail; the other projections report it.
    let Ok(Event::MailRequested(request)) = Event::decode(codec, record.value.as_ref()?) else {
        return None;
    };
    let decided = record.headers.text(headers::TIME).and_then(|time| time.parse().ok());
    let decided_ms = decided.map_or(record.timestamp_ms, Timestamp::as_millisecond);
    if decided_ms.min(record.timestamp_ms) < now_ms - SEND_MS {
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

//! The mail worker: sends what notifications ask for, and reports back with a command.
//!
//! It stands outside of every transaction. The position moves only after the report is written, so a crash may send
//! the same mail again: it has the same Message-ID, and the second report is the same command, which changes nothing.

use std::time::Duration;

use anyhow::Context;
use futures_util::future::BoxFuture;
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
};
use projections::{
    Projection, StoreError,
    mongo::{Mongo, Recipients},
    projection::{Batch, Claim},
    views::Recipient,
};
use redpanda::{
    log::{Headers, TopicPartition},
    writer::CommandWriter,
};
use schemas::{
    Codec, Message as _, headers,
    notification::{Command, Event, MailRequested, RecordDelivery},
};
use uuid::Uuid;

/// How long a mail server may take over one mail.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long the log may take for a report.
const REPORT: Duration = Duration::from_secs(10);

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whether the server has taken the mail.
    pub delivered: bool,
    /// What it said, or why there was no attempt.
    pub detail: String,
}

/// Sends mail through one server.
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer {
    /// A mailer for the server at `url` (`smtp://` or `smtps://`, with user and password where it wants them).
    ///
    /// # Errors
    /// When the URL or the sender's address is malformed.
    pub fn new(url: &str, from: &str) -> anyhow::Result<Self> {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .context("MILLRACE_SMTP_URL: expected smtp://host:port or smtps://user:password@host")?
            .timeout(Some(TIMEOUT))
            .build();
        let from = from.parse().context("MILLRACE_MAIL_FROM: expected an address, like Name <name@host>")?;
        Ok(Self { transport, from })
    }

    /// Tries once. Never fails: what went wrong is the report, and timers decide whether to try again.
    pub async fn send(&self, request: &MailRequested, recipient: Option<Recipient>) -> Report {
        let failed = |detail: String| Report { delivered: false, detail };
        let Some(recipient) = recipient else {
            return failed("the recipient's address is not known yet".to_owned());
        };
        let address = match recipient.email.parse() {
            Ok(address) => address,
            Err(error) => return failed(format!("the recipient's address can't be used: {error}")),
        };
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(Some(recipient.name), address))
            .subject(&request.title)
            .message_id(Some(format!("<{}>", request.message_id)))
            .header(ContentType::TEXT_PLAIN)
            .body(request.body.clone());
        let message = match message {
            Ok(message) => message,
            Err(error) => return failed(format!("the mail can't be written: {error}")),
        };
        match self.transport.send(message).await {
            Ok(response) => {
                Report { delivered: true, detail: response.message().collect::<Vec<_>>().join(" ") }
            }
            Err(error) => failed(error.to_string()),
        }
    }
}

/// The worker: a projection whose store is the world outside.
pub struct MailWorker {
    mailer: Mailer,
    mongo: Mongo,
    recipients: Recipients,
    writer: CommandWriter,
}

impl MailWorker {
    /// Sends by `mailer` to the recipients that are known in `mongo`, and reports to the log.
    pub fn new(mailer: Mailer, mongo: Mongo, writer: CommandWriter) -> Self {
        Self { mailer, recipients: Recipients::new(mongo.clone()), mongo, writer }
    }

    async fn attend(&self, request: &MailRequested, codec: &Codec) -> Result<(), StoreError> {
        let recipient = self.recipients.find(request.user_id).await?;
        let Report { delivered, detail } = self.mailer.send(request, recipient).await;
        let notification_id = request.notification_id;
        tracing::info!(notification.id = %notification_id, request.attempt, delivered, detail, "mail");
        let report = RecordDelivery { notification_id, attempt: request.attempt, delivered, detail };
        let failed = |why: String| StoreError::Failed { doing: "reporting on a mail", why };
        let mut value = Vec::new();
        Command::from(report).encode(codec, &mut value).map_err(|error| failed(error.to_string()))?;
        // The same attempt is the same command, however often it is reported on.
        let id = Uuid::new_v5(&notification_id, format!("attempt {}", request.attempt).as_bytes());
        let mut about = Headers::default();
        about.push(headers::ID, id.to_string());
        about.push(headers::TYPE, <RecordDelivery as schemas::Record>::SCHEMA.name);
        about.push(headers::SOURCE, "/millrace/mail");
        about.push(headers::PRINCIPAL, "system");
        let key = notification_id.to_string();
        let written = self.writer.write("notification.commands", &key, value.into(), &about, REPORT).await;
        written.map(drop).map_err(|error| failed(error.to_string()))
    }
}

impl Projection for MailWorker {
    fn name(&self) -> &'static str {
        "mail"
    }

    fn topics(&self) -> &'static [&'static str] {
        &["notification.events"]
    }

    /// Without a position, what is past stays unsent: whoever switches mail on late must not mail everybody.
    fn start(&self, _beginning: i64, end: i64) -> i64 {
        end
    }

    fn claim<'a>(&'a self, place: &'a TopicPartition) -> BoxFuture<'a, Result<Claim, StoreError>> {
        Box::pin(self.mongo.claim(self.name(), place))
    }

    fn held<'a>(&'a self, place: &'a TopicPartition) -> BoxFuture<'a, Result<Option<Claim>, StoreError>> {
        Box::pin(self.mongo.held(self.name(), place))
    }

    fn bury<'a>(&'a self, batch: &'a Batch<'a>, why: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.mongo.bury(self.name(), batch, why))
    }

    fn erase(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        let why = "mail that was sent can't be taken back".to_owned();
        Box::pin(async { Err(StoreError::Failed { doing: "erasing mail", why }) })
    }

    fn apply<'a>(&'a self, batch: &'a Batch<'a>, codec: &'a Codec) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            for record in batch.records {
                let Some(value) = &record.value else { continue };
                // What can't be read asks for no mail that could be sent; the other projections tell of it.
                if let Ok(Event::MailRequested(request)) = Event::decode(codec, value) {
                    self.attend(&request, codec).await?;
                }
            }
            self.mongo.advance(self.name(), batch).await
        })
    }
}

//! The mail worker: sends what notifications ask for, and reports back with a command.
//!
//! It stands outside of every transaction. The position moves only after the report is written, so
//! a crash may send the same mail again: it has the same Message-ID, and the second report is the
//! same command, which changes nothing. A report that can't be written is tried again without
//! sending again, as long as the process lives.
//!
//! What a mail server says is never kept or logged, as servers echo addresses; only its status
//! codes are.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context;
use futures_util::future::{BoxFuture, join_all};
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp::{
        self, PoolConfig,
        client::{Certificate, CertificateStore, Tls as TlsMode, TlsParameters},
    },
};
use projections::{
    Projection, StoreError,
    mongo::{Mongo, Recipients},
    projection::{Batch, Claim},
    views::Recipient,
};
use redpanda::{
    log::{Headers, TopicPartition},
    tls::Tls,
    writer::CommandWriter,
};
use schemas::{
    Codec, Message as _, headers,
    notification::{Command, Event, MailRequested, RecordDelivery},
};
use tokio::time::timeout;
use url::Url;
use uuid::Uuid;

/// How long a mail server may take over one answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long it may take over one mail.
const MAIL_MAX: Duration = Duration::from_secs(30);

/// So many records are taken at once. Their mails, about one for three records, are sent beside
/// each other, then the position moves. A batch takes at most [`MAIL_MAX`] and [`REPORT`], far less
/// than the five minutes after which the group takes a silent member's partitions away. Mail
/// servers commonly take 50 connections from one client.
const BATCH_MAX: usize = 48;

/// Reports that are remembered until they are written. A batch that fails leaves at most
/// [`BATCH_MAX`].
const UNWRITTEN_MAX: usize = 16 * BATCH_MAX;

/// How long the log may take for a report.
const REPORT: Duration = Duration::from_secs(10);

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whether the server has taken the mail.
    pub delivered: bool,
    /// Its status codes, or why there was no attempt. Never holds anything personal.
    pub detail: String,
}

/// Sends mail through one server.
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer {
    /// A mailer for the server at `url` (`smtp://` or `smtps://`, with user and password where it
    /// wants them). TLS connections trust whom `tls` trusts.
    ///
    /// # Errors
    /// When the URL or the sender's address is malformed.
    pub fn new(url: &str, from: &str, tls: &Tls) -> anyhow::Result<Self> {
        let expected = "MILLRACE_SMTP_URL: expected smtp://host:port, smtp://host:port?tls=required or \
                        smtps://user:password@host";
        let mut transport =
            AsyncSmtpTransport::<Tokio1Executor>::from_url(url).context(expected)?;
        if let Some(pem) = tls.ca_pem() {
            transport = transport.tls(encryption(&Url::parse(url).context(expected)?, pem)?);
        }
        let transport = transport
            .timeout(Some(TIMEOUT))
            // As many connections are kept for the next batch as a batch may use.
            .pool_config(PoolConfig::new().max_size(BATCH_MAX as u32))
            .build();
        let from = from
            .parse()
            .context("MILLRACE_MAIL_FROM: expected an address, like Name <name@host>")?;
        Ok(Self { transport, from })
    }

    /// Tries once. Never fails: what went wrong is the report, and timers decide whether to try
    /// again.
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
        match timeout(MAIL_MAX, self.transport.send(message)).await {
            Ok(Ok(response)) => {
                let code = response.code().to_string();
                let said = response.first_line().unwrap_or_default();
                Report { delivered: true, detail: with_enhanced_code(&code, said) }
            }
            Ok(Err(error)) => failed(without_text(&error)),
            Err(_) => failed(format!("the mail server took longer than {} s", MAIL_MAX.as_secs())),
        }
    }
}

/// When the connection that `url` asks for is encrypted, and that it trusts the authorities in
/// `pem` alone.
fn encryption(url: &Url, pem: &[u8]) -> anyhow::Result<TlsMode> {
    let mode = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, mode)| mode.into_owned());
    let wrap: fn(TlsParameters) -> TlsMode = match (url.scheme(), mode.as_deref()) {
        ("smtps", _) => TlsMode::Wrapper,
        (_, Some("required")) => TlsMode::Required,
        (_, Some("opportunistic")) => TlsMode::Opportunistic,
        _ => return Ok(TlsMode::None),
    };
    let authorities = Certificate::from_pem(pem).context("MILLRACE_CA_FILE")?;
    let parameters = TlsParameters::builder(url.host_str().unwrap_or_default().to_owned())
        .certificate_store(CertificateStore::None)
        .add_root_certificate(authorities);
    Ok(wrap(parameters.build_rustls().context("MILLRACE_CA_FILE")?))
}

/// What went wrong, without the words of the server.
fn without_text(error: &smtp::Error) -> String {
    let source = std::error::Error::source(error);
    match error.status() {
        Some(code) => {
            let said = source.map(ToString::to_string).unwrap_or_default();
            format!("the mail server refused it: {}", with_enhanced_code(&code.to_string(), &said))
        }
        None if error.is_timeout() => "the mail server did not answer in time".to_owned(),
        None if error.is_response() => {
            "the answer of the mail server can't be understood".to_owned()
        }
        None if error.is_tls() => "no secure connection to the mail server".to_owned(),
        None if error.is_client() => "the mail server lacks what this mail needs".to_owned(),
        None => match source.and_then(|source| source.downcast_ref::<std::io::Error>()) {
            Some(error) => format!("no connection to the mail server: {}", error.kind()),
            None => "no connection to the mail server".to_owned(),
        },
    }
}

/// A status code, with the enhanced one (RFC 3463, such as `5.1.1`) if the text begins with one.
fn with_enhanced_code(code: &str, text: &str) -> String {
    let first = text.split_ascii_whitespace().next().unwrap_or_default();
    let digits = |part: &str| {
        (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    match first.split('.').count() == 3 && first.split('.').all(digits) {
        true => format!("{code} {first}"),
        false => code.to_owned(),
    }
}

/// The worker: a projection whose store is the world outside.
pub struct MailWorker {
    mailer: Mailer,
    mongo: Mongo,
    recipients: Recipients,
    writer: CommandWriter,
    /// What came of mails whose reports are not known to be written, by the report's id: those are
    /// not sent again.
    unwritten: Mutex<HashMap<Uuid, Report>>,
}

impl MailWorker {
    /// Sends by `mailer` to the recipients that are known in `mongo`, and reports to the log.
    pub fn new(mailer: Mailer, mongo: Mongo, writer: CommandWriter) -> Self {
        let recipients = Recipients::new(mongo.clone());
        Self { mailer, recipients, mongo, writer, unwritten: Mutex::default() }
    }

    fn unwritten(&self) -> MutexGuard<'_, HashMap<Uuid, Report>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a mail unless this process has, and gives back the id of its report.
    async fn attend(&self, request: &MailRequested, codec: &Codec) -> Result<Uuid, StoreError> {
        let notification_id = request.notification_id;
        // The same attempt is the same command, however often it is reported on.
        let id = Uuid::new_v5(&notification_id, format!("attempt {}", request.attempt).as_bytes());
        let known = self.unwritten().get(&id).cloned();
        let report = match known {
            Some(report) => report,
            None => {
                let recipient = self.recipients.find(request.user_id).await?;
                let report = self.mailer.send(request, recipient).await;
                let Report { delivered, detail } = &report;
                tracing::info!(notification.id = %notification_id, request.attempt, delivered, detail, "mail");
                let mut unwritten = self.unwritten();
                // Left by partitions that others have by now.
                if unwritten.len() >= UNWRITTEN_MAX {
                    unwritten.clear();
                }
                unwritten.insert(id, report.clone());
                report
            }
        };
        let Report { delivered, detail } = report;
        let report =
            RecordDelivery { notification_id, attempt: request.attempt, delivered, detail };
        let failed = |why: String| StoreError::Failed { doing: "reporting on a mail", why };
        let mut value = Vec::new();
        Command::from(report)
            .encode(codec, &mut value)
            .map_err(|error| failed(error.to_string()))?;
        let mut about = Headers::default();
        about.push(headers::ID, id.to_string());
        about.push(headers::TYPE, <RecordDelivery as schemas::Record>::SCHEMA.name);
        about.push(headers::SOURCE, "/millrace/mail");
        about.push(headers::PRINCIPAL, "system");
        let key = notification_id.to_string();
        let written =
            self.writer.write("notification.commands", &key, value.into(), &about, REPORT).await;
        written.map(|_| id).map_err(|error| failed(error.to_string()))
    }

    /// Whether the partition is still this owner's. A mail can't be taken back, so this is asked
    /// before it is sent and not only when the position moves.
    async fn owns(&self, batch: &Batch<'_>) -> Result<(), StoreError> {
        let held = self.mongo.held(self.name(), batch.place).await?;
        match held == Some(Claim { epoch: batch.epoch, next: batch.from }) {
            true => Ok(()),
            false => Err(StoreError::Lost { position: format!("{} {}", self.name(), batch.place) }),
        }
    }
}

impl Projection for MailWorker {
    fn name(&self) -> &'static str {
        "mail"
    }

    fn topics(&self) -> &'static [&'static str] {
        &["notification.events"]
    }

    fn records_max(&self) -> usize {
        BATCH_MAX
    }

    /// Without a position, what is past stays unsent: whoever switches mail on late must not mail
    /// everybody.
    fn start(&self, _beginning: i64, end: i64) -> i64 {
        end
    }

    fn claim<'a>(&'a self, place: &'a TopicPartition) -> BoxFuture<'a, Result<Claim, StoreError>> {
        Box::pin(self.mongo.claim(self.name(), place))
    }

    fn held<'a>(
        &'a self,
        place: &'a TopicPartition,
    ) -> BoxFuture<'a, Result<Option<Claim>, StoreError>> {
        Box::pin(self.mongo.held(self.name(), place))
    }

    fn bury<'a>(
        &'a self,
        batch: &'a Batch<'a>,
        why: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.mongo.bury(self.name(), batch, why))
    }

    fn erase(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        let why = "mail that was sent can't be taken back".to_owned();
        Box::pin(async { Err(StoreError::Failed { doing: "erasing mail", why }) })
    }

    fn apply<'a>(
        &'a self,
        batch: &'a Batch<'a>,
        codec: &'a Codec,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let requests: Vec<MailRequested> = batch
                .records
                .iter()
                .filter_map(|record| {
                    // What can't be read asks for no mail that could be sent; the other projections
                    // tell of it.
                    match Event::decode(codec, record.value.as_ref()?) {
                        Ok(Event::MailRequested(request)) => Some(request),
                        _ => None,
                    }
                })
                .collect();
            if !requests.is_empty() {
                self.owns(batch).await?;
            }
            // All are waited for: one whose report fails must not cut the others off in the middle.
            let reported =
                join_all(requests.iter().map(|request| self.attend(request, codec))).await;
            let reported = reported.into_iter().collect::<Result<Vec<_>, _>>()?;
            self.mongo.advance(self.name(), batch).await?;
            self.unwritten().retain(|id, _| !reported.contains(id));
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use redpanda::tls::TlsSettings;
    use tokio::{
        io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
        net::TcpListener,
    };
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// A mail server that answers RCPT with `refusal`, or takes everything. Returns its URL.
    async fn server(refusal: &'static str, taken: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("smtp://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await?;
            converse(stream, refusal, taken, Duration::ZERO).await
        });
        url
    }

    /// The server's side of one connection; it takes `delay` over each mail.
    async fn converse(
        stream: impl AsyncRead + AsyncWrite + Unpin,
        refusal: &str,
        taken: &str,
        delay: Duration,
    ) -> std::io::Result<()> {
        let (from, mut to) = tokio::io::split(stream);
        let mut lines = BufReader::new(from).lines();
        to.write_all(b"220 here\r\n").await?;
        let mut in_body = false;
        while let Some(line) = lines.next_line().await? {
            let answer = match line.as_str() {
                "." => {
                    tokio::time::sleep(delay).await;
                    taken
                }
                _ if in_body => continue,
                "DATA" => "354 go on",
                line if line.starts_with("RCPT") => refusal,
                _ => "250 fine",
            };
            in_body = line == "DATA" || in_body && line != ".";
            to.write_all(format!("{answer}\r\n").as_bytes()).await?;
        }
        Ok(())
    }

    /// A mail server that takes a second over each mail.
    async fn slow_server() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("smtp://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, "250 fine", "250 taken", Duration::from_secs(1)));
            }
        });
        url
    }

    #[tokio::test]
    async fn mails_of_a_whole_batch_are_sent_beside_each_other() {
        let url = slow_server().await;
        let mailer = Mailer::new(&url, "Millrace <no-reply@millrace.invalid>", &Tls::default())
            .expect("a mailer");
        let begun = std::time::Instant::now();
        let reports = join_all((0..BATCH_MAX).map(|_| send_by(&mailer))).await;
        assert!(reports.iter().all(|report| report.delivered), "{reports:?}");
        // One after the other they would take as many seconds as there are mails.
        assert!(
            begun.elapsed() < Duration::from_secs(BATCH_MAX as u64 / 4),
            "{:?}",
            begun.elapsed()
        );
    }

    /// A mail server that takes everything over TLS. Returns its URL, and whom to trust for it.
    async fn encrypted_server() -> (String, Tls) {
        let made =
            rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .expect("a certificate");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("smtps://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await?;
            converse(acceptor.accept(stream).await?, "250 fine", "250 taken", Duration::ZERO).await
        });
        (url, trusting(&made.cert.pem()))
    }

    fn trusting(pem: &str) -> Tls {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), pem).expect("written");
        TlsSettings { ca_file: Some(file.path().to_owned()), ..TlsSettings::default() }
            .load()
            .expect("PEM")
    }

    #[tokio::test]
    async fn mail_goes_over_tls_to_a_server_of_the_trusted_authority_alone() {
        let (url, tls) = encrypted_server().await;
        let report = send_trusting(&url, &tls).await;
        assert!(report.delivered, "{report:?}");

        let (url, _) = encrypted_server().await;
        let report = send_trusting(&url, &tls).await;
        assert!(!report.delivered && report.detail.starts_with("no "), "{report:?}");
    }

    async fn send(url: &str) -> Report {
        send_trusting(url, &Tls::default()).await
    }

    async fn send_trusting(url: &str, tls: &Tls) -> Report {
        send_by(&Mailer::new(url, "Millrace <no-reply@millrace.invalid>", tls).expect("a mailer"))
            .await
    }

    async fn send_by(mailer: &Mailer) -> Report {
        let request = MailRequested {
            notification_id: Uuid::from_u128(1),
            user_id: Uuid::from_u128(2),
            attempt: 1,
            message_id: "m@example.org".to_owned(),
            title: "Confirmed".to_owned(),
            body: "Your order is confirmed.".to_owned(),
        };
        let recipient = Recipient { email: "ada@example.org".to_owned(), name: "Ada".to_owned() };
        mailer.send(&request, Some(recipient)).await
    }

    #[tokio::test]
    async fn refusal_that_echoes_the_address_is_reported_by_its_codes_alone() {
        let url = server("550 5.1.1 <ada@example.org>: no user ada here", "250 taken").await;
        let report = send(&url).await;
        let detail = "the mail server refused it: 550 5.1.1".to_owned();
        assert_eq!(report, Report { delivered: false, detail });
    }

    #[tokio::test]
    async fn acceptance_that_echoes_the_address_is_reported_by_its_codes_alone() {
        let url = server("250 fine", "250 2.0.0 queued for ada=example.org@relay").await;
        assert_eq!(send(&url).await, Report { delivered: true, detail: "250 2.0.0".to_owned() });
    }

    #[tokio::test]
    async fn answer_that_is_no_smtp_is_not_quoted() {
        let url = server("ada@example.org", "250 taken").await;
        let report = send(&url).await;
        assert!(!report.delivered && !report.detail.contains("ada"), "{report:?}");
    }

    #[tokio::test]
    async fn server_that_is_away_is_named_by_the_kind_of_failure() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("smtp://{}", listener.local_addr().expect("an address"));
        drop(listener);
        let report = send(&url).await;
        assert!(report.detail.starts_with("no connection to the mail server"), "{report:?}");
    }
}

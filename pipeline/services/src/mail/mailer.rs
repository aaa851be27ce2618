//! Sends one mail through one server, and says how the attempt ended. It never retries: timers of
//! the notification decide that.
//!
//! **Each mail has a connection of its own.** A mail that is not accepted in time is dropped in the
//! middle of its dialogue, so the server still owes a reply on that connection. If the connection
//! were used again, every reply on it would be taken for the answer to a later command, and mails
//! would count as accepted before the server has decided on them. lettre's pool does use such a
//! connection again, so that feature is off.

use std::time::Duration;

use anyhow::Context;
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp::{
        client::{Certificate, CertificateStore, Tls as TlsMode, TlsParameters},
        response::Severity,
    },
};
use projections::views::Recipient;
use redpanda::tls::Tls;
use schemas::notification::MailRequested;
use tokio::time::timeout;
use url::Url;

use super::reply::{with_enhanced_code, without_text};

/// The deadline of a TCP connection to one address of the mail server.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// The deadline of one mail as a whole, from the connection to its end. Nothing else bounds the
/// wait for a reply.
const MAIL_MAX: Duration = Duration::from_secs(30);
/// The most mails that are sent concurrently. Mail servers commonly accept 50 connections from one
/// client.
pub(super) const CONCURRENT_MAX: usize = 48;

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whether the server has accepted the mail.
    pub delivered: bool,
    /// The server's status codes, or why there was no attempt. Never holds anything personal.
    pub detail: String,
}

/// Sends mail through one server.
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    /// [`MAIL_MAX`], but for tests.
    pub(super) mail_max: Duration,
}

impl Mailer {
    /// A mailer for the server at `url`: `smtp://` or `smtps://`, with user and password if the
    /// server expects them. TLS connections trust the authorities of `tls`.
    ///
    /// # Errors
    /// When the URL or the sender's address is malformed.
    pub fn new(url: &str, from: &str, tls: &Tls) -> anyhow::Result<Self> {
        let expected = "MILLRACE_SMTP_URL: expected smtp://host:port, \
                        smtp://host:port?tls=required or smtps://user:password@host";
        let mut transport =
            AsyncSmtpTransport::<Tokio1Executor>::from_url(url).context(expected)?;
        if let Some(pem) = tls.ca_pem() {
            transport = transport.tls(tls_mode(&Url::parse(url).context(expected)?, pem)?);
        }
        let transport = transport.timeout(Some(CONNECT_MAX)).build();
        let from = from
            .parse()
            .context("MILLRACE_MAIL_FROM: expected an address, like Name <name@host>")?;
        Ok(Self { transport, from, mail_max: MAIL_MAX })
    }

    /// Makes one attempt. A failure is a report too.
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
        match timeout(self.mail_max, self.transport.send(message)).await {
            Ok(Ok(response)) => {
                let code = response.code();
                let text = response.first_line().unwrap_or_default();
                let detail = with_enhanced_code(&code.to_string(), text);
                match code.severity {
                    Severity::PositiveCompletion => Report { delivered: true, detail },
                    // lettre returns replies that ask for more, such as 354, as well.
                    _ => failed(format!("the mail server did not accept it: {detail}")),
                }
            }
            Ok(Err(error)) => failed(without_text(&error)),
            Err(_) => {
                failed(format!("the mail server took longer than {} s", self.mail_max.as_secs()))
            }
        }
    }
}

/// When a connection to `url` is encrypted. It trusts only the authorities in `pem`.
fn tls_mode(url: &Url, pem: &[u8]) -> anyhow::Result<TlsMode> {
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

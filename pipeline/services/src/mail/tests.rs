//! Tests of the mailer against scripted mail servers, and of the age of requests.

use std::{
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use domain::notification::policy::SEND_MS;
use futures_util::future::join_all;
use projections::views::Recipient;
use redpanda::{
    log::{Headers, Record},
    tls::{Tls, TlsSettings},
};
use schemas::{
    Codec, Message as _, headers,
    notification::{Event, MailRequested},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::TcpListener,
    sync::Notify,
};
use tokio_rustls::TlsAcceptor;
use uuid::Uuid;

use super::{
    mailer::{CONCURRENT_MAX, Mailer, Report},
    sending::Sending,
    worker::request,
};

/// A mail server that answers RCPT with `recipient` and a mail with `taken`. Returns its URL.
async fn server(recipient: &'static str, taken: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("smtp://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await?;
        converse(stream, recipient, || ready(taken)).await
    });
    url
}

/// The server's side of one connection. It answers RCPT with `recipient`, and each mail with what
/// `taken` returns.
async fn converse<F: Future<Output = &'static str>>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    recipient: &str,
    taken: impl Fn() -> F,
) -> std::io::Result<()> {
    let (from, mut to) = tokio::io::split(stream);
    let mut lines = BufReader::new(from).lines();
    to.write_all(b"220 here\r\n").await?;
    let mut in_body = false;
    while let Some(line) = lines.next_line().await? {
        let answer = match line.as_str() {
            "." => taken().await,
            _ if in_body => continue,
            "DATA" => "354 go on",
            line if line.starts_with("RCPT") => recipient,
            _ => "250 fine",
        };
        in_body = line == "DATA" || in_body && line != ".";
        to.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
    Ok(())
}

/// A mail server that answers each mail after a second.
async fn slow_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("smtp://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, "250 fine", || async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                "250 taken"
            }));
        }
    });
    url
}

/// What a test and a server that answers its first mail late tell each other.
#[derive(Default)]
struct Late {
    mails: AtomicUsize,
    /// The answer to the first mail is due.
    due: Notify,
    /// It is about to be written.
    given: Notify,
}

impl Late {
    /// Accepts the first mail when the answer is due, and refuses all others.
    async fn answer(&self) -> &'static str {
        if self.mails.fetch_add(1, Ordering::Relaxed) > 0 {
            return "554 5.7.1 not this one";
        }
        self.due.notified().await;
        self.given.notify_one();
        "250 2.0.0 queued"
    }

    /// Starts the server. Returns its URL.
    async fn serve(self: Arc<Self>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("smtp://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let late = self.clone();
                tokio::spawn(async move { converse(stream, "250 fine", || late.answer()).await });
            }
        });
        url
    }
}

#[tokio::test]
async fn late_answer_to_a_mail_is_not_taken_for_the_answer_to_the_next_one() {
    let late = Arc::new(Late::default());
    let url = late.clone().serve().await;
    let mut mailer = Mailer::new(&url, "Millrace <no-reply@millrace.invalid>", &Tls::default())
        .expect("a mailer");
    mailer.mail_max = Duration::from_secs(2);
    let report = send_by(&mailer).await;
    let detail = "the mail server took longer than 2 s".to_owned();
    assert_eq!(report, Report { delivered: false, detail });

    // when the server accepts the first mail, and refuses the next one
    late.due.notify_one();
    late.given.notified().await;
    let report = send_by(&mailer).await;
    let detail = "the mail server refused it: 554 5.7.1".to_owned();
    assert_eq!(report, Report { delivered: false, detail });
}

#[tokio::test]
async fn answer_that_asks_for_more_accepts_no_mail() {
    let url = server("250 fine", "354 go on").await;
    let detail = "the mail server did not accept it: 354".to_owned();
    assert_eq!(send(&url).await, Report { delivered: false, detail });
}

#[tokio::test]
async fn mails_of_a_whole_batch_are_sent_concurrently() {
    let url = slow_server().await;
    let mailer = Mailer::new(&url, "Millrace <no-reply@millrace.invalid>", &Tls::default())
        .expect("a mailer");
    let begun = Instant::now();
    let reports = join_all((0..CONCURRENT_MAX).map(|_| send_by(&mailer))).await;
    assert!(reports.iter().all(|report| report.delivered), "{reports:?}");
    // Sent one after another they would take as many seconds as there are mails.
    assert!(
        begun.elapsed() < Duration::from_secs(CONCURRENT_MAX as u64 / 4),
        "{:?}",
        begun.elapsed()
    );
}

/// A mail server with TLS that accepts every mail. Returns its URL, and settings that trust it.
async fn encrypted_server() -> (String, Tls) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
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
        converse(acceptor.accept(stream).await?, "250 fine", || ready("250 taken")).await
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
async fn mail_is_sent_over_tls_only_to_a_server_of_the_trusted_authority() {
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
    send_by(&Mailer::new(url, "Millrace <no-reply@millrace.invalid>", tls).expect("a mailer")).await
}

fn asked() -> MailRequested {
    MailRequested {
        notification_id: Uuid::from_u128(1),
        user_id: Uuid::from_u128(2),
        attempt: 1,
        message_id: "m@example.org".to_owned(),
        title: "Confirmed".to_owned(),
        body: "Your order is confirmed.".to_owned(),
    }
}

async fn send_by(mailer: &Mailer) -> Report {
    let recipient = Recipient { email: "ada@example.org".to_owned(), name: "Ada".to_owned() };
    mailer.send(&asked(), Some(recipient)).await
}

#[tokio::test]
async fn refusal_that_echoes_the_address_is_reported_without_its_text() {
    let url = server("550 5.1.1 <ada@example.org>: no user ada here", "250 taken").await;
    let report = send(&url).await;
    let detail = "the mail server refused it: 550 5.1.1".to_owned();
    assert_eq!(report, Report { delivered: false, detail });
}

#[tokio::test]
async fn acceptance_that_echoes_the_address_is_reported_without_its_text() {
    let url = server("250 fine", "250 2.0.0 queued for ada=example.org@relay").await;
    assert_eq!(send(&url).await, Report { delivered: true, detail: "250 2.0.0".to_owned() });
}

#[tokio::test]
async fn answer_that_is_not_smtp_is_reported_without_its_text() {
    let url = server("ada@example.org", "250 taken").await;
    let report = send(&url).await;
    assert!(!report.delivered && !report.detail.contains("ada"), "{report:?}");
}

#[tokio::test]
async fn unreachable_server_is_reported_by_the_kind_of_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("smtp://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let report = send(&url).await;
    assert!(report.detail.starts_with("no connection to the mail server"), "{report:?}");
}

#[test]
fn mail_is_sent_late_but_not_after_it_has_failed() {
    let (codec, mut value) = (Codec::local(), Vec::new());
    Event::from(asked()).encode(&codec, &mut value).expect("an event");
    let mut record = Record {
        topic: "notification.events".into(),
        partition: 0,
        offset: 7,
        timestamp_ms: 1_000,
        key: None,
        value: Some(value.into()),
        headers: Headers::default(),
    };
    assert_eq!(request(&record, 1_000 + SEND_MS, &codec), Some(asked()));
    assert_eq!(request(&record, 1_001 + SEND_MS, &codec), None);
    // A record that was written long after its decision.
    record.headers.push(headers::TIME, "1970-01-01T00:00:00.5Z");
    assert_eq!(request(&record, 500 + SEND_MS, &codec), Some(asked()));
    assert_eq!(request(&record, 501 + SEND_MS, &codec), None);
}

#[test]
fn partitions_share_the_connections_of_an_instance() {
    let sending = Sending::default();
    let first = sending.begin();
    assert_eq!(first.share(), CONCURRENT_MAX);
    let others: Vec<_> = (0..3).map(|_| sending.begin()).collect();
    assert_eq!(first.share(), CONCURRENT_MAX / 4);
    drop(others);
    assert_eq!(first.share(), CONCURRENT_MAX);
    let many: Vec<_> = (0..CONCURRENT_MAX).map(|_| sending.begin()).collect();
    assert_eq!(many[0].share(), 1, "each partition can always send");
}

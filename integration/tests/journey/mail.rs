//! Mails: each is delivered once, under a stable Message-ID, and sent again if the server has
//! refused it. The server is part of this test, at the address that the stack gives the
//! notification service.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Judge, RECOVERY_MAX, Send, eventually, must, system, variable};

/// A mail that a client tried to deliver.
#[derive(Clone, Debug, Default)]
struct Mail {
    to: String,
    message_id: String,
    taken: bool,
}

#[derive(Clone, Default)]
struct Sink {
    tried: Arc<Mutex<Vec<Mail>>>,
}

impl Sink {
    /// Listens at the address to which the service sends. It refuses the first mail to each
    /// recipient temporarily.
    async fn open() -> Self {
        let address = variable("MILLRACE_SMTP_URL")
            .trim_start_matches("smtp://")
            .trim_end_matches('/')
            .to_owned();
        let listener = TcpListener::bind(&address).await.expect("the address is free");
        let sink = Self::default();
        let serving = sink.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sink = serving.clone();
                tokio::spawn(async move { sink.converse(stream).await });
            }
        });
        sink
    }

    fn to(&self, email: &str) -> Vec<Mail> {
        let tried = self.tried.lock().expect("the sink");
        tried.iter().filter(|mail| mail.to.contains(email)).cloned().collect()
    }

    async fn converse(&self, stream: TcpStream) -> std::io::Result<()> {
        let (reader, mut writer) = stream.into_split();
        let mut lines = BufReader::new(reader).lines();
        let mut mail = Mail::default();
        writer.write_all(b"220 sink\r\n").await?;
        while let Some(line) = lines.next_line().await? {
            let word = line.split(' ').next().unwrap_or_default().to_uppercase();
            let answer = match word.as_str() {
                "RCPT" => {
                    line.clone_into(&mut mail.to);
                    "250 fine"
                }
                "DATA" => {
                    writer.write_all(b"354 go on\r\n").await?;
                    while let Some(line) = lines.next_line().await? {
                        if line == "." {
                            break;
                        }
                        if let Some(id) = line.strip_prefix("Message-ID: ") {
                            id.clone_into(&mut mail.message_id);
                        }
                    }
                    let mut tried = self.tried.lock().expect("the sink");
                    mail.taken = tried.iter().any(|earlier| earlier.to == mail.to);
                    let answer = if mail.taken { "250 taken" } else { "451 not now" };
                    tried.push(std::mem::take(&mut mail));
                    answer
                }
                "QUIT" => return writer.write_all(b"221 bye\r\n").await,
                _ => "250 fine",
            };
            writer.write_all(format!("{answer}\r\n").as_bytes()).await?;
        }
        Ok(())
    }
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn every_notification_is_mailed_once_and_refused_mails_are_sent_again() {
    // Given a mail server that refuses the first mail to each recipient
    let sink = Sink::open().await;
    let system = system().await;
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 10).await;

    // When a user registers and orders
    let ada = system.user("Ada").await;
    let order = ada.order(&[(&sku, 1)]).await;

    // Then every notification is mailed in the end, and the user sees that it was
    let inbox = eventually("both are sent", RECOVERY_MAX, async || {
        let inbox = ada.client.get("/v1/notifications").answer().await;
        let items = inbox.expect_code(200)?.items().to_vec();
        must(
            items.iter().any(|one| one["order_id"].as_str() == Some(&order)),
            "no notification of the order",
        )?;
        must(
            items.len() >= 2 && items.iter().all(|one| one["mail"].as_str() == Some("sent")),
            &items,
        )?;
        Ok(items)
    })
    .await;

    // And each was accepted once, under one id, after any number of attempts
    let tried = sink.to(&ada.email);
    let taken: Vec<_> =
        tried.iter().filter(|mail| mail.taken).map(|mail| mail.message_id.as_str()).collect();
    let ids: BTreeSet<_> = tried.iter().map(|mail| mail.message_id.as_str()).collect();
    assert_eq!(inbox.len(), taken.len(), "{tried:?}");
    assert_eq!(inbox.len(), ids.len(), "{tried:?}");
    assert_eq!(inbox.len() + 1, tried.len(), "one was turned away: {tried:?}");
    assert!(!ids.contains(""), "{tried:?}");
}

//! Tests of connections against servers that refuse, or never answer.

use std::{
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use redpanda::tls::Tls;
use schemas::chain;
use secrecy::SecretString;

use super::pool::{CONNECT_MAX, Postgres};
use crate::{
    StoreError,
    deadline::{READ_MAX, WRITE_MAX},
};

/// Reads one message of the protocol, with its tag if it is `tagged`, and returns its content.
fn message(stream: &mut TcpStream, tagged: bool) -> io::Result<Vec<u8>> {
    let mut head = vec![0; if tagged { 5 } else { 4 }];
    stream.read_exact(&mut head)?;
    let length = head.last_chunk::<4>().map_or(4, |bytes| u32::from_be_bytes(*bytes));
    let mut content = vec![0; length as usize - 4];
    stream.read_exact(&mut content)?;
    Ok(content)
}

/// A server that accepts one password and then reports that it is starting. Returns its address.
fn server(password: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let answer = |mut stream: TcpStream| -> io::Result<()> {
            message(&mut stream, false)?;
            // AuthenticationCleartextPassword
            stream.write_all(b"R\0\0\0\x08\0\0\0\x03")?;
            let given = message(&mut stream, true)?;
            let (code, text) = match given.strip_suffix(b"\0") == Some(password.as_bytes()) {
                true => ("57P03", "the database system is starting up"),
                false => ("28P01", "password authentication failed for user \"millrace\""),
            };
            let fields = format!("SFATAL\0VFATAL\0C{code}\0M{text}\0\0");
            let length = u32::try_from(fields.len() + 4).expect("short").to_be_bytes();
            stream.write_all(&[&b"E"[..], &length, fields.as_bytes()].concat())
        };
        listener.incoming().for_each(|stream| drop(stream.and_then(answer)));
    });
    address.to_string()
}

#[tokio::test]
async fn password_of_any_characters_reaches_the_server_and_is_never_printed() {
    let password = "p@ss/wo:rd#?%41 'ä";
    let url = format!("postgres://millrace:other@{}/millrace", server("p@ss/wo:rd#?%41 'ä"));
    let secret = SecretString::from(password);
    let accepted = Postgres::with_password(&url, Some(&secret), &Tls::default(), 1).expect("a URL");

    let error = chain(&accepted.ping().await.expect_err("it is starting"));
    assert_eq!(
        error,
        "connecting to PostgreSQL: Error occurred while creating a new object: db error: \
         FATAL: the database system is starting up"
    );
    assert!(!format!("{secret:?}").contains(password));
}

/// A server that accepts every log-in, then reads and never answers. Counts its connections.
fn black_hole() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url =
        format!("postgres://millrace@{}/millrace", listener.local_addr().expect("an address"));
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            counted.fetch_add(1, Ordering::Relaxed);
            std::thread::spawn(move || -> io::Result<u64> {
                let mut stream = stream?;
                message(&mut stream, false)?;
                // AuthenticationOk and ReadyForQuery
                stream.write_all(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I")?;
                io::copy(&mut stream, &mut io::sink())
            });
        }
    });
    (url, connections)
}

#[tokio::test]
async fn connection_without_an_answer_is_closed_and_not_used_again() {
    let (url, connections) = black_hole();
    let postgres = Postgres::new(&url, 1).expect("a URL");
    for attempt in 1..=2 {
        let begun = Instant::now();

        let error = chain(&postgres.ping().await.expect_err("no answer"));

        assert_eq!(error, "asking PostgreSQL: no answer within 5 s");
        assert!(begun.elapsed() < READ_MAX + CONNECT_MAX, "{:?}", begun.elapsed());
        assert_eq!(connections.load(Ordering::Relaxed), attempt);
    }
}

#[tokio::test]
async fn migration_on_a_connection_without_an_answer_ends_soon_and_closes_it() {
    let (url, connections) = black_hole();
    let postgres = Postgres::new(&url, 1).expect("a URL");
    // With a connection in the pool, only the migration waits, and the clock may jump.
    drop(postgres.get().await.expect("a connection"));
    tokio::time::pause();
    let begun = tokio::time::Instant::now();

    let error = chain(&postgres.migrate().await.expect_err("no answer"));

    let elapsed = begun.elapsed();
    assert_eq!(error, "migrating the tables of PostgreSQL: no answer within 20 s");
    assert!(elapsed < WRITE_MAX + CONNECT_MAX, "{elapsed:?}");
    tokio::time::resume();
    drop(postgres.get().await.expect("a connection"));
    assert_eq!(connections.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn wrong_password_is_an_error_of_its_own_that_names_its_cause() {
    let url = format!("postgres://millrace:wrong@{}/millrace", server("right"));
    let error = Postgres::new(&url, 1).expect("a URL").ping().await.expect_err("refused");
    assert!(matches!(error, StoreError::Credentials { .. }), "{error}");
    let text = error.to_string();
    assert!(text.starts_with("PostgreSQL refuses the credentials: "), "{text}");
    assert!(
        text.ends_with("FATAL: password authentication failed for user \"millrace\""),
        "{text}"
    );
    assert!(!text.contains("wrong"), "{text}");
}

//! PostgreSQL: users, sessions, credentials and outcomes. Rows and position change in one
//! transaction.

mod credentials;
mod migrations;
mod outcomes;
mod position;
mod reads;
mod users;

use std::{
    borrow::Cow,
    str::FromStr,
    time::{Duration, Instant},
};

use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime,
};
use redpanda::tls::Tls;
use secrecy::{ExposeSecret as _, SecretString};
use tokio_postgres::{NoTls, config::SslMode, error::SqlState};
use tokio_postgres_rustls::MakeRustlsConnect;

pub use reads::{LoginRow, Reads, SessionRow, UserRow};

use crate::{
    StoreError,
    deadline::{self, READ_MAX, WRITE_MAX},
    error::chain,
    projection::{Projection, REMOVE_MAX},
    redis::Redis,
};

/// How long a connection, or a free one of the pool, is waited for.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// The server gives up a statement after this long.
const STATEMENT_MS_MAX: u32 = 10_000;
/// And ends a transaction in which nobody has said anything for so long: an owner that is paused,
/// or whose machine is gone, holds the rows of its positions, and whoever is to take over waits for
/// them.
const SILENT_MS_MAX: u32 = 10_000;
/// A connection on which nothing that was sent is acknowledged for so long is broken.
const SILENT_MAX: Duration = Duration::from_secs(10);

/// A pool of connections. Clones share it.
#[derive(Clone)]
pub struct Postgres {
    pool: Pool,
}

impl Postgres {
    /// A pool of up to `connections_max` connections to the server at `url`; connects when they are
    /// needed.
    ///
    /// # Errors
    /// When the URL is malformed.
    pub fn new(url: &str, connections_max: usize) -> Result<Self, StoreError> {
        Self::with_password(url, None, &Tls::default(), connections_max)
    }

    /// The same with this password and not that of the URL, in which some characters need an
    /// encoding. With `sslmode=require` in the URL, connections use `tls`.
    ///
    /// # Errors
    /// When the URL is malformed, or TLS can't be used.
    pub fn with_password(
        url: &str,
        password: Option<&SecretString>,
        tls: &Tls,
        connections_max: usize,
    ) -> Result<Self, StoreError> {
        let doing = "reading the URL of PostgreSQL";
        let mut config = tokio_postgres::Config::from_str(url)
            .map_err(|error| StoreError::failed(doing, error))?;
        if config.get_options().is_none() {
            config.options(format!(
                "-c statement_timeout={STATEMENT_MS_MAX} -c idle_in_transaction_session_timeout={SILENT_MS_MAX}"
            ));
        }
        if let Some(password) = password {
            config.password(password.expose_secret());
        }
        config.connect_timeout(CONNECT_MAX);
        // An idle connection whose other end is gone is found out too.
        config.keepalives_idle(SILENT_MAX).keepalives_interval(CONNECT_MAX).keepalives_retries(3);
        config.tcp_user_timeout(SILENT_MAX);
        config.application_name("millrace");
        let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = match config.get_ssl_mode() {
            SslMode::Require => {
                let rustls =
                    tls.client_config().map_err(|error| StoreError::failed(doing, error))?;
                Manager::from_config(config, MakeRustlsConnect::new(rustls), manager)
            }
            // `prefer` is the default, and would encrypt without having been asked to.
            _ => Manager::from_config(config, NoTls, manager),
        };
        let pool = Pool::builder(manager)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(CONNECT_MAX))
            .create_timeout(Some(CONNECT_MAX))
            .max_size(connections_max.max(1))
            .build()
            .map_err(|error| StoreError::failed("making a pool for PostgreSQL", error))?;
        Ok(Self { pool })
    }

    /// Brings the tables to this program's version. Idempotent; several instances may do it at
    /// once.
    ///
    /// # Errors
    /// When the server does not answer or refuses.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let migrating = async { migrations::run(&mut *self.get().await?).await };
        self.within(WRITE_MAX, "migrating the tables of PostgreSQL", migrating).await
    }

    /// Whether the server answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let doing = "asking PostgreSQL";
        let asking = async {
            self.get().await?.simple_query("SELECT 1").await.map_err(failed(doing))?;
            Ok(())
        };
        self.within(READ_MAX, doing, asking).await
    }

    /// Users and their sessions.
    pub(crate) fn users(&self) -> Box<dyn Projection> {
        Box::new(users::Users { postgres: self.clone() })
    }

    /// What passwords are checked against.
    pub(crate) fn credentials(&self) -> Box<dyn Projection> {
        Box::new(credentials::Credentials { postgres: self.clone() })
    }

    /// What became of commands; tells those who wait over `redis`.
    pub(crate) fn outcomes(&self, redis: &Redis) -> Box<dyn Projection> {
        Box::new(outcomes::Outcomes { postgres: self.clone(), redis: redis.clone() })
    }

    /// Runs a statement that removes rows: the older ones first, `$1` being when they ended at the
    /// latest and `$2` how many there may be. Returns how many those were.
    pub(crate) async fn remove(&self, sql: &str, before_ms: i64) -> Result<usize, StoreError> {
        let doing = "removing old rows";
        let removing = async {
            let client = self.get().await?;
            let statement = client.prepare_cached(sql).await.map_err(failed(doing))?;
            let max = i64::try_from(REMOVE_MAX).unwrap_or(i64::MAX);
            client.execute(&statement, &[&before_ms, &max]).await.map_err(failed(doing))
        };
        let removed = self.within(WRITE_MAX, doing, removing).await?;
        Ok(usize::try_from(removed).unwrap_or(usize::MAX))
    }

    /// Ends `work` after `at_most`. Then no connection of the pool is used again: what has
    /// swallowed one answer will swallow the next one too.
    pub(crate) async fn within<T>(
        &self,
        at_most: Duration,
        doing: &'static str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let begun = Instant::now();
        let done = deadline::within(at_most, doing, work).await;
        if done.is_err() && begun.elapsed() >= at_most {
            self.pool.retain(|_, _| false);
        }
        done
    }

    pub(crate) async fn get(&self) -> Result<Object, StoreError> {
        self.pool.get().await.map_err(|error| {
            let refused = match &error {
                PoolError::Backend(error) => error.code().is_some_and(is_about_credentials),
                _ => false,
            };
            match refused {
                true => StoreError::Credentials { store: "PostgreSQL", why: chain(&error) },
                false => StoreError::failed("connecting to PostgreSQL", error),
            }
        })
    }
}

/// Whether the server refuses the role or its password. It says the same about a role that a
/// starting server does not have yet, which the official image's health check excludes.
fn is_about_credentials(code: &SqlState) -> bool {
    [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION].contains(code)
}

/// The error of a statement. Of what the server says only the message is kept: its details may
/// quote a row.
pub(crate) fn failed(doing: &'static str) -> impl Fn(tokio_postgres::Error) -> StoreError {
    move |error| match error.as_db_error() {
        Some(said) => {
            let why = format!("{}: {} ({})", said.severity(), said.message(), said.code().code());
            match is_about_data(said.code()) {
                true => StoreError::Unstorable { doing, why },
                false => StoreError::Failed { doing, why },
            }
        }
        None => StoreError::failed(doing, error),
    }
}

/// Whether the server will refuse the same data again: a data exception, a violated constraint, or
/// a limit of the program (classes 22, 23 and 54).
fn is_about_data(code: &SqlState) -> bool {
    ["22", "23", "54"].iter().any(|class| code.code().starts_with(class))
}

/// Text as PostgreSQL can hold it: it has no character U+0000, so U+FFFD stands in its place.
pub(crate) fn storable(text: &str) -> Cow<'_, str> {
    match text.contains('\0') {
        true => Cow::Owned(text.replace('\0', "\u{fffd}")),
        false => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Read as _, Write as _},
        net::{TcpListener, TcpStream},
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use super::*;

    /// One message: its tag, where it has one, and its content.
    fn message(stream: &mut TcpStream, tagged: bool) -> io::Result<Vec<u8>> {
        let mut head = vec![0; if tagged { 5 } else { 4 }];
        stream.read_exact(&mut head)?;
        let length = head.last_chunk::<4>().map_or(4, |bytes| u32::from_be_bytes(*bytes));
        let mut content = vec![0; length as usize - 4];
        stream.read_exact(&mut content)?;
        Ok(content)
    }

    /// A server that accepts one password and answers no question. Returns its address.
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
    async fn password_of_any_characters_reaches_the_server_and_is_never_shown() {
        let password = "p@ss/wo:rd#?%41 'ä";
        let url = format!("postgres://millrace:other@{}/millrace", server("p@ss/wo:rd#?%41 'ä"));
        let secret = SecretString::from(password);
        let accepted =
            Postgres::with_password(&url, Some(&secret), &Tls::default(), 1).expect("a URL");

        let error = accepted.ping().await.expect_err("it is starting").to_string();
        assert_eq!(
            error,
            "connecting to PostgreSQL: Error occurred while creating a new object: db error: \
             FATAL: the database system is starting up"
        );
        assert!(!format!("{secret:?}").contains(password));
    }

    /// A server that lets everybody in, and then reads and never answers. Counts its connections.
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
    async fn connection_that_swallows_a_question_is_given_up_and_not_used_again() {
        let (url, connections) = black_hole();
        let postgres = Postgres::new(&url, 1).expect("a URL");
        for attempt in 1..=2 {
            let begun = Instant::now();

            let error = postgres.ping().await.expect_err("no answer").to_string();

            assert_eq!(error, "asking PostgreSQL: no answer within 5 s");
            assert!(begun.elapsed() < READ_MAX + CONNECT_MAX, "{:?}", begun.elapsed());
            assert_eq!(connections.load(Ordering::Relaxed), attempt);
        }
    }

    #[tokio::test]
    async fn wrong_password_is_told_apart_and_its_whole_cause_is_named() {
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
}

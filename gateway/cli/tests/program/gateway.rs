//! A gateway that answers what a test says, and remembers what it was asked. It knows no more of
//! HTTP than the program needs.

use std::{
    io::{BufRead as _, BufReader, Read, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
};

use rustls::{ServerConfig, ServerConnection, StreamOwned, pki_types::PrivatePkcs8KeyDer};
use serde_json::Value;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Without the query.
    pub(crate) path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Seen {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(header, _)| header == name);
        header.map(|(_, value)| value.as_str())
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(parameter, _)| *parameter == name).map(|(_, value)| value)
    }
}

/// An answer.
pub(crate) struct Reply {
    status: u16,
    headers: String,
    body: String,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, &body.to_string())
    }

    pub(crate) fn text(status: u16, body: &str) -> Self {
        Self { status, headers: String::new(), body: body.to_owned() }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self::text(status, "")
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }
}

/// The gateway. Its thread ends with the test's process.
pub(crate) struct Gateway {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Gateway {
    pub(crate) fn start(answer: impl Fn(&Seen) -> Reply + Send + 'static) -> Self {
        Self::serve(None, answer)
    }

    /// A gateway with TLS. Also returns its certificate, in PEM.
    pub(crate) fn start_tls(answer: impl Fn(&Seen) -> Reply + Send + 'static) -> (Self, String) {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("made");
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .expect("a certificate");
        (Self::serve(Some(Arc::new(config)), answer), made.cert.pem())
    }

    fn serve(
        tls: Option<Arc<ServerConfig>>,
        answer: impl Fn(&Seen) -> Reply + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().expect("bound"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let all = seen.clone();
        std::thread::spawn(move || {
            let answer = |request: Seen| {
                all.lock().expect("not poisoned").push(request.clone());
                answer(&request)
            };
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                match &tls {
                    Some(config) => {
                        let tls = ServerConnection::new(config.clone()).expect("a configuration");
                        let mut stream = StreamOwned::new(tls, stream);
                        converse(&mut stream, answer);
                        stream.conn.send_close_notify();
                        // A client that has refused the certificate has closed the connection.
                        drop(stream.flush());
                    }
                    None => converse(&mut stream, answer),
                }
            }
        });
        Self { url, seen }
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("not poisoned").clone()
    }

    /// The last request.
    pub(crate) fn last(&self) -> Seen {
        self.seen().pop().expect("a request")
    }
}

/// Answers the request of a connection, if there is one.
fn converse(stream: &mut (impl Read + Write), answer: impl FnOnce(Seen) -> Reply) {
    let Some(request) = read(stream) else { return };
    let Reply { status, headers, body } = answer(request);
    let length = match status {
        204 => String::new(),
        _ => format!("content-length: {}\r\n", body.len()),
    };
    let head = format!("HTTP/1.1 {status} Answer\r\nconnection: close\r\n");
    write!(stream, "{head}{headers}{length}\r\n{body}").expect("written");
}

fn read(stream: &mut impl Read) -> Option<Seen> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut words = first.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let mut seen =
        Seen { method, path: path.to_owned(), query: query.to_owned(), headers, body: Vec::new() };
    let length = seen.header("content-length").map_or(0, |it| it.parse().expect("a length"));
    seen.body.resize(length, 0);
    reader.read_exact(&mut seen.body).ok()?;
    Some(seen)
}

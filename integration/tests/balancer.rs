//! What the balancer's files promise, tried on a real nginx in front of gateways that misbehave:
//! commands are never sent twice, reads survive a gateway, the client's address comes from the
//! socket, streams are passed on at once, and load is answered with 503.

use std::net::TcpListener as StdListener;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

const TEMPLATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../gateway/nginx.conf.template");
const BOUNDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../gateway/nginx.main.conf");
/// A request that is the only one of its connection.
const REQUEST: &str =
    "GET /v1/products HTTP/1.1\r\nHost: millrace.example\r\nConnection: close\r\n\r\n";

/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a gateway of the test behaves.
#[derive(Clone, Copy)]
enum Manner {
    /// Answers with the request it got.
    Echo,
    /// Takes the request and hangs up without an answer, as one killed at that moment.
    HangUp,
    /// Sends the head and a first event, and never ends.
    Stream,
    /// Answers with the request it got, but not before the test lets it.
    Wait,
}

struct Gateway {
    address: String,
    requests: Arc<AtomicUsize>,
    /// Lets those answer that wait.
    go: watch::Sender<bool>,
}

impl Gateway {
    /// Waits until so many requests have come.
    async fn met(&self, requests: usize) {
        let met = async {
            while self.requests.load(Ordering::SeqCst) < requests {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, met).await.expect("the gateway gets the requests");
    }
}

async fn gateway(manner: Manner) -> Gateway {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = requests.clone();
    let (go, waiting) = watch::channel(false);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, manner, counter.clone(), waiting.clone()));
        }
    });
    Gateway { address, requests, go }
}

async fn answer(
    mut stream: TcpStream,
    manner: Manner,
    requests: Arc<AtomicUsize>,
    mut go: watch::Receiver<bool>,
) {
    let mut head = vec![0; 16 * 1024];
    let Ok(read) = stream.read(&mut head).await else { return };
    if read == 0 {
        return;
    }
    requests.fetch_add(1, Ordering::SeqCst);
    let seen = String::from_utf8_lossy(&head[..read]).into_owned();
    if matches!(manner, Manner::Wait) {
        // The test may have ended meanwhile.
        let _ = go.wait_for(|go| *go).await;
    }
    let text = match manner {
        Manner::HangUp => return,
        Manner::Echo | Manner::Wait => {
            format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{seen}",
                seen.len()
            )
        }
        Manner::Stream => {
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: first\n\n".to_owned()
        }
    };
    // The balancer may have left; that is its right.
    let _ = stream.write_all(text.as_bytes()).await;
    if matches!(manner, Manner::Stream) {
        std::future::pending::<()>().await;
    }
}

struct Balancer {
    nginx: Child,
    url: String,
    _dir: tempfile::TempDir,
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.nginx.id().to_string()).status();
        let _ = self.nginx.wait();
    }
}

async fn balancer(first: &str, second: &str) -> Balancer {
    bounded(first, second, &[]).await
}

/// A balancer with other bounds: each of these directives is in its files, and is replaced by the
/// next.
async fn bounded(first: &str, second: &str, bounds: &[(&str, &str)]) -> Balancer {
    let dir = tempfile::tempdir().expect("a folder");
    let listen = closed_port();
    let site = std::fs::read_to_string(TEMPLATE).expect("the template");
    let site = site
        .replace("${BALANCER_LISTEN}", &listen)
        .replace("${GATEWAY_0}", first)
        .replace("${GATEWAY_1}", second);
    let main = std::fs::read_to_string(BOUNDS).expect("the bounds");
    let (mut site, mut main) = (site, main);
    for (there, instead) in bounds {
        assert!(site.contains(there) || main.contains(there), "no file says {there}");
        (site, main) = (site.replace(there, instead), main.replace(there, instead));
    }
    let temp = |name: &str| format!("{name}_temp_path {}/{name};", dir.path().display());
    let temps = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(temp).join("\n");
    let main = format!(
        "daemon off; pid {dir}/pid; error_log stderr emerg; {main} http {{ access_log off; {temps} {site} }}",
        dir = dir.path().display()
    );
    let config = dir.path().join("nginx.conf");
    std::fs::write(&config, main).expect("a configuration");
    let nginx = Command::new("nginx")
        .args(["-e", "stderr", "-p"])
        .arg(dir.path())
        .arg("-c")
        .arg(&config)
        .spawn();
    let nginx = nginx.or_else(|_| {
        let debian = Path::new("/usr/sbin/nginx");
        Command::new(debian)
            .args(["-e", "stderr", "-p"])
            .arg(dir.path())
            .arg("-c")
            .arg(&config)
            .spawn()
    });
    let balancer =
        Balancer { nginx: nginx.expect("nginx"), url: format!("http://{listen}"), _dir: dir };
    while TcpStream::connect(&listen).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    balancer
}

/// An address at which nothing listens.
fn closed_port() -> String {
    let held = StdListener::bind("127.0.0.1:0").expect("a port");
    held.local_addr().expect("its address").to_string()
}

#[tokio::test]
#[ignore = "needs nginx: integration/test runs it"]
async fn a_command_that_may_have_been_taken_is_never_sent_again() {
    for method in [Method::POST, Method::PATCH, Method::PUT, Method::DELETE] {
        let (lost, well) = (gateway(Manner::HangUp).await, gateway(Manner::Echo).await);
        let balancer = balancer(&lost.address, &well.address).await;
        let mut failures = 0;
        for _ in 0..6 {
            let answer = Client::new()
                .request(method.clone(), format!("{}/v1/orders", balancer.url))
                .body("{}")
                .send();
            let answer = answer.await.expect("an answer");
            if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
                failures += 1;
                assert_eq!(
                    "application/problem+json",
                    answer.headers()["content-type"],
                    "{method}"
                );
            }
        }
        let sent = lost.requests.load(Ordering::SeqCst) + well.requests.load(Ordering::SeqCst);
        assert_eq!(6, sent, "{method}: each request reaches one gateway once");
        assert_eq!(
            lost.requests.load(Ordering::SeqCst),
            failures,
            "{method}: the lost ones are owned up to"
        );
        assert!(failures > 0, "{method}: the test met the gateway that hangs up");
    }
}

#[tokio::test]
#[ignore = "needs nginx: integration/test runs it"]
async fn a_read_is_tried_at_the_other_gateway() {
    let (lost, well) = (gateway(Manner::HangUp).await, gateway(Manner::Echo).await);
    let balancer = balancer(&lost.address, &well.address).await;
    for _ in 0..6 {
        let answer =
            reqwest::get(format!("{}/v1/products", balancer.url)).await.expect("an answer");
        assert_eq!(StatusCode::OK, answer.status());
    }
    assert!(lost.requests.load(Ordering::SeqCst) > 0, "the test met the gateway that hangs up");
}

#[tokio::test]
#[ignore = "needs nginx: integration/test runs it"]
async fn a_command_goes_to_the_other_gateway_when_one_can_not_be_reached() {
    let well = gateway(Manner::Echo).await;
    let balancer = balancer(&closed_port(), &well.address).await;
    for _ in 0..6 {
        let answer =
            Client::new().post(format!("{}/v1/orders", balancer.url)).body("{}").send().await;
        assert_eq!(StatusCode::OK, answer.expect("an answer").status());
    }
}

#[tokio::test]
#[ignore = "needs nginx: integration/test runs it"]
async fn the_clients_address_comes_from_the_socket() {
    let well = gateway(Manner::Echo).await;
    let balancer = balancer(&well.address, &well.address).await;
    let request = Client::new()
        .get(&balancer.url)
        .header("X-Forwarded-For", "8.8.8.8")
        .header("Forwarded", "for=8.8.8.8");
    let seen =
        request.send().await.expect("an answer").text().await.expect("a body").to_lowercase();
    assert!(seen.contains("x-forwarded-for: 127.0.0.1\r\n") && !seen.contains("8.8.8.8"), "{seen}");
}

#[tokio::test]
#[ignore = "needs nginx: integration/test runs it"]
async fn a_stream_is_passed_on_as_it_comes() {
    let streaming = gateway(Manner::Stream).await;
    let balancer = balancer(&streaming.address, &streaming.address).await;
    let mut answer = reqwest::get(format!("{}/v1/stream", balancer.url)).await.expect("a head");
    let first =
        tokio::time::timeout(Duration::from_secs(5), answer.chunk()).await.expect("no buffering");
    assert_eq!(Some(&b"data: first\n\n"[..]), first.expect("a chunk").as_deref());
}

/// A connection to the balancer from 127.0.0.`host`, with these bytes sent.
async fn sent(balancer: &Balancer, host: u8, request: &str) -> TcpStream {
    let address =
        balancer.url.strip_prefix("http://").expect("an address").parse().expect("an address");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, host], 0).into()).expect("a loopback address");
    let mut stream = socket.connect(address).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("sent");
    stream
}

/// All that comes until the end of the connection, which must not be cut.
async fn ended(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer));
    read.await.expect("an answer in time").expect("a whole answer");
    answer
}

/// The answer to these bytes, which end the connection.
async fn raw(balancer: &Balancer, request: &str) -> String {
    ended(sent(balancer, 1, request).await).await
}

#[track_caller]
fn assert_overloaded(answer: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert_problem("one too many", head, body, 503, "overloaded");
    assert!(head.contains("\r\nRetry-After: 2"), "{head}");
}

#[tokio::test]
#[ignore = "needs nginx: integration/test runs it"]
async fn requests_beyond_the_limit_get_503_and_those_within_it_go_on() {
    let waiting = gateway(Manner::Wait).await;
    let limits = [("limit_conn requests 512;", "limit_conn requests 8;")];
    let balancer = bounded(&waiting.address, &waiting.address, &limits).await;
    // Given as many requests in flight as there may be
    let mut held = Vec::new();
    for host in 1..=8 {
        held.push(sent(&balancer, host, REQUEST).await);
    }
    waiting.met(8).await;
    // When many more come at once, some of them with a large body
    let body = "x".repeat(60_000);
    let large = format!(
        "POST /v1/orders HTTP/1.1\r\nHost: millrace.example\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answers = (0..100).map(|number| {
        let (balancer, large) = (&balancer, large.as_str());
        async move {
            ended(sent(balancer, 100, if number % 4 == 0 { large } else { REQUEST }).await).await
        }
    });
    // Then each gets a whole answer, and no gateway hears of it
    for answer in futures_util::future::join_all(answers).await {
        assert_overloaded(&answer);
    }
    assert_eq!(8, waiting.requests.load(Ordering::SeqCst));
    // And those that were there first are answered, and so is the next one
    waiting.go.send_replace(true);
    for stream in held {
        assert!(ended(stream).await.starts_with("HTTP/1.1 200 "));
    }
    assert!(raw(&balancer, REQUEST).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
#[ignore = "needs nginx: integration/test runs it"]
async fn one_address_and_all_streams_leave_room_for_other_requests() {
    let (waiting, streaming) = (gateway(Manner::Wait).await, gateway(Manner::Stream).await);
    let limits = [
        ("limit_conn by_address 256;", "limit_conn by_address 2;"),
        ("limit_conn streams 1024;", "limit_conn streams 3;"),
    ];
    let stream = REQUEST.replace("/v1/products", "/v1/stream");

    let one = bounded(&waiting.address, &waiting.address, &limits).await;
    let held = [sent(&one, 1, REQUEST).await, sent(&one, 1, REQUEST).await];
    waiting.met(2).await;
    assert_overloaded(&raw(&one, REQUEST).await);
    assert_overloaded(&raw(&one, &stream).await);
    let other = sent(&one, 2, REQUEST).await;
    waiting.met(3).await;
    waiting.go.send_replace(true);
    for stream in held.into_iter().chain([other]) {
        assert!(ended(stream).await.starts_with("HTTP/1.1 200 "));
    }

    let all = bounded(&streaming.address, &streaming.address, &limits).await;
    let mut open = Vec::new();
    for host in 1..=3 {
        open.push(sent(&all, host, &stream).await);
    }
    streaming.met(3).await;
    assert_overloaded(&ended(sent(&all, 4, &stream).await).await);
    let _request = sent(&all, 5, REQUEST).await;
    streaming.met(4).await;
}

#[tokio::test]
#[ignore = "needs nginx: integration/test runs it"]
async fn without_a_connection_to_a_gateway_the_answer_is_503_and_not_500() {
    let well = gateway(Manner::Echo).await;
    let room = [("worker_connections 4000;", "worker_connections 32;")];
    let balancer = bounded(&well.address, &well.address, &room).await;
    // Given clients that take one connection after another and never end their requests
    let mut slow = Vec::new();
    let answer = loop {
        slow.push(sent(&balancer, 1, "GET /v1/products HTTP/1.1\r\nHost:").await);
        assert!(slow.len() < 100, "the test met the end of the connections");
        // When a request gets the last one, so that there is none to a gateway
        let answer = raw(&balancer, REQUEST).await;
        if !answer.starts_with("HTTP/1.1 200 ") {
            break answer;
        }
    };
    // Then it is told to come again
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert_problem("out of connections", head, body, 503, "unavailable");
    assert!(head.contains("\r\nRetry-After: 2"), "{head}");
}

/// The number in the one place where a text has it after `before`.
fn number(text: &str, before: &str) -> usize {
    let (_, after) = text.split_once(before).unwrap_or_else(|| panic!("nothing says {before}"));
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

#[test]
fn there_are_connections_for_all_that_the_limits_allow() {
    let (site, main) = (std::fs::read_to_string(TEMPLATE), std::fs::read_to_string(BOUNDS));
    let (site, main) = (site.expect("the template"), main.expect("the bounds"));
    let in_flight = number(&site, "limit_conn requests ") + number(&site, "limit_conn streams ");
    let connections = number(&main, "worker_connections ");
    // Two for each request, the idle ones to gateways, and an eighth for clients that are not
    // served yet
    let needed = 2 * in_flight + number(&site, "keepalive ") + connections / 8;
    assert!(connections >= needed, "{connections} connections, {needed} are needed");
    // Some files are no connections: sockets that listen, logs, the loop's own
    let files = number(&main, "worker_rlimit_nofile ");
    assert!(files >= connections + 64, "{files} files for {connections} connections");
    assert!(files <= 4096, "a machine may not allow {files} files");
}

#[tokio::test]
#[ignore = "needs nginx: integration/test runs it"]
async fn what_the_balancer_refuses_is_a_problem_as_the_gateway_writes_them() {
    let well = gateway(Manner::Echo).await;
    let balancer = balancer(&well.address, &well.address).await;
    let head = "HTTP/1.1\r\nHost: millrace.example\r\nConnection: close\r\n";
    let long = "x".repeat(9_000);
    for (request, status, code) in [
        (format!("TRACE / {head}\r\n"), 405, "method_not_allowed"),
        (format!("GET / {head}X-Long: {long}\r\n\r\n"), 431, "headers_too_large"),
        (format!("GET /{long} {head}\r\n"), 414, "uri_too_long"),
        (format!("GET /%zz {head}\r\n"), 400, "invalid_request"),
        (
            format!("POST /v1/orders {head}Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
            400,
            "invalid_request",
        ),
        (
            format!("PUT /v1/orders {head}Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
            400,
            "invalid_request",
        ),
        (format!("POST /v1/orders {head}Transfer-Encoding: gzip\r\n\r\n"), 501, "not_implemented"),
        (format!("POST /v1/orders {head}Content-Length: 70000\r\n\r\n"), 413, "too_large"),
        (format!("DELETE /v1/users/me {head}Content-Length: 70000\r\n\r\n"), 413, "too_large"),
        ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(), 400, "invalid_request"),
        ("GET / HTTP/3.0\r\nHost: millrace.example\r\n\r\n".to_owned(), 505, "http_version"),
        ("no request\r\n\r\n".to_owned(), 400, "invalid_request"),
        (format!("GET /.problem {head}\r\n"), 404, "not_found"),
    ] {
        let answer = raw(&balancer, &request).await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert_problem(&request, head, body, status, code);
        // Of what is refused here only TRACE reaches a known path with a method it does not take
        let allowed = head.lines().find_map(|line| line.strip_prefix("Allow: "));
        assert_eq!((status == 405).then_some("GET"), allowed, "{request}: {head}");
    }
    assert_eq!(0, well.requests.load(Ordering::SeqCst), "none of it reaches a gateway");

    let nobody = closed_port();
    let balancer = self::balancer(&nobody, &nobody).await;
    for method in ["GET", "POST", "DELETE"] {
        let answer = raw(&balancer, &format!("{method} /v1/orders {head}\r\n")).await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert_problem(method, head, body, 503, "unavailable");
        assert!(head.contains("\r\nRetry-After: 2"), "{method}: {head}");
    }
}

#[track_caller]
fn assert_problem(request: &str, head: &str, body: &str, status: u16, code: &str) {
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {head}");
    assert!(head.contains("\r\nContent-Type: application/problem+json\r\n"), "{request}: {head}");
    assert!(head.contains("\r\nCache-Control: no-store"), "{request}: {head}");
    let problem: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(status, problem["status"], "{request}: {problem}");
    assert_eq!(code, problem["code"], "{request}: {problem}");
    assert_eq!(format!("urn:millrace:problem:{code}"), problem["type"], "{request}: {problem}");
    assert!(problem["title"].is_string() && problem["detail"].is_string(), "{request}: {problem}");
}

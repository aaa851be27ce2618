//! What the balancer's template promises, tried on a real nginx in front of gateways that misbehave: commands are never sent twice, reads
//! survive a gateway, the client's address comes from the socket, streams are passed on at once.

use std::net::TcpListener as StdListener;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const TEMPLATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../gateway/nginx.conf.template");

/// How a gateway of the test behaves.
#[derive(Clone, Copy)]
enum Manner {
    /// Answers with the request it got.
    Echo,
    /// Takes the request and hangs up without an answer, as one killed at that moment.
    HangUp,
    /// Sends the head and a first event, and never ends.
    Stream,
}

struct Gateway {
    address: String,
    requests: Arc<AtomicUsize>,
}

async fn gateway(manner: Manner) -> Gateway {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = requests.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, manner, counter.clone()));
        }
    });
    Gateway { address, requests }
}

async fn answer(mut stream: TcpStream, manner: Manner, requests: Arc<AtomicUsize>) {
    let mut head = vec![0; 16 * 1024];
    let Ok(read) = stream.read(&mut head).await else { return };
    if read == 0 {
        return;
    }
    requests.fetch_add(1, Ordering::SeqCst);
    let seen = String::from_utf8_lossy(&head[..read]).into_owned();
    let text = match manner {
        Manner::HangUp => return,
        Manner::Echo => {
            format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{seen}", seen.len())
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
    let dir = tempfile::tempdir().expect("a folder");
    let listen = closed_port();
    let site = std::fs::read_to_string(TEMPLATE).expect("the template");
    let site = site
        .replace("${BALANCER_LISTEN}", &listen)
        .replace("${GATEWAY_0}", first)
        .replace("${GATEWAY_1}", second);
    let temp = |name: &str| format!("{name}_temp_path {}/{name};", dir.path().display());
    let temps = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(temp).join("\n");
    let main = format!(
        "daemon off; pid {dir}/pid; error_log stderr crit; events {{}} http {{ access_log off; {temps} {site} }}",
        dir = dir.path().display()
    );
    let config = dir.path().join("nginx.conf");
    std::fs::write(&config, main).expect("a configuration");
    let nginx =
        Command::new("nginx").args(["-e", "stderr", "-p"]).arg(dir.path()).arg("-c").arg(&config).spawn();
    let nginx = nginx.or_else(|_| {
        let debian = Path::new("/usr/sbin/nginx");
        Command::new(debian).args(["-e", "stderr", "-p"]).arg(dir.path()).arg("-c").arg(&config).spawn()
    });
    let balancer = Balancer { nginx: nginx.expect("nginx"), url: format!("http://{listen}"), _dir: dir };
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
                assert_eq!("application/problem+json", answer.headers()["content-type"], "{method}");
            }
        }
        let sent = lost.requests.load(Ordering::SeqCst) + well.requests.load(Ordering::SeqCst);
        assert_eq!(6, sent, "{method}: each request reaches one gateway once");
        assert_eq!(lost.requests.load(Ordering::SeqCst), failures, "{method}: the lost ones are owned up to");
        assert!(failures > 0, "{method}: the test met the gateway that hangs up");
    }
}

#[tokio::test]
#[ignore = "needs nginx: integration/test runs it"]
async fn a_read_is_tried_at_the_other_gateway() {
    let (lost, well) = (gateway(Manner::HangUp).await, gateway(Manner::Echo).await);
    let balancer = balancer(&lost.address, &well.address).await;
    for _ in 0..6 {
        let answer = reqwest::get(format!("{}/v1/products", balancer.url)).await.expect("an answer");
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
        let answer = Client::new().post(format!("{}/v1/orders", balancer.url)).body("{}").send().await;
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
    let seen = request.send().await.expect("an answer").text().await.expect("a body").to_lowercase();
    assert!(seen.contains("x-forwarded-for: 127.0.0.1\r\n") && !seen.contains("8.8.8.8"), "{seen}");
}

#[tokio::test]
#[ignore = "needs nginx: integration/test runs it"]
async fn a_stream_is_passed_on_as_it_comes() {
    let streaming = gateway(Manner::Stream).await;
    let balancer = balancer(&streaming.address, &streaming.address).await;
    let mut answer = reqwest::get(format!("{}/v1/stream", balancer.url)).await.expect("a head");
    let first = tokio::time::timeout(Duration::from_secs(5), answer.chunk()).await.expect("no buffering");
    assert_eq!(Some(&b"data: first\n\n"[..]), first.expect("a chunk").as_deref());
}

/// The answer to these bytes, which end the connection.
async fn raw(balancer: &Balancer, request: &str) -> String {
    let address = balancer.url.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    String::from_utf8(answer).expect("text")
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
        (format!("POST /v1/orders {head}Transfer-Encoding: chunked\r\n\r\nzz\r\n"), 400, "invalid_request"),
        (format!("PUT /v1/orders {head}Transfer-Encoding: chunked\r\n\r\nzz\r\n"), 400, "invalid_request"),
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

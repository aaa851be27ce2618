//! Gateways that misbehave on purpose, nginx in front of them, and clients from several addresses.

use std::net::TcpListener as StdListener;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

pub(crate) const TEMPLATE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../gateway/nginx.conf.template");

pub(crate) const BOUNDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../gateway/nginx.main.conf");

/// A request that is the only one of its connection.
pub(crate) const REQUEST: &str =
    "GET /v1/products HTTP/1.1\r\nHost: millrace.example\r\nConnection: close\r\n\r\n";

/// The longest wait of a test.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// How a gateway of a test behaves.
#[derive(Clone, Copy)]
pub(crate) enum Manner {
    /// Answers with the request it got.
    Echo,
    /// Reads the request and closes the connection, as a gateway that is killed.
    HangUp,
    /// Sends the head and a first event, and keeps the connection open.
    Stream,
    /// Sends events without end. A closed connection counts as another request.
    Flood,
    /// Answers with the request it got when the test allows it.
    Wait,
    /// Refuses the request because of load, as a gateway does.
    Shed,
}

pub(crate) struct Gateway {
    pub(crate) address: String,
    pub(crate) requests: Arc<AtomicUsize>,
    /// Allows waiting requests to be answered.
    pub(crate) go: watch::Sender<bool>,
}

impl Gateway {
    /// Waits until this many requests have arrived.
    pub(crate) async fn met(&self, requests: usize) {
        let met = async {
            while self.requests.load(Ordering::SeqCst) < requests {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(WAIT_MAX, met).await.expect("the gateway gets the requests");
    }
}

pub(crate) async fn gateway(manner: Manner) -> Gateway {
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

pub(crate) async fn answer(
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
        // The test may have ended.
        let _ = go.wait_for(|go| *go).await;
    }
    let text = match manner {
        Manner::HangUp => return,
        Manner::Shed => {
            "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 3\r\nContent-Length: 4\r\n\
                         Connection: close\r\n\r\nbusy"
                .to_owned()
        }
        Manner::Echo | Manner::Wait => {
            format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{seen}",
                seen.len()
            )
        }
        Manner::Stream | Manner::Flood => {
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: first\n\n".to_owned()
        }
    };
    // The balancer may have closed the connection.
    let _ = stream.write_all(text.as_bytes()).await;
    if matches!(manner, Manner::Stream) {
        std::future::pending::<()>().await;
    }
    if matches!(manner, Manner::Flood) {
        let event = format!("data: {}\n\n", "x".repeat(16 * 1024));
        while stream.write_all(event.as_bytes()).await.is_ok() {}
        requests.fetch_add(1, Ordering::SeqCst);
    }
}

pub(crate) struct Balancer {
    nginx: Child,
    pub(crate) url: String,
    _dir: tempfile::TempDir,
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.nginx.id().to_string()).status();
        let _ = self.nginx.wait();
    }
}

pub(crate) async fn balancer(first: &str, second: &str) -> Balancer {
    bounded(first, second, &[]).await
}

/// Starts a balancer with other limits: the first directive of each pair is replaced by the second.
pub(crate) async fn bounded(first: &str, second: &str, bounds: &[(&str, &str)]) -> Balancer {
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
pub(crate) fn closed_port() -> String {
    let held = StdListener::bind("127.0.0.1:0").expect("a port");
    held.local_addr().expect("its address").to_string()
}

/// Opens a connection to the balancer from 127.0.0.`host` and sends these bytes.
pub(crate) async fn sent(balancer: &Balancer, host: u8, request: &str) -> TcpStream {
    let address =
        balancer.url.strip_prefix("http://").expect("an address").parse().expect("an address");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, host], 0).into()).expect("a loopback address");
    let mut stream = socket.connect(address).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("sent");
    stream
}

/// Reads until the connection is closed in order.
pub(crate) async fn ended(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    let read = tokio::time::timeout(WAIT_MAX, stream.read_to_string(&mut answer));
    read.await.expect("an answer in time").expect("a whole answer");
    answer
}

/// Sends these bytes and reads the whole answer.
pub(crate) async fn raw(balancer: &Balancer, request: &str) -> String {
    ended(sent(balancer, 1, request).await).await
}

#[track_caller]
pub(crate) fn assert_problem(request: &str, head: &str, body: &str, status: u16, code: &str) {
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {head}");
    assert!(head.contains("\r\nContent-Type: application/problem+json\r\n"), "{request}: {head}");
    assert!(head.contains("\r\nCache-Control: no-store"), "{request}: {head}");
    let problem: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(status, problem["status"], "{request}: {problem}");
    assert_eq!(code, problem["code"], "{request}: {problem}");
    assert_eq!(format!("urn:millrace:problem:{code}"), problem["type"], "{request}: {problem}");
    assert!(problem["title"].is_string() && problem["detail"].is_string(), "{request}: {problem}");
}

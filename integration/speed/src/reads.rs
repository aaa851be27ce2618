//! `bench reads`: how many product lists a gateway serves in a second, compared with a bare warp
//! server that answers with the same bytes. Closed loop over connections that stay open, straight
//! to the gateway, both servers in turn. The gateway counts each request in Redis as always;
//! clients change their address before its limit. It asserts no figure.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use warp::{Filter as _, Reply as _, hyper::body::Bytes};

use crate::{
    system::{Shop, variable},
    table::{Summary, rows, save},
};

/// The requests of one address; its limit is 100.
const REQUESTS_PER_ADDRESS: u32 = 80;
/// The next address of a client, in 10.0.0.0/8. Random ones would meet: a thousand of them in a
/// second are enough for that, and then the limit refuses some of their requests.
static ADDRESSES: AtomicU32 = AtomicU32::new(0x0a00_0001);
/// The products in the shop: more than a page of the list.
const PRODUCTS: usize = 100;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Measurements of each server
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each is measured, in seconds
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Connections, each with one request after the other
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// What the gateway is asked for
    #[arg(long, default_value = "/v1/products")]
    path: String,
    /// The file for the result as JSON
    #[arg(long, default_value = ".millrace/bench/reads.json")]
    out: PathBuf,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    tokio::runtime::Runtime::new()?.block_on(measure(options))
}

async fn measure(options: &Options) -> anyhow::Result<()> {
    Shop::open(&variable("MILLRACE_URL")?, 1, PRODUCTS).await?;
    let gateways = variable("MILLRACE_GATEWAYS")?;
    let gateway = gateways.split(',').next().unwrap_or_default();
    let gateway: SocketAddr = gateway
        .trim_start_matches("http://")
        .parse()
        .with_context(|| format!("expected http://ADDRESS:PORT, not {gateway}"))?;
    let mut connection = Connection::open(gateway).await?;
    let body = connection.get(&options.path).await?;
    let bare = bare(body.clone())?;

    let (mut of_gateway, mut of_bare) = (Vec::new(), Vec::new());
    // The first round warms both up.
    for round in 0..=options.rounds {
        let rates = [rate(gateway, options).await?, rate(bare, options).await?];
        if round > 0 {
            of_gateway.push(rates[0]);
            of_bare.push(rates[1]);
        }
    }
    let shares: Vec<_> = of_gateway.iter().zip(&of_bare).map(|(own, bare)| own / bare).collect();
    let (own, bare, share) = (Summary::of(of_gateway), Summary::of(of_bare), Summary::of(shares));
    let row = |name: &str, summary: &Summary, digits: usize| {
        let values = [summary.median, summary.min, summary.max];
        let mut row = vec![name.to_owned()];
        row.extend(values.map(|value| format!("{value:.digits$}")));
        row
    };
    let head = ["", "median", "min", "max"].map(str::to_owned).to_vec();
    let table = [
        head,
        row("gateway, a second", &own, 0),
        row("bare warp, a second", &bare, 0),
        row("share", &share, 2),
    ];
    integration::say!("{} of {} bytes\n\n{}", options.path, body.len(), rows(&table));
    let result = json!({
        "path": options.path,
        "bytes": body.len(),
        "connections": options.connections,
        "seconds": options.seconds,
        "gateway": own,
        "bare": bare,
        "share": share,
    });
    save(&options.out, &result)
}

/// Starts a server that only sends `body`, on threads of its own.
fn bare(body: Bytes) -> anyhow::Result<SocketAddr> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || -> anyhow::Result<()> {
        tokio::runtime::Runtime::new()?.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            sender.send(listener.local_addr()?)?;
            let routes = warp::any().map(move || {
                let response = warp::http::Response::new(body.clone()).into_response();
                warp::reply::with_header(response, "content-type", "application/json")
            });
            warp::serve(routes).incoming(listener).run().await;
            anyhow::Ok(())
        })
    });
    receiver.recv().context("the bare server has not started")
}

/// The responses of a server in a second.
async fn rate(server: SocketAddr, options: &Options) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let until = begun + Duration::from_secs(options.seconds);
    let mut clients = JoinSet::new();
    for _ in 0..options.connections {
        let mut connection = Connection::open(server).await?;
        let path = options.path.clone();
        clients.spawn(async move {
            let mut answers = 0_u64;
            while Instant::now() < until {
                connection.get(&path).await?;
                answers += 1;
            }
            anyhow::Ok(answers)
        });
    }
    let mut all = 0;
    while let Some(answers) = clients.join_next().await {
        all += answers??;
    }
    Ok(all as f64 / begun.elapsed().as_secs_f64())
}

/// A connection that stays open. It parses no more of HTTP than it needs, so that the server is
/// what is measured.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    sent: u32,
    address: u32,
}

impl Connection {
    async fn open(server: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(1 << 16), sent: 0, address: 0 })
    }

    /// The body of the response, which must be 200.
    async fn get(&mut self, path: &str) -> anyhow::Result<Bytes> {
        if self.sent.is_multiple_of(REQUESTS_PER_ADDRESS) {
            self.address = ADDRESSES.fetch_add(1, Ordering::Relaxed);
        }
        self.sent += 1;
        let address = std::net::Ipv4Addr::from(self.address);
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: x\r\nx-forwarded-for: {address}\r\n\r\n");
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        loop {
            let length = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(length > 0, "the server has closed the connection");
            if let Some(body) = body(&self.buffer)? {
                return Ok(body);
            }
        }
    }
}

/// The body of a response; `None` while some of it is missing.
fn body(response: &[u8]) -> anyhow::Result<Option<Bytes>> {
    let Some(head) = response.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&response[..head])?;
    ensure!(text.starts_with("HTTP/1.1 200"), "{text}");
    let length = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, length)| length.trim().parse::<usize>().ok())
        .context("a response without a length")?;
    let body = response.get(head + 4..head + 4 + length);
    Ok(body.map(Bytes::copy_from_slice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_is_complete_when_all_of_its_length_has_come() {
        let response = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(body(response).expect("200"), Some(Bytes::from_static(b"abc")));
        for length in 0..response.len() {
            assert_eq!(body(&response[..length]).expect("200 so far"), None, "{length}");
        }
        assert!(body(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").is_err());
    }
}

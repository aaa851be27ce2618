//! A schema registry with scripted answers. It stores no schemas.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// The answer to one request.
pub(crate) enum Answer {
    /// A status with a JSON body.
    Status(u16, String),
    /// The connection stays open without an answer.
    Silence,
}

/// Answers the request `METHOD /path`, which is the `n`th one from 0.
type Script = dyn Fn(usize, &str) -> Answer + Send + Sync;

/// A running server. It ends with the test's runtime.
pub(crate) struct Fake {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    pub(crate) async fn start(
        script: impl Fn(usize, &str) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let (seen, script): (_, Arc<Script>) = (requests.clone(), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, seen.clone(), script.clone()));
            }
        });
        Self { url, requests }
    }

    /// The requests so far, as `METHOD /path`.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("nobody panicked").clone()
    }
}

async fn answer(mut stream: TcpStream, seen: Arc<Mutex<Vec<String>>>, script: Arc<Script>) {
    let mut bytes = Vec::new();
    let head = loop {
        match stream.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        if body.len() >= length.unwrap_or(0_usize) {
            break head.to_owned();
        }
    };
    let request: Vec<_> = head.split(' ').take(2).collect();
    let request = request.join(" ");
    let number = {
        let mut seen = seen.lock().expect("nobody panicked");
        seen.push(request.clone());
        seen.len() - 1
    };
    match script(number, &request) {
        Answer::Status(status, body) => {
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\n\
                 content-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
        Answer::Silence => std::future::pending().await,
    }
}

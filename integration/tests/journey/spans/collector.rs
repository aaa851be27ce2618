//! The OpenTelemetry Collector, and the spans that it has got.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::process::{Child, Command};

use crate::support::{SEEN_MAX, eventually};

/// A span that the Collector has got.
#[derive(Clone, Debug)]
pub(super) struct Span {
    /// The service that has sent it.
    pub(super) service: String,
    json: Value,
}

impl Span {
    pub(super) fn field(&self, name: &str) -> &str {
        self.json[name].as_str().unwrap_or_default()
    }

    pub(super) fn id(&self) -> &str {
        self.field("spanId")
    }

    pub(super) fn parent(&self) -> &str {
        self.field("parentSpanId")
    }

    pub(super) fn attribute(&self, name: &str) -> String {
        attribute(&self.json["attributes"], name)
    }

    /// The ids of the spans that it links to.
    pub(super) fn links(&self) -> Vec<&str> {
        let links = self.json["links"].as_array().into_iter().flatten();
        links.filter_map(|link| link["spanId"].as_str()).collect()
    }
}

/// An attribute of a list as OTLP has it in JSON.
fn attribute(attributes: &Value, name: &str) -> String {
    let mut all = attributes.as_array().into_iter().flatten();
    let value = all.find(|it| it["key"] == name).map(|it| &it["value"]);
    let text = value.and_then(|value| value["stringValue"].as_str().or(value["intValue"].as_str()));
    text.unwrap_or_default().to_owned()
}

/// The Collector: its address, and the file that it writes.
pub(super) struct Collector {
    pub(super) address: String,
    folder: tempfile::TempDir,
}

impl Collector {
    /// A collector at a free port, which is not started.
    pub(super) fn new() -> Self {
        let any = || format!("127.0.0.1:{}", rand::random_range(10_000..20_000));
        let is_free = |address: &String| std::net::TcpListener::bind(address).is_ok();
        let address = std::iter::repeat_with(any).find(is_free).expect("a free port");
        Self { address, folder: tempfile::tempdir().expect("a folder") }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("spans.jsonl")
    }

    /// Starts it, and waits until it listens. It ends when the child is dropped.
    pub(super) async fn start(&self) -> Child {
        let config = serde_json::json!({
            "receivers": { "otlp": { "protocols": { "http": { "endpoint": self.address } } } },
            "exporters": { "file": { "path": self.file(), "flush_interval": "100ms" } },
            "service": {
                "telemetry": { "metrics": { "level": "none" }, "logs": { "level": "error" } },
                "pipelines": { "traces": { "receivers": ["otlp"], "exporters": ["file"] } },
            },
        });
        // JSON is YAML too.
        let file = self.folder.path().join("config.yaml");
        std::fs::write(&file, config.to_string()).expect("a file");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the checkout");
        let program = root.join(".millrace/collector/collector");
        let child = Command::new(&program)
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("starting {}: {error}", program.display()));
        eventually("the Collector listens", SEEN_MAX, async || {
            let connected = tokio::net::TcpStream::connect(&self.address).await;
            connected.map(drop).map_err(|error| error.to_string())
        })
        .await;
        child
    }

    /// What it has written: a document in each complete line.
    pub(super) fn written(&self) -> String {
        let mut text = std::fs::read_to_string(self.file()).unwrap_or_default();
        text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
        text
    }

    pub(super) fn spans(&self) -> Vec<Span> {
        let mut spans = Vec::new();
        for line in self.written().lines() {
            let document: Value = serde_json::from_str(line).expect("JSON");
            for of_service in document["resourceSpans"].as_array().into_iter().flatten() {
                let service = attribute(&of_service["resource"]["attributes"], "service.name");
                let scopes = of_service["scopeSpans"].as_array().into_iter().flatten();
                let all = scopes.flat_map(|scope| scope["spans"].as_array()).flatten();
                spans.extend(all.map(|json| Span { service: service.clone(), json: json.clone() }));
            }
        }
        spans
    }

    pub(super) fn trace(&self, id: &str) -> Vec<Span> {
        self.spans().into_iter().filter(|span| span.field("traceId") == id).collect()
    }
}

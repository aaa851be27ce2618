//! A project of one schema and one topic, and the program that works on it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use redpanda::log::Headers;
use redpanda::registry::Registry;
use redpanda::topics::{RecordType, Topics};
use redpanda::writer::CommandWriter;
use serde_json::Value;

pub(crate) fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run this under `stack run`"))
}

fn wait_for<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(future)
}

/// The program `schemas`. No crate depends on it, so it is found beside the tests' folder.
fn program() -> PathBuf {
    let tests = std::env::current_exe().expect("this test");
    let program = tests.parent().and_then(Path::parent).expect("a folder").join("schemas");
    assert!(program.is_file(), "{} is not built: `cargo build -p schemas-cli`", program.display());
    program
}

pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: Vec<u8>,
    pub(crate) text: String,
    pub(crate) error: String,
}

pub(crate) fn schemas(folder: &Path, arguments: &[&str], input: &[u8]) -> Ended {
    let mut command = Command::new(program());
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.arg("--folder").arg(folder).args(arguments).spawn().expect("it starts");
    // It may end without reading its input.
    drop(child.stdin.take().expect("a pipe").write_all(input));
    let output = child.wait_with_output().expect("it ends");
    Ended {
        code: output.status.code().expect("a code"),
        text: String::from_utf8_lossy(&output.stdout).into_owned(),
        out: output.stdout,
        error: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A folder with one record and one topic, whose names no other test uses.
pub(crate) struct Project {
    dir: tempfile::TempDir,
    pub(crate) record: String,
    pub(crate) topic: String,
}

pub(crate) const OLD: &str = r#"{"name":"name","type":"string","doc":"A."}"#;

pub(crate) const ADDED: &str = r#"{"name":"size","type":"int","default":7,"doc":"B."}"#;

impl Project {
    pub(crate) fn new() -> Self {
        let letter =
            |digit: char| char::from(b'a' + digit.to_digit(16).expect("a hex digit") as u8);
        let name: String =
            uuid::Uuid::new_v4().simple().to_string().chars().take(12).map(letter).collect();
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(dir.path().join("avro/trial/events")).expect("a folder");
        let project = Self { dir, record: format!("T{name}"), topic: format!("{name}.trial") };
        project.fields(OLD);
        project.keep("7d");
        project
    }

    pub(crate) fn subject(&self) -> String {
        format!("millrace.trial.{}", self.record)
    }

    pub(crate) fn fields(&self, fields: &str) {
        let schema = format!(
            r#"{{"type":"record","name":"{}","namespace":"millrace.trial","doc":"A trial.","fields":[{fields}]}}"#,
            self.record
        );
        let file = format!("avro/trial/events/{}.avsc", self.record);
        fs::write(self.dir.path().join(file), schema).expect("written");
    }

    pub(crate) fn keep(&self, keep: &str) {
        let text = format!(
            "defaults: {{ partitions: 2, bytes_max: 1048576 }}\ntopics:\n  {}: {{ owner: t, doc: d, keep: {keep}, records: [{}] }}\n",
            self.topic,
            self.subject()
        );
        fs::write(self.dir.path().join("topics.yaml"), text).expect("written");
    }

    pub(crate) fn run(&self, arguments: &[&str], input: &[u8]) -> Ended {
        schemas(self.dir.path(), arguments, input)
    }

    /// Runs `plan` or `apply` with this project's topics.
    pub(crate) fn bring(&self, arguments: &[&str]) -> Ended {
        let topics = self.path("topics.yaml");
        self.run(&[arguments, &["--topics-file", &topics]].concat(), &[])
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().expect("text").to_owned()
    }

    pub(crate) fn versions(&self) -> Vec<u32> {
        let registry = Registry::new(&setting("MILLRACE_REGISTRY_URL")).expect("a client");
        let versions = wait_for(registry.versions(&self.subject())).expect("an answer");
        versions.into_iter().map(|version| version.number).collect()
    }

    pub(crate) fn encoded(&self, json: &Value) -> Vec<u8> {
        let ended = self.run(&["encode", "--schema", &self.subject()], json.to_string().as_bytes());
        assert_eq!(ended.code, 0, "{}", ended.error);
        ended.out
    }

    pub(crate) fn write(&self, value: Vec<u8>) {
        let text = fs::read_to_string(self.path("topics.yaml")).expect("topics");
        let subject = self.subject();
        let record = RecordType { name: &subject, folder: "trial/events" };
        let topics = Topics::parse_for(&text, &[record]).expect("topics");
        wait_for(async {
            let writer = CommandWriter::of(&setting("MILLRACE_BROKERS"), topics);
            let wait = Duration::from_secs(10);
            writer
                .write(&self.topic, "k", value.into(), &Headers::default(), wait)
                .await
                .expect("written");
        });
    }
}

/// Sends the registry a request that the program would not send.
pub(crate) fn ask(method: reqwest::Method, path: &str, body: &Value) {
    wait_for(async {
        let url = format!("{}{path}", setting("MILLRACE_REGISTRY_URL"));
        let answer = integration::http()
            .build()
            .expect("a client")
            .request(method, url)
            .json(body)
            .send()
            .await
            .expect("an answer");
        assert!(
            answer.status().is_success(),
            "{path}: {}",
            answer.text().await.unwrap_or_default()
        );
    });
}

//! The program `schemas` against a real broker and a real registry: records, plans, what was
//! written. Run under `stack run`, as integration/test does. Files, topics and subjects are of each
//! test's own.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use redpanda::{
    log::Headers,
    registry::Registry,
    topics::{RecordType, Topics},
    writer::CommandWriter,
};
use serde_json::{Value, json};

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run this under `stack run`"))
}

fn wait_for<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(future)
}

/// The program, which nothing depends on: it lies beside the tests' folder.
fn program() -> PathBuf {
    let tests = std::env::current_exe().expect("this test");
    let program = tests.parent().and_then(Path::parent).expect("a folder").join("schemas");
    assert!(program.is_file(), "{} is not built: `cargo build -p schemas-cli`", program.display());
    program
}

struct Ended {
    code: i32,
    out: Vec<u8>,
    text: String,
    error: String,
}

fn schemas(folder: &Path, arguments: &[&str], input: &[u8]) -> Ended {
    let mut command = Command::new(program());
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.arg("--folder").arg(folder).args(arguments).spawn().expect("it starts");
    // It may have ended without reading.
    drop(child.stdin.take().expect("a pipe").write_all(input));
    let output = child.wait_with_output().expect("it ends");
    Ended {
        code: output.status.code().expect("a code"),
        text: String::from_utf8_lossy(&output.stdout).into_owned(),
        out: output.stdout,
        error: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Files with one record and one topic, whose names are nobody else's.
struct Project {
    dir: tempfile::TempDir,
    record: String,
    topic: String,
}

const OLD: &str = r#"{"name":"name","type":"string","doc":"A."}"#;
const ADDED: &str = r#"{"name":"size","type":"int","default":7,"doc":"B."}"#;

impl Project {
    fn new() -> Self {
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

    fn subject(&self) -> String {
        format!("millrace.trial.{}", self.record)
    }

    fn fields(&self, fields: &str) {
        let schema = format!(
            r#"{{"type":"record","name":"{}","namespace":"millrace.trial","doc":"A trial.","fields":[{fields}]}}"#,
            self.record
        );
        let file = format!("avro/trial/events/{}.avsc", self.record);
        fs::write(self.dir.path().join(file), schema).expect("written");
    }

    fn keep(&self, keep: &str) {
        let text = format!(
            "defaults: {{ partitions: 2, bytes_max: 1048576 }}\ntopics:\n  {}: {{ owner: t, doc: d, keep: {keep}, records: [{}] }}\n",
            self.topic,
            self.subject()
        );
        fs::write(self.dir.path().join("topics.yaml"), text).expect("written");
    }

    fn run(&self, arguments: &[&str], input: &[u8]) -> Ended {
        schemas(self.dir.path(), arguments, input)
    }

    /// `plan` or `apply` with this project's topics.
    fn bring(&self, arguments: &[&str]) -> Ended {
        let topics = self.path("topics.yaml");
        self.run(&[arguments, &["--topics-file", &topics]].concat(), &[])
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().expect("text").to_owned()
    }

    fn versions(&self) -> Vec<u32> {
        let registry = Registry::new(&setting("MILLRACE_REGISTRY_URL")).expect("a client");
        let versions = wait_for(registry.versions(&self.subject())).expect("an answer");
        versions.into_iter().map(|version| version.number).collect()
    }

    fn encoded(&self, json: &Value) -> Vec<u8> {
        let ended = self.run(&["encode", "--schema", &self.subject()], json.to_string().as_bytes());
        assert_eq!(ended.code, 0, "{}", ended.error);
        ended.out
    }

    fn write(&self, value: Vec<u8>) {
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

/// Asks the registry for something that the program would not.
fn ask(method: reqwest::Method, path: &str, body: &Value) {
    wait_for(async {
        let url = format!("{}{path}", setting("MILLRACE_REGISTRY_URL"));
        let answer =
            reqwest::Client::new().request(method, url).json(body).send().await.expect("an answer");
        assert!(
            answer.status().is_success(),
            "{path}: {}",
            answer.text().await.unwrap_or_default()
        );
    });
}

#[test]
#[ignore = "needs the stack: integration/test, or `stack run -- cargo test -p integration --test schemas -- --ignored`"]
fn a_plan_is_applied_once_and_nothing_is_left_to_do() {
    let project = Project::new();
    let kept = project.path("plan.json");

    let plan = project.bring(&["plan", "--out", &kept]);
    assert_eq!(plan.code, 1, "{}{}", plan.text, plan.error);
    let expected = format!(
        "create   {} (2 partitions)\nregister {}\nchanges pending: 2\n",
        project.topic,
        project.subject()
    );
    assert_eq!(plan.text, expected);
    assert_eq!(project.versions(), [] as [u32; 0]);

    let applied = project.bring(&["apply", &kept]);
    assert_eq!(applied.code, 0, "{}{}", applied.text, applied.error);
    assert!(applied.text.ends_with("changes made: 2\n"), "{}", applied.text);
    for again in [&["apply", &kept][..], &["apply"], &["plan"]] {
        let again = project.bring(again);
        assert_eq!(again.code, 0, "{}{}", again.text, again.error);
        assert_eq!(again.text, "nothing to do: all topics and schemas are as the files say\n");
    }
    assert_eq!(project.versions(), [1]);
}

#[test]
#[ignore = "needs the stack"]
fn a_plan_of_another_state_is_refused_and_so_is_a_part_of_one() {
    let project = Project::new();
    let kept = project.path("plan.json");
    assert_eq!(project.bring(&["plan", "--out", &kept]).code, 1);
    let whole = fs::read_to_string(&kept).expect("a plan");

    let mut part: Value = serde_json::from_str(&whole).expect("JSON");
    part["steps"].as_array_mut().expect("steps").remove(0);
    fs::write(&kept, part.to_string()).expect("written");
    let refused = project.bring(&["apply", &kept]);
    assert_eq!(refused.code, 2, "{}", refused.text);
    assert!(
        refused.error.contains(&format!("create {} is not in the plan", project.topic)),
        "{}",
        refused.error
    );

    fs::write(&kept, whole).expect("written");
    project.fields(&format!("{OLD},{ADDED}"));
    let refused = project.bring(&["apply", &kept]);
    assert_eq!(refused.code, 2, "{}", refused.text);
    let what = format!("register {} is another change now", project.subject());
    assert!(
        refused.error.contains("the plan is stale") && refused.error.contains(&what),
        "{}",
        refused.error
    );

    fs::write(&kept, "{}").expect("written");
    let refused = project.bring(&["apply", &kept]);
    assert_eq!(refused.code, 2, "{}", refused.text);
    assert!(refused.error.contains("is no plan of `schemas plan --out`"), "{}", refused.error);
    assert_eq!(project.versions(), [] as [u32; 0]);
    assert_eq!(project.bring(&["plan"]).text.lines().count(), 3, "the topic is not made");
}

#[test]
#[ignore = "needs the stack"]
fn a_break_is_named_and_keeps_everything_from_being_applied() {
    let project = Project::new();
    assert_eq!(project.bring(&["apply"]).code, 0);

    project.fields(r#"{"name":"title","type":"string","doc":"A."}"#);
    project.keep("3d");
    let kept = project.path("plan.json");
    let plan = project.bring(&["plan", "--out", &kept]);
    assert_eq!(plan.code, 2, "{}", plan.text);
    let what = format!(
        "breaks   {}, version 1: title: this field is new, and has no default",
        project.subject()
    );
    assert!(plan.text.contains(&what), "{}", plan.text);
    assert!(!Path::new(&kept).exists());

    let refused = project.bring(&["apply"]);
    assert_eq!(refused.code, 2, "{}", refused.text);
    assert_eq!(project.versions(), [1]);

    project.fields(OLD);
    let plan = project.bring(&["plan"]);
    assert_eq!(plan.code, 1, "the other change is still to be made: {}", plan.text);
    assert!(plan.text.contains("retention.ms 604800000 -> 259200000"), "{}", plan.text);
}

#[test]
#[ignore = "needs the stack"]
fn a_level_that_has_drifted_is_set_again_and_another_spelling_is_no_difference() {
    let project = Project::new();
    let spelled = format!(
        r#"{{"doc":"A trial.","fields":[{{"doc":"A.","type":{{"type":"string"}},"name":"name"}}],"name":"{}","type":"record"}}"#,
        project.subject()
    );
    let path = format!("/subjects/{}/versions", project.subject());
    ask(reqwest::Method::POST, &path, &json!({ "schema": spelled }));
    let level = format!("/config/{}", project.subject());
    ask(reqwest::Method::PUT, &level, &json!({ "compatibility": "BACKWARD" }));

    let applied = project.bring(&["apply"]);

    assert_eq!(applied.code, 0, "{}{}", applied.text, applied.error);
    let what = format!("level    {}: BACKWARD -> FULL_TRANSITIVE\n", project.subject());
    assert!(applied.text.contains(&what) && !applied.text.contains("register"), "{}", applied.text);
    assert_eq!(project.versions(), [1]);
    assert_eq!(project.bring(&["plan"]).code, 0);
    // It is written with the id under which the other spelling is registered.
    let bytes = project.encoded(&json!({ "name": "x" }));
    assert_eq!(project.run(&["decode"], &bytes).code, 0);
}

#[test]
#[ignore = "needs the stack"]
fn versions_that_refer_to_other_subjects_are_compared_and_read_with_what_they_refer_to() {
    let project = Project::new();
    let url = setting("MILLRACE_REGISTRY_URL");
    let part = |size: &str| {
        format!(
            r#"{{"type":"record","name":"{}Part","namespace":"millrace.trial","doc":"A part.","fields":[{{"name":"size","type":"{size}","doc":"A."}}]}}"#,
            project.record
        )
    };
    let whole = |part: &str| format!(r#"{{"name":"part","type":{part},"doc":"A."}}"#);
    project.fields(&whole(&part("long")));
    let name = format!("{}Part", project.subject());
    ask(
        reqwest::Method::POST,
        &format!("/subjects/{name}/versions"),
        &json!({ "schema": part("long") }),
    );
    let referring = format!(
        r#"{{"type":"record","name":"{}","namespace":"millrace.trial","doc":"A trial.","fields":[{}]}}"#,
        project.record,
        whole(&format!("\"{name}\""))
    );
    let references = json!([{ "name": name, "subject": name, "version": 1 }]);
    let body = json!({ "schema": referring, "references": references });
    ask(reqwest::Method::POST, &format!("/subjects/{}/versions", project.subject()), &body);

    // The files have the part within the whole: that is no difference.
    let check = || project.run(&["check", "--registry", &url], &[]);
    let same = check();
    assert_eq!(
        (same.code, same.text.as_str()),
        (0, "1 schema against 1 released version: fine\n"),
        "{}",
        same.error
    );
    let plan = project.bring(&["plan"]);
    assert!(plan.code == 1 && !plan.text.contains("register"), "{}{}", plan.text, plan.error);
    let bytes = project.encoded(&json!({ "part": { "size": 3 } }));
    let decoded = project.run(&["decode"], &bytes);
    assert_eq!(decoded.code, 0, "{}", decoded.error);

    project.fields(&whole(&part("string")));
    let broken = check();
    assert_eq!(broken.code, 2, "{}{}", broken.text, broken.error);
    let what = format!(
        "error[type-changed]: {}: part.size: long can't be read as string",
        project.subject()
    );
    assert!(broken.text.contains(&what), "{}", broken.text);
    assert!(broken.text.contains(&format!("registry:{}@1:", project.subject())), "{}", broken.text);
    let plan = project.bring(&["plan"]);
    assert_eq!(plan.code, 2, "{}{}", plan.text, plan.error);
    let what = format!(
        "breaks   {}, version 1: part.size: long can't be read as string",
        project.subject()
    );
    assert!(plan.text.contains(&what), "{}", plan.text);
    assert_eq!(project.versions(), [1]);
}

#[test]
#[ignore = "needs the stack"]
fn the_projects_own_schemas_get_on_with_what_the_registry_has() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas");
    let checked = schemas(&own, &["check", "--registry", &setting("MILLRACE_REGISTRY_URL")], &[]);
    assert_eq!(checked.code, 0, "{}{}", checked.text, checked.error);
    assert!(
        !checked.text.contains("of them new") && checked.text.ends_with(": fine\n"),
        "{}",
        checked.text
    );
}

#[test]
#[ignore = "needs the stack"]
fn what_was_set_on_a_topic_besides_stays() {
    let project = Project::new();
    assert_eq!(project.bring(&["apply"]).code, 0);

    // Kept for ever, it says nothing of segment.ms, which was set for seven days.
    project.keep("forever");
    let altered = project.bring(&["apply"]);
    assert_eq!(altered.code, 0, "{}{}", altered.text, altered.error);
    assert!(altered.text.contains("retention.ms 604800000 -> -1"), "{}", altered.text);

    project.keep("7d");
    let plan = project.bring(&["plan"]);
    assert!(plan.text.contains("retention.ms -1 -> 604800000"), "{}", plan.text);
    assert!(!plan.text.contains("segment.ms"), "{}", plan.text);
}

#[test]
#[ignore = "needs the stack"]
fn records_are_encoded_and_decoded_with_the_registry() {
    let project = Project::new();
    let json = json!({ "name": "x" });
    let missing =
        project.run(&["encode", "--schema", &project.subject()], json.to_string().as_bytes());
    assert_eq!(missing.code, 2, "{}", missing.error);
    assert!(missing.error.contains("is not registered"), "{}", missing.error);
    assert_eq!(project.bring(&["apply"]).code, 0);

    let bytes = project.encoded(&json);
    let id = u32::from_be_bytes(bytes[1..5].try_into().expect("an id")).to_string();

    let decoded = project.run(&["decode"], &bytes);
    assert_eq!(decoded.code, 0, "{}", decoded.error);
    assert_eq!(serde_json::from_slice::<Value>(&decoded.out).expect("JSON"), json);
    assert_eq!(decoded.error, format!("{}, id {id}\n", project.subject()));
    let again = project.run(&["encode", "--id", &id], json.to_string().as_bytes());
    assert_eq!(again.out, bytes, "{}", again.error);
    let unknown = project.run(&["decode", "--hex", "007fffffff00"], &[]);
    assert_eq!(unknown.code, 2, "{}", unknown.error);
    assert!(unknown.error.contains("the registry has no schema 2147483647"), "{}", unknown.error);
}

#[test]
#[ignore = "needs the stack"]
fn a_replay_counts_by_version_and_tells_where_it_can_not_read() {
    let project = Project::new();
    assert_eq!(project.bring(&["apply"]).code, 0);
    for name in ["a", "b"] {
        project.write(project.encoded(&json!({ "name": name })));
    }
    project.fields(&format!("{OLD},{ADDED}"));
    assert_eq!(project.bring(&["apply"]).code, 0);
    project.write(project.encoded(&json!({ "name": "c", "size": 1 })));

    let replay = || project.run(&["replay", "--topics", &project.topic], &[]);
    let read = replay();
    assert_eq!(read.code, 0, "{}{}", read.text, read.error);
    let rows: Vec<Vec<&str>> =
        read.text.lines().map(|line| line.split_whitespace().collect()).collect();
    let subject = project.subject();
    assert_eq!(rows[1], [project.topic.as_str(), subject.as_str(), "1", "2"]);
    assert_eq!(rows[2], [project.topic.as_str(), subject.as_str(), "2", "1"]);
    assert!(read.text.ends_with("records: 3, topics: 1, unreadable: 0\n"), "{}", read.text);

    project.write(b"no Avro".to_vec());
    let read = replay();
    assert_eq!(read.code, 2, "{}", read.text);
    let partition = redpanda::partition_of(b"k", 2);
    let what = format!(
        "unreadable: {}[{partition}] at offset 3: malformed record: it begins with byte 110 instead of 0\n",
        project.topic
    );
    assert!(read.text.contains(&what), "{}", read.text);

    let none = project.run(&["replay", "--topics", "no.such.topic"], &[]);
    assert_eq!(none.code, 64, "{}", none.error);
}

#[test]
#[ignore = "needs the stack"]
fn everything_that_the_services_have_written_is_readable() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas");

    // Commands come from people too, and other tests have sent some that nobody can read.
    let topics = redpanda::topics::all().iter().map(|topic| topic.name.as_str());
    let topics: Vec<_> = topics.filter(|name| !name.ends_with(".commands")).collect();
    let read = schemas(&own, &["replay", "--topics", &topics.join(",")], &[]);

    assert_eq!(read.code, 0, "{}{}", read.text, read.error);
    assert!(read.text.ends_with("unreadable: 0\n"), "{}", read.text);
    let plan = schemas(&own, &["plan"], &[]);
    assert!(plan.code < 2, "{}{}", plan.text, plan.error);
}

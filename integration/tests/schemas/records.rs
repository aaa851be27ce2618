//! `encode`, `decode`, `replay` and `check` with the registry and with written records.

use std::path::Path;

use serde_json::{Value, json};

use crate::project::{ADDED, OLD, Project, schemas, setting};

#[test]
#[ignore = "needs the stack"]
fn the_projects_own_schemas_are_compatible_with_the_registry() {
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
fn replay_counts_by_version_and_names_unreadable_records() {
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

    // Commands are left out, because other tests have sent some that can't be decoded.
    let topics = redpanda::topics::all().iter().map(|topic| topic.name.as_str());
    let topics: Vec<_> = topics.filter(|name| !name.ends_with(".commands")).collect();
    let read = schemas(&own, &["replay", "--topics", &topics.join(",")], &[]);

    // The operators' tests write `poison`, `Quark`, `lively`, `waits`, `dialog` and `mixed` into
    // topics of a service, which then puts them aside.
    let unreadable = read.text.lines().filter(|line| line.starts_with("unreadable: "));
    let poison = [b'p', b'Q', b'l', b'w', b'd', b'm']
        .map(|byte| format!("it begins with byte {byte} instead of 0"));
    let of_services: Vec<_> = unreadable
        .filter(|line| {
            let topics = [" order.followups[", " stock.followups["];
            !(topics.iter().any(|topic| line.contains(topic))
                && poison.iter().any(|poison| line.ends_with(poison)))
        })
        .collect();
    assert!(of_services.is_empty(), "{}{}", read.text, read.error);
    assert!(read.text.contains("\nrecords: "), "{}{}", read.text, read.error);
    let plan = schemas(&own, &["plan"], &[]);
    assert!(plan.code < 2, "{}{}", plan.text, plan.error);
}

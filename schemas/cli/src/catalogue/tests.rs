//! Marks of deprecation. The files are written to temporary folders.

use std::fs;

use super::Catalogue;

/// The error of a catalogue in which `Old` has this mark of deprecation.
fn error(mark: &str) -> Option<String> {
    let dir = tempfile::tempdir().expect("a folder");
    let events = dir.path().join("avro/test/events");
    fs::create_dir_all(&events).expect("a folder");
    for (name, mark) in [
        ("Old", mark),
        ("New", ""),
        ("Gone", r#","deprecated":{"since":"2026-01-01","successor":"millrace.test.New"}"#),
    ] {
        let schema = format!(
            r#"{{"type":"record","name":"{name}","namespace":"millrace.test","doc":"D.","fields":[]{mark}}}"#
        );
        fs::write(events.join(format!("{name}.avsc")), schema).expect("written");
    }
    Catalogue::read(dir.path()).err().map(|error| format!("{error:#}"))
}

#[test]
fn deprecated_record_must_name_a_day_and_a_living_successor() {
    let mark = |since: &str, successor: &str| {
        format!(r#","deprecated":{{"since":"{since}","successor":"millrace.test.{successor}"}}"#)
    };
    assert_eq!(error(&mark("2026-11-25", "New")), None);
    for (mark, expected) in [
        (mark("soon", "New"), "YYYY-MM-DD"),
        (mark("2026-11-25", "None"), "its successor millrace.test.None is no record"),
        (mark("2026-11-25", "Gone"), "its successor millrace.test.Gone is deprecated itself"),
        (r#","deprecated":true"#.to_owned(), "YYYY-MM-DD"),
        (r#","deprecated":{"since":"2026-11-25"}"#.to_owned(), "missing field `successor`"),
    ] {
        let error = error(&mark).expect(&mark);
        assert!(error.contains(expected), "{error}");
    }
}

//! Marks of deprecation, and defaults of bytes. The files are written to temporary folders.

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

#[test]
fn default_of_bytes_that_the_codec_would_misread_is_refused() {
    let refused = |kind: &str, default: &str| {
        let dir = tempfile::tempdir().expect("a folder");
        let events = dir.path().join("avro/test/events");
        fs::create_dir_all(&events).expect("a folder");
        let schema = format!(
            r#"{{"type":"record","name":"Raw","namespace":"millrace.test","doc":"D.","fields":[
                {{"name":"raw","doc":"D.","type":{kind},"default":{default}}}]}}"#
        );
        fs::write(events.join("Raw.avsc"), schema).expect("written");
        let error = Catalogue::read(dir.path()).err().map(|error| format!("{error:#}"));
        error.is_some_and(|error| error.contains("field raw of millrace.test.Raw has a byte above"))
    };
    let array = r#"{"type":"array","items":"bytes"}"#;
    let record = r#"{"type":"record","name":"P","doc":"D.","fields":[
        {"name":"b","doc":"D.","type":"bytes"}]}"#;
    for (kind, default) in [
        (r#""bytes""#, r#""\u00ff""#),
        (r#"["bytes","null"]"#, r#""\u0080""#),
        (array, r#"["a","\u00e9"]"#),
        (record, r#"{"b":"\u00ff"}"#),
    ] {
        assert!(refused(kind, default), "{kind}: {default}");
    }
    for (kind, default) in [
        (r#""bytes""#, r#""\u007f""#),
        (r#""string""#, r#""\u00ff""#),
        (r#"["string","bytes"]"#, r#""\u00ff""#),
        (array, "[]"),
    ] {
        assert!(!refused(kind, default), "{kind}: {default}");
    }
}

//! The errors of commands for files that are not text, or not JSON. The files are written to
//! temporary folders.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

/// Runs `schemas` in `folder` and returns its exit code and everything that it printed.
fn schemas(folder: &Path, arguments: &[&str], input: &[u8]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_schemas"));
    let command = command.args(arguments).current_dir(folder).env_remove("MILLRACE_SCHEMAS");
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().expect("the command runs");
    drop(child.stdin.take().expect("a pipe").write_all(input));
    let output = child.wait_with_output().expect("the command ends");
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code().expect("an exit code"), String::from_utf8(printed).expect("text"))
}

fn project(text: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(folder.path().join("avro")).expect("a folder");
    fs::write(folder.path().join("avro/Thing.avsc"), text).expect("written");
    folder
}

#[test]
fn every_command_and_format_reports_a_broken_file_with_its_place() {
    let deep = "[".repeat(100_000);
    for (text, place) in [
        ("\u{feff}{}", ":1:1"),
        ("{\n\u{a0} \"type\": \"record\" }", ":2:1"),
        ("{ “type”: 1 }", ":1:3"),
        ("{ \"é\": é }", ":1:8"),
        ("", ":1:1"),
        (deep.as_str(), ":1:128"),
    ] {
        let project = project(text.as_bytes());
        for command in ["lint", "check", "diff", "release"] {
            for format in ["text", "json", "junit", "github"] {
                let (code, printed) = schemas(project.path(), &[command, "--format", format], &[]);
                assert_eq!(code, 2, "{command} {format}: {printed}");
                assert!(printed.contains("not JSON"), "{command} {format}: {printed}");
            }
        }
        let (_, printed) = schemas(project.path(), &["lint"], &[]);
        assert!(printed.contains(&format!("avro/Thing.avsc{place}")), "{place}: {printed}");
    }
}

#[test]
fn file_that_is_not_utf_8_is_reported_with_its_place() {
    let project = project(b"{ \"type\": \"record\",\n  \"doc\": \"Gr\xfc\xdfe\" }");
    for command in ["lint", "check", "diff", "release", "generate"] {
        let (code, printed) = schemas(project.path(), &[command], &[]);
        assert_eq!(code, 2, "{command}: {printed}");
        assert!(printed.contains("Thing.avsc:2:13: this is not UTF-8"), "{command}: {printed}");
    }
}

#[test]
fn byte_order_mark_before_a_record_to_encode_is_named() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let arguments = ["encode", "--schema", "millrace.order.CancelOrder", "--id", "1"];
    let (code, printed) = schemas(&folder, &arguments, "\u{feff}{}".as_bytes());
    assert_eq!(code, 2, "{printed}");
    assert!(printed.contains("byte order mark"), "{printed}");
}

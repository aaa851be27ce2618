//! Output to a pipe whose reader has gone, as in `schemas check | head -1`.

use std::{
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The exit code and the errors of `schemas`, whose standard output is a pipe without a reader.
fn without_reader(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_schemas"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("MILLRACE_SCHEMAS")
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .expect("the command runs");
    (output.status.code(), String::from_utf8(output.stderr).expect("text"))
}

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/check").join(name)
}

#[test]
fn closed_pipe_ends_output_quietly_and_keeps_the_exit_code() {
    let (fine, broken) = (case("level-none"), case("type-changed"));
    for (folder, arguments, code) in [
        (&fine, &["lint", "--explain"][..], 0),
        (&fine, &["lint", "--explain", "pii"], 0),
        (&fine, &["check"], 0),
        (&broken, &["check"], 2),
        (&broken, &["check", "--format", "json"], 2),
        (&broken, &["diff"], 2),
        (&broken, &["release"], 2),
    ] {
        let (ended, errors) = without_reader(folder, arguments);
        assert_eq!((ended, errors.as_str()), (Some(code), ""), "{arguments:?}");
    }
}

#[test]
fn closed_pipe_does_not_keep_other_output_from_standard_error() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let bytes = "000000000148";
    let (code, errors) =
        without_reader(&own, &["decode", "--schema", "millrace.order.CancelOrder", "--hex", bytes]);
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("the record ends too soon"), "{errors}");
}

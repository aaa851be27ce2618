//! `faults` as a person calls it from a shell. Needs no stack and breaks nothing.

use std::process::{Command, Stdio};

#[test]
fn list_ends_well_when_its_reader_has_left() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    // Given a reader that leaves before the first line, as `head` does after its tenth
    drop(reader);
    let listed = Command::new(env!("CARGO_BIN_EXE_faults"))
        .arg("--list")
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .expect("faults runs");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    assert!(listed.stderr.is_empty(), "{}", String::from_utf8_lossy(&listed.stderr));
}

//! `decode` and `encode` without a registry, run as programs.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};

const CANCEL: &str = "millrace.order.CancelOrder";

/// Runs `schemas` on the project's own files.
fn schemas(arguments: &[&str], input: &[u8]) -> Output {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut child = Command::new(env!("CARGO_BIN_EXE_schemas"))
        .arg("--folder")
        .arg(folder)
        .args(arguments)
        .env_remove("MILLRACE_REGISTRY_URL")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    // The program may have ended already, because of wrong arguments.
    drop(child.stdin.take().expect("a pipe").write_all(input));
    child.wait_with_output().expect("it ends")
}

/// The exit code and the error of a run that must fail.
fn failure(arguments: &[&str], input: &[u8]) -> (i32, String) {
    let output = schemas(arguments, input);
    assert!(output.stdout.is_empty(), "{output:?}");
    (output.status.code().expect("a code"), String::from_utf8(output.stderr).expect("text"))
}

fn cancel() -> Value {
    json!({
        "order_id": "01900000-0000-7000-8000-000000000001",
        "user_id": "01900000-0000-7000-8000-000000000002",
        "expected_version": 3,
    })
}

#[test]
fn encoded_record_is_decoded_to_the_same_json() {
    let text = cancel().to_string();
    let bytes = schemas(&["encode", "--schema", CANCEL, "--id", "258"], text.as_bytes());
    assert!(bytes.status.success(), "{bytes:?}");
    assert_eq!(bytes.stdout[..5], [0, 0, 0, 1, 2]);

    let digits =
        schemas(&["encode", "--schema", CANCEL, "--id", "258", "--hex"], text.as_bytes()).stdout;
    let digits = String::from_utf8(digits).expect("text");
    for decoded in [
        schemas(&["decode", "--schema", CANCEL], &bytes.stdout),
        schemas(&["decode", "--schema", &format!("{CANCEL}@1")], &bytes.stdout),
        schemas(&["decode", "--schema", CANCEL, "--hex", digits.trim()], &[]),
        schemas(&["decode", "--schema", CANCEL, "--hex", "-"], digits.as_bytes()),
    ] {
        assert!(decoded.status.success(), "{decoded:?}");
        assert_eq!(serde_json::from_slice::<Value>(&decoded.stdout).expect("JSON"), cancel());
        assert_eq!(String::from_utf8_lossy(&decoded.stderr), format!("{CANCEL}, id 258\n"));
    }
}

#[test]
fn invalid_input_is_reported_with_its_path() {
    let mut json = cancel();
    json["order_id"] = json!("1");
    json["user"] = json!(1);

    let (code, error) =
        failure(&["encode", "--schema", CANCEL, "--id", "1"], json.to_string().as_bytes());

    assert_eq!(code, 2);
    assert!(error.contains("\n  order_id: a UUID such as"), "{error}");
    assert!(
        error.contains("\n  user: millrace.order.CancelOrder has no such field, but"),
        "{error}"
    );
    for (input, expected) in [
        (&b"\0\0\0\0\x01\x48too short"[..], "order_id: byte 1: the record ends too soon"),
        (b"{}", "2 bytes are too few for a schema id"),
        (b"{\"a\": 1}", "it begins with byte 123 instead of 0"),
    ] {
        let (code, error) = failure(&["decode", "--schema", CANCEL], input);
        assert_eq!(code, 2, "{error}");
        assert!(error.contains(expected), "{error}");
    }
    let (code, error) = failure(&["encode", "--schema", CANCEL, "--id", "1"], b"{,}");
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("not JSON: key must be a string at line 1 column 2"), "{error}");
}

#[test]
fn repeated_key_is_refused_and_nothing_is_written() {
    let text = cancel().to_string().replace('}', r#","expected_version":4}"#);
    let (code, error) = failure(&["encode", "--schema", CANCEL, "--id", "1"], text.as_bytes());
    assert_eq!(code, 2, "{error}");
    assert!(error.contains(r#"not JSON: key "expected_version" occurs twice"#), "{error}");
}

#[test]
fn wrong_arguments_exit_with_64_and_an_absent_registry_with_69() {
    for (arguments, expected) in [
        (
            &["decode", "--schema", "millrace.order.Nothing"][..],
            "there is no schema millrace.order.Nothing",
        ),
        (
            &["decode", "--schema", "millrace.order.CancelOrder@9"],
            "has no released version 9, but 1 to 2",
        ),
        (&["decode"], "schema id 1: name a registry"),
        (&["decode", "nowhere.bin"], "reading nowhere.bin"),
        (&["encode", "--schema", CANCEL], "which id the schema has"),
        (&["encode", "--id", "1"], "which schema"),
        (&["encode", "--id", "one"], "invalid value 'one'"),
    ] {
        let (code, error) = failure(arguments, b"\0\0\0\0\x01");
        assert_eq!(code, 64, "{error}");
        assert!(error.contains(expected), "{error}");
    }
    // Nothing listens at port 1.
    let (code, error) = failure(&["decode", "--registry", "http://127.0.0.1:1"], b"\0\0\0\0\x01");
    assert_eq!(code, 69, "{error}");
    assert!(error.contains("the registry at http://127.0.0.1:1 can't be used"), "{error}");
}

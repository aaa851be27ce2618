//! What the command prints, for every rule of `lint` and every kind of problem of `check`.
//!
//! A case is a folder in `cases/`; what is printed for it stands beside its files.
//! `SCHEMAS_GOLDEN=write` writes the outputs anew, for a review with `git diff`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn schemas(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_schemas"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("MILLRACE_SCHEMAS")
        .output()
        .expect("the command runs")
}

fn cases(command: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(command);
    let mut cases: Vec<_> =
        fs::read_dir(root).expect("cases").map(|entry| entry.expect("a case").path()).collect();
    cases.sort();
    cases
}

fn name(case: &Path) -> String {
    case.file_name().expect("a name").to_string_lossy().into_owned()
}

/// Compares what is printed in a case's folder with what stands in its file.
fn compare(case: &Path, arguments: &[&str], file: &str) -> Result<String, String> {
    let output = schemas(case, arguments);
    assert!(
        output.stderr.is_empty(),
        "{}: {}",
        case.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    let code = output.status.code().expect("an exit code");
    let printed = format!("{}exit code {code}\n", String::from_utf8(output.stdout).expect("text"));
    let path = case.join(file);
    if std::env::var("SCHEMAS_GOLDEN").is_ok_and(|value| value == "write") {
        fs::write(&path, &printed).expect("written");
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    if printed == wanted {
        return Ok(printed);
    }
    Err(format!("{}\n-- expected\n{wanted}\n-- printed\n{printed}", path.display()))
}

/// The ids that `lint --explain` lists for a command.
fn ids(command: &str) -> BTreeSet<String> {
    let output = schemas(Path::new("."), &["lint", "--explain"]);
    let listed = String::from_utf8(output.stdout).expect("text");
    let lines = listed.lines().filter(|line| line[25..].starts_with(command));
    lines.map(|line| line.split(' ').next().expect("an id").to_owned()).collect()
}

#[test]
fn every_rule_of_lint_is_told_as_written_down() {
    let mut different = Vec::new();
    for case in cases("lint") {
        let rule = name(&case);
        match compare(&case, &["lint"], "expected.txt") {
            Ok(printed) => {
                assert!(printed.contains(&format!("error[{rule}]")), "{rule} is not in {printed}")
            }
            Err(difference) => different.push(difference),
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    assert_eq!(cases("lint").iter().map(|case| name(case)).collect::<BTreeSet<_>>(), ids("lint"));
}

#[test]
fn every_kind_of_problem_of_check_is_told_as_written_down() {
    let mut different = Vec::new();
    for case in cases("check") {
        if let Err(difference) = compare(&case, &["check"], "expected.txt") {
            different.push(difference);
        }
        if let Err(difference) = compare(&case, &["diff"], "diff.txt") {
            different.push(difference);
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    let all = cases("check");
    for kind in ids("check") {
        let told = |case: &PathBuf| {
            let expected = fs::read_to_string(case.join("expected.txt")).expect("an output");
            name(case).starts_with(&kind) && expected.contains(&format!("[{kind}]"))
        };
        assert!(all.iter().any(told), "no case shows {kind}");
    }
}

#[test]
fn every_form_of_a_report_is_as_written_down() {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/check/type-changed");
    for form in ["json", "junit", "github"] {
        let compared = compare(&case, &["check", "--format", form], &format!("expected.{form}"));
        assert!(compared.is_ok(), "{compared:?}");
    }
}

#[test]
fn the_projects_own_schemas_keep_every_rule_and_break_nothing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for command in ["lint", "check"] {
        let output = schemas(&folder, &[command]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn what_makes_no_sense_is_wrong_usage() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/check/type-changed");
    for arguments in [
        &["lint", "--explain", "nothing"][..],
        &["check", "--level", "SOME"],
        &["diff", "a.avsc"],
        &["fly"],
    ] {
        let output = schemas(&here, arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
    }
    let elsewhere = tempfile::tempdir().expect("a folder");
    assert_eq!(schemas(elsewhere.path(), &["lint"]).status.code(), Some(64));
}

#[test]
fn conform_finds_a_key_that_stands_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cases.jsonl");
    let conform = |case: &str| {
        fs::write(&file, case).expect("written");
        let output = schemas(folder.path(), &["conform", "cases.jsonl"]);
        (
            output.status.code(),
            String::from_utf8([output.stdout, output.stderr].concat()).expect("text"),
        )
    };
    let (code, printed) =
        conform(r#"{"schema":{"type":"fixed","name":"F","size":1,"size":2},"valid":false}"#);
    assert_eq!(code, Some(2), "{printed}");
    assert!(
        printed.contains(r#"key \"size\" stands twice"#)
            || printed.contains(r#"key "size" stands twice"#),
        "{printed}"
    );
}

#[test]
fn conform_judges_a_line_at_a_time_and_compares_what_is_expected() {
    let folder = tempfile::tempdir().expect("a folder");
    let cases = concat!(
        r#"{"name":"a","old":"int","new":"long","level":"BACKWARD","compatible":true}"#,
        "\n",
        r#"{"name":"b","history":["string","int"],"new":"long","level":"BACKWARD_TRANSITIVE","compatible":false}"#,
        "\n",
        r#"{"name":"c","schema":{"type":"record"},"valid":true}"#,
        "\n",
    );
    fs::write(folder.path().join("cases.jsonl"), cases).expect("written");

    let output = schemas(folder.path(), &["conform", "cases.jsonl"]);

    assert_eq!(output.status.code(), Some(2));
    let told: Vec<serde_json::Value> = String::from_utf8(output.stdout)
        .expect("text")
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object"))
        .collect();
    assert_eq!(told[0], serde_json::json!({"name": "a", "compatible": true, "problems": []}));
    assert_eq!(
        (&told[1]["compatible"], &told[1]["problems"][0]["with"]),
        (&false.into(), &"version 1".into())
    );
    assert_eq!(
        (&told[2]["valid"], &told[2]["problems"][0]["id"]),
        (&false.into(), &"attribute".into())
    );
    let errors = String::from_utf8(output.stderr).expect("text");
    assert!(errors.contains("line 3: \"c\" should be valid: true"), "{errors}");
    assert!(errors.contains("3 cases, 2 of 3 expected verdicts agree"), "{errors}");
}

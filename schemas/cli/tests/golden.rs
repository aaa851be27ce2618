//! The output of the command for every rule of `lint` and every kind of problem of `check`.
//!
//! A case is a folder in `cases/` with its files and the expected output. `SCHEMAS_GOLDEN=write`
//! writes the outputs anew, for a review with `git diff`.

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

/// Compares the output in a case's folder with the expected one in `file`.
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
fn every_rule_of_lint_prints_its_expected_output() {
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
fn every_kind_of_problem_of_check_prints_its_expected_output() {
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
        let is_shown = |case: &PathBuf| {
            let expected = fs::read_to_string(case.join("expected.txt")).expect("an output");
            name(case).starts_with(&kind) && expected.contains(&format!("[{kind}]"))
        };
        assert!(all.iter().any(is_shown), "no case shows {kind}");
    }
}

#[test]
fn every_format_of_a_report_is_as_expected() {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/check/type-changed");
    for form in ["json", "junit", "github"] {
        let compared = compare(&case, &["check", "--format", form], &format!("expected.{form}"));
        assert!(compared.is_ok(), "{compared:?}");
    }
}

#[test]
fn own_schemas_pass_lint_and_check() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for command in ["lint", "check"] {
        let output = schemas(&folder, &[command]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn wrong_arguments_exit_with_64() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/check/type-changed");
    for arguments in [
        &["lint", "--explain", "nothing"][..],
        &["check", "--level", "SOME"],
        &["diff", "a.avsc"],
        &["lint", "--folder", "nowhere"],
        &["conform", "nowhere.jsonl"],
        &["fly"],
    ] {
        let output = schemas(&here, arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
    }
    let elsewhere = tempfile::tempdir().expect("a folder");
    assert_eq!(schemas(elsewhere.path(), &["lint"]).status.code(), Some(64));
}

#[test]
fn conform_reports_a_repeated_key() {
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
        printed.contains(r#"key \"size\" occurs twice"#)
            || printed.contains(r#"key "size" occurs twice"#),
        "{printed}"
    );
}

#[test]
fn conform_judges_each_line_and_compares_the_expected_result() {
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
    let results: Vec<serde_json::Value> = String::from_utf8(output.stdout)
        .expect("text")
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object"))
        .collect();
    assert_eq!(results[0], serde_json::json!({"name": "a", "compatible": true, "problems": []}));
    assert_eq!(
        (&results[1]["compatible"], &results[1]["problems"][0]["with"]),
        (&false.into(), &"version 1".into())
    );
    assert_eq!(
        (&results[2]["valid"], &results[2]["problems"][0]["id"]),
        (&false.into(), &"attribute".into())
    );
    let errors = String::from_utf8(output.stderr).expect("text");
    assert!(errors.contains("line 3: \"c\" should be valid: true"), "{errors}");
    assert!(errors.contains("3 cases, 2 of 3 expected results agree"), "{errors}");
}

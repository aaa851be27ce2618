//! `check` and `diff` against baselines that the golden cases do not have: git, a folder, a
//! registry, two files.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A repository with a project in a folder, and one committed schema.
struct Project(tempfile::TempDir);

const SIZE: &str = r#"{ "name": "size", "type": "int", "doc": "How large." }"#;
const COLOUR: &str =
    r#"{ "name": "colour", "type": ["null", "string"], "default": null, "doc": "Which." }"#;

impl Project {
    fn new() -> Self {
        let project = Self(tempfile::tempdir().expect("a folder"));
        project.thing(SIZE);
        project.git(&["init", "-q"]);
        project.commit();
        project
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join("shop")
    }

    /// Edits the schema.
    fn thing(&self, fields: &str) -> PathBuf {
        let file = self.folder().join("avro/Thing.avsc");
        fs::create_dir_all(self.folder().join("avro")).expect("a folder");
        let text = format!(
            "{{\n  \"type\": \"record\",\n  \"name\": \"shop.Thing\",\n  \"doc\": \"A thing.\",\n  \"fields\": [{fields}]\n}}\n"
        );
        fs::write(&file, text).expect("written");
        file
    }

    fn git(&self, arguments: &[&str]) {
        let mut git = Command::new("git");
        git.args(arguments).current_dir(self.0.path()).env("GIT_CONFIG_GLOBAL", "/dev/null");
        let git = git.output().expect("git runs");
        assert!(git.status.success(), "{}", String::from_utf8_lossy(&git.stderr));
    }

    fn commit(&self) {
        self.git(&["add", "."]);
        self.git(&[
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@localhost",
            "commit",
            "-qm",
            "A commit",
        ]);
    }

    /// The exit code and the output.
    fn schemas(&self, arguments: &[&str]) -> (i32, String) {
        schemas(&self.folder(), arguments)
    }
}

fn schemas(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_schemas"));
    let output =
        command.args(arguments).current_dir(folder).env_remove("MILLRACE_SCHEMAS").output();
    let output = output.expect("the command runs");
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code().expect("a code"), String::from_utf8(printed).expect("text"))
}

#[test]
fn commit_is_compared_from_a_folder_below_the_top() {
    let project = Project::new();
    let against = |what: &str| project.schemas(&["check", "--against", what]);
    assert_eq!(against("git:HEAD"), (0, "1 schema against 1 released version: fine\n".to_owned()));

    project.thing(&format!("{SIZE}, {COLOUR}"));
    assert_eq!(against("git:HEAD").0, 0);
    project.commit();
    project.thing(COLOUR);
    let (code, printed) = against("git:HEAD");
    assert_eq!(code, 2, "{printed}");
    assert!(
        printed.contains("error[field-without-default]: shop.Thing: size: this field is gone"),
        "{printed}"
    );
    assert!(printed.contains("::: git:HEAD:shop/avro/Thing.avsc:5:"), "{printed}");
    assert!(
        printed.contains("= breaks: readers that are not updated (git:HEAD) fail on new records"),
        "{printed}"
    );

    // Before that commit there was no colour, and after it there is no other difference.
    let (code, printed) = project.schemas(&["diff", "--against", "git:HEAD~1"]);
    assert_eq!(code, 2, "{printed}");
    assert!(printed.contains("colour: this field is new"), "{printed}");
}

#[test]
fn subject_that_is_gone_since_a_commit_is_reported() {
    let project = Project::new();
    let file = project.thing(SIZE);
    fs::rename(&file, file.with_file_name("Other.avsc")).expect("renamed");
    assert_eq!(
        project.schemas(&["check", "--against", "git:HEAD"]).0,
        0,
        "the file's name is not the schema's"
    );

    let text = fs::read_to_string(file.with_file_name("Other.avsc")).expect("a file");
    fs::write(file.with_file_name("Other.avsc"), text.replace("shop.Thing", "shop.Other"))
        .expect("written");
    let (code, printed) = project.schemas(&["check", "--against", "git:HEAD"]);
    assert_eq!(code, 2, "{printed}");
    assert!(printed.contains("error[subject-removed]: shop.Thing"), "{printed}");
}

#[test]
fn folder_is_a_baseline() {
    let (project, other) = (Project::new(), Project::new());
    project.thing(&SIZE.replace("int", "string"));
    let folder = other.folder().join("avro");
    let (code, printed) = project.schemas(&["check", "--against", folder.to_str().expect("text")]);
    assert_eq!(code, 2, "{printed}");
    assert!(
        printed.contains("error[type-changed]: shop.Thing: size: int can't be read as string"),
        "{printed}"
    );
}

#[test]
fn diff_judges_by_all_released_versions_as_check_does() {
    let project = Project::new();
    let text = |fields: &str| fs::read_to_string(project.thing(fields)).expect("a file");
    let versions = [text(SIZE), text(&SIZE.replace(r#""doc""#, r#""default": 0, "doc""#))];
    let released = project.folder().join("released/shop.Thing");
    fs::create_dir_all(&released).expect("a folder");
    for (number, version) in (1..).zip(versions) {
        fs::write(released.join(format!("{number}.avsc")), version).expect("written");
    }
    // Readers of version 2 have a default for the size, those of version 1 have none.
    project.thing(COLOUR);
    assert_eq!(project.schemas(&["check"]).0, 2);
    let (code, printed) = project.schemas(&["diff"]);
    assert_eq!(code, 2, "{printed}");
    assert!(printed.contains("BREAKS  size: this field is gone"), "{printed}");
    assert!(
        printed.contains("breaks: readers that are not updated (version 1) fail on new records"),
        "{printed}"
    );
    assert!(printed.ends_with("1 schema: 2 changes, 1 of them breaking\n"), "{printed}");
}

#[test]
fn two_files_are_compared() {
    let (project, other) = (Project::new(), Project::new());
    let old = other.thing(SIZE);
    let diff = |fields: &str| {
        let new = project.thing(fields);
        project.schemas(&["diff", old.to_str().expect("text"), new.to_str().expect("text")])
    };

    assert_eq!(diff(SIZE), (0, "1 schema: no change\n".to_owned()));
    let (code, printed) = diff(&format!("{SIZE}, {COLOUR}"));
    assert_eq!(code, 1, "{printed}");
    let expected = "shop.Thing\n          colour: this field is new: union of null, string, default null  ($.fields[1])\n\
                    1 schema: 1 change, none breaks\n";
    assert_eq!(printed, expected);
    let (code, printed) = diff(COLOUR);
    assert_eq!(code, 2, "{printed}");
    assert!(printed.contains("BREAKS  size: this field is gone"), "{printed}");
    assert!(printed.ends_with("1 schema: 2 changes, 1 of them breaking\n"), "{printed}");
    let (code, printed) = diff("{");
    assert_eq!(code, 2, "{printed}");
}

#[test]
fn missing_baseline_exits_with_64_and_an_absent_registry_with_69() {
    let project = Project::new();
    for (arguments, expected) in [
        (&["check", "--against", "git:nowhere"][..], "git ls-tree"),
        (&["check", "--against", "git:-x"], "is no commit"),
        (&["check", "--against", "nowhere"], "nowhere is neither a folder nor git:COMMIT"),
        (
            &["check", "--against", "git:HEAD", "--registry", "http://127.0.0.1:1"],
            "cannot be used with",
        ),
        (&["diff", "a.avsc", "b.avsc"], "reading a.avsc"),
        (
            &["diff", "a.avsc", "b.avsc", "--against", "git:HEAD"],
            "diff compares two files with each other, or",
        ),
        (&["diff", "a.avsc"], "diff compares two files with each other, or"),
    ] {
        let (code, printed) = project.schemas(arguments);
        assert_eq!(code, 64, "{printed}");
        assert!(printed.contains(expected), "{printed}");
    }
    // Nothing listens at port 1.
    for command in ["check", "diff"] {
        let (code, printed) = project.schemas(&[command, "--registry", "http://127.0.0.1:1"]);
        assert_eq!(code, 69, "{printed}");
        assert!(printed.contains("the registry at http://127.0.0.1:1 can't be used"), "{printed}");
    }
}

//! The pre-commit hook of the README, and `--staged`, in real repositories: linked worktrees, the
//! index, links, a first commit, a moved folder. Everything that is checked comes from the index.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

struct Repository(tempfile::TempDir);

impl Repository {
    /// A repository without a commit, with the hook.
    fn new() -> Self {
        let repository = Self(tempfile::tempdir().expect("a folder"));
        repository.git(&["init", "-q"]);
        let program = env!("CARGO_BIN_EXE_schemas");
        let hook = format!(
            "#!/bin/sh\n{program} lint --staged && exec {program} check --staged --against git:HEAD\n"
        );
        let path = repository.path(".git/hooks/pre-commit");
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, hook).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
        repository
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn thing(&self, path: &str, kind: &str) {
        thing(&self.path(path), kind);
    }

    /// Keeps the working `Thing` as this version of it.
    fn release_thing(&self, version: u32) {
        let path = self.path(&format!("schemas/released/shop.Thing/{version}.avsc"));
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::copy(self.path("schemas/avro/Thing.avsc"), path).expect("copied");
    }

    fn git(&self, arguments: &[&str]) -> (bool, String) {
        git(self.0.path(), arguments)
    }

    /// The exit code of `schemas`, run at the top, and everything that it printed.
    fn schemas(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_schemas"));
        let command = command.args(arguments).current_dir(self.0.path());
        let output = command.env_remove("MILLRACE_SCHEMAS").output().expect("the command runs");
        let printed = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(printed).expect("text"))
    }

    fn commit(&self, arguments: &[&str]) -> (bool, String) {
        self.git(&[&["commit", "-qm", "A commit"], arguments].concat())
    }

    /// A repository whose first commit has a `Thing` of this size.
    fn with_thing() -> Self {
        let repository = Self::new();
        repository.thing("schemas/avro/Thing.avsc", "int");
        repository.git(&["add", "."]);
        let (ok, printed) = repository.commit(&[]);
        assert!(ok, "{printed}");
        repository
    }
}

fn thing(path: &Path, kind: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    let name = path.file_stem().expect("a name").to_string_lossy();
    let text = format!(
        r#"{{"type":"record","name":"{name}","namespace":"shop","doc":"D.","fields":[{{"name":"size","type":"{kind}","doc":"D."}}]}}"#
    );
    fs::write(path, text).expect("written");
}

fn git(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let settings = ["-c", "user.name=a", "-c", "user.email=a@localhost"];
    let mut git = Command::new("git");
    let git = git
        .args(settings)
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null");
    let output = git.env_remove("MILLRACE_SCHEMAS").output().expect("git runs");
    (
        output.status.success(),
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
    )
}

#[test]
fn first_commit_passes_and_says_that_nothing_was_compared() {
    let repository = Repository::new();
    repository.thing("schemas/avro/Thing.avsc", "int");
    repository.git(&["add", "."]);
    let (ok, printed) = repository.commit(&[]);
    assert!(ok, "{printed}");
    assert!(printed.contains("warning[empty-baseline]"), "{printed}");
}

#[test]
fn staged_break_is_refused_whatever_the_working_tree_holds() {
    let repository = Repository::with_thing();
    repository.thing("schemas/avro/Thing.avsc", "string");
    repository.git(&["add", "."]);
    repository.thing("schemas/avro/Thing.avsc", "int");
    let (ok, printed) = repository.commit(&[]);
    assert!(!ok && printed.contains("error[type-changed]"), "{printed}");

    // And the other way round: a break in the working tree does not matter yet.
    repository.git(&["add", "."]);
    repository.thing("schemas/avro/Thing.avsc", "string");
    let (ok, printed) = repository.commit(&["--allow-empty"]);
    assert!(ok, "{printed}");
    // `--all` and a path give the hook an index of its own.
    for arguments in [&["--all"][..], &["schemas"]] {
        let (ok, printed) = repository.commit(arguments);
        assert!(!ok && printed.contains("error[type-changed]"), "{arguments:?}: {printed}");
    }
}

#[test]
fn hook_in_a_linked_worktree_checks_that_worktree() {
    let repository = Repository::with_thing();
    let linked = repository.path("linked");
    repository.git(&["worktree", "add", "-q", "linked"]);
    thing(&linked.join("schemas/avro/Other.avsc"), "int");
    git(&linked, &["add", "schemas"]);
    let (ok, printed) = git(&linked, &["commit", "-qm", "Another"]);
    assert!(ok && printed.contains("2 schemas (1 of them new)"), "{printed}");

    thing(&linked.join("schemas/avro/Thing.avsc"), "string");
    let (ok, printed) = git(&linked, &["commit", "-qam", "A break"]);
    assert!(!ok && printed.contains("error[type-changed]"), "{printed}");
}

#[test]
fn links_to_files_and_folders_are_followed_at_a_commit_and_in_the_index() {
    let repository = Repository::new();
    repository.thing("shared/Thing.avsc", "int");
    repository.thing("shared/more/Other.avsc", "int");
    fs::create_dir_all(repository.path("schemas/avro")).expect("a folder");
    symlink("../../shared/Thing.avsc", repository.path("schemas/avro/Thing.avsc")).expect("a link");
    symlink("../../shared/more", repository.path("schemas/avro/more")).expect("a link");
    repository.git(&["add", "."]);
    let (ok, printed) = repository.commit(&[]);
    assert!(ok && printed.contains("2 schemas (2 of them new)"), "{printed}");

    repository.thing("shared/more/Other.avsc", "string");
    repository.git(&["add", "."]);
    let (ok, printed) = repository.commit(&[]);
    assert!(!ok && printed.contains("error[type-changed]: shop.Other"), "{printed}");

    symlink(".", repository.path("schemas/avro/circle")).expect("a link");
    repository.git(&["add", "."]);
    let (ok, printed) = repository.commit(&[]);
    assert!(!ok && printed.contains("circle is a link that leads to no file"), "{printed}");
}

#[test]
fn moved_folder_is_refused_until_its_old_place_is_named() {
    let repository = Repository::with_thing();
    repository.git(&["mv", "schemas", "shapes"]);
    repository.thing("shapes/avro/Thing.avsc", "string");
    repository.git(&["add", "."]);
    let folder = repository.path("shapes");
    let folder = folder.to_str().expect("text");
    let check = |against: &str| {
        repository.schemas(&["check", "--staged", "--folder", folder, "--against", against])
    };
    let (code, printed) = check("git:HEAD");
    assert_eq!(code, Some(64), "{printed}");
    assert!(printed.contains("but has schemas/avro/Thing.avsc"), "{printed}");
    let (code, printed) = check("git:HEAD:schemas/avro");
    assert_eq!(code, Some(2), "{printed}");
    assert!(printed.contains("error[type-changed]"), "{printed}");
}

const EXCEPTION: &str = r#"
[[allow]]
rule = "subject-removed"
at = "shop.Thing"
reason = "No topic holds one."
"#;

#[test]
fn exceptions_count_as_they_are_staged_whatever_the_working_tree_holds() {
    let repository = Repository::with_thing();
    repository.git(&["rm", "-q", "schemas/avro/Thing.avsc"]);
    repository.thing("schemas/avro/Other.avsc", "int");
    repository.git(&["add", "."]);
    fs::write(repository.path("schemas/schemas.toml"), EXCEPTION).expect("written");
    let (ok, printed) = repository.commit(&[]);
    assert!(!ok && printed.contains("error[subject-removed]"), "{printed}");

    repository.git(&["add", "."]);
    fs::remove_file(repository.path("schemas/schemas.toml")).expect("removed");
    let (ok, printed) = repository.commit(&[]);
    assert!(ok, "{printed}");
}

#[test]
fn exceptions_of_lint_count_as_they_are_staged() {
    let repository = Repository::new();
    repository.thing("schemas/avro/Thing.avsc", "int");
    fs::write(
        repository.path("schemas/schemas.toml"),
        EXCEPTION.replace("subject-removed", "naming"),
    )
    .expect("written");
    repository.git(&["add", "."]);
    fs::remove_file(repository.path("schemas/schemas.toml")).expect("removed");

    let (code, printed) = repository.schemas(&["lint", "--staged"]);

    assert_eq!(code, Some(2), "{printed}");
    assert!(printed.contains("unused-allow"), "{printed}");
}

#[test]
fn broken_exceptions_in_the_index_are_an_error_with_their_path() {
    let repository = Repository::with_thing();
    fs::write(repository.path("schemas/schemas.toml"), "[[allow]]\nrule = 1\n").expect("written");
    repository.git(&["add", "."]);
    fs::remove_file(repository.path("schemas/schemas.toml")).expect("removed");
    for command in ["lint", "check", "diff"] {
        let (code, printed) = repository.schemas(&[command, "--staged"]);
        assert_eq!(code, Some(2), "{command}: {printed}");
        assert!(printed.contains("schemas/schemas.toml"), "{command}: {printed}");
    }
}

#[test]
fn released_versions_count_as_they_are_staged_whatever_the_working_tree_holds() {
    let repository = Repository::with_thing();
    repository.release_thing(1);
    repository.git(&["add", "."]);
    fs::remove_dir_all(repository.path("schemas/released")).expect("removed");
    repository.thing("schemas/avro/Thing.avsc", "string");
    let (code, printed) = repository.schemas(&["check", "--staged"]);
    assert_eq!((code, printed.as_str()), (Some(0), "1 schema against 1 released version: fine\n"));

    repository.git(&["add", "schemas/avro"]);
    for (command, expected) in
        [("check", "error[type-changed]"), ("diff", "BREAKS  size: int is now string")]
    {
        let (code, printed) = repository.schemas(&[command, "--staged"]);
        assert_eq!(code, Some(2), "{command}: {printed}");
        assert!(printed.contains(expected), "{command}: {printed}");
        assert!(printed.contains("1 schema"), "{command}: {printed}");
    }
    // And the other way round: what only the working tree has was not released yet.
    repository.git(&["restore", "--source=HEAD", "--staged", "."]);
    repository.release_thing(1);
    let (code, printed) = repository.schemas(&["check", "--staged"]);
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("warning[empty-baseline]"), "{printed}");
}

#[test]
fn diff_of_the_index_leaves_out_what_is_not_staged() {
    let repository = Repository::with_thing();
    repository.thing("schemas/avro/Thing.avsc", "string");
    let diff = |staged: &[&str]| {
        repository.schemas(&[&["diff", "--against", "git:HEAD"], staged].concat())
    };
    assert_eq!(diff(&["--staged"]), (Some(0), "1 schema: no change\n".to_owned()));
    assert_eq!(diff(&[]).0, Some(2));

    repository.git(&["add", "."]);
    repository.thing("schemas/avro/Thing.avsc", "int");
    let (code, printed) = diff(&["--staged"]);
    assert_eq!(code, Some(2), "{printed}");
    assert!(printed.contains("BREAKS  size: int is now string"), "{printed}");
    assert_eq!(diff(&[]), (Some(0), "1 schema: no change\n".to_owned()));

    let (code, printed) = repository.schemas(&["diff", "--staged", "a.avsc", "b.avsc"]);
    assert_eq!(code, Some(64), "{printed}");
}

#[test]
fn long_history_in_the_index_is_read_in_one_go() {
    let repository = Repository::with_thing();
    (1..=300).for_each(|version| repository.release_thing(version));
    repository.git(&["add", "."]);
    let (code, printed) = repository.schemas(&["check", "--staged"]);
    assert_eq!(
        (code, printed.as_str()),
        (Some(0), "1 schema against 300 released versions: fine\n")
    );
}

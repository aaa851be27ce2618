//! The pre-commit hook of the README in real repositories: linked worktrees, the index, links, a first commit, a moved folder.

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

    fn git(&self, arguments: &[&str]) -> (bool, String) {
        git(self.0.path(), arguments)
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
    let git = git.args(settings).args(arguments).current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null");
    let output = git.env_remove("MILLRACE_SCHEMAS").output().expect("git runs");
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
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
    let check = |against: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_schemas"));
        let command = command.args(["check", "--staged", "--against", against]).current_dir(&folder);
        let output = command.env_remove("MILLRACE_SCHEMAS").output().expect("the command runs");
        let printed = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(printed).expect("text"))
    };
    let (code, printed) = check("git:HEAD");
    assert_eq!(code, Some(64), "{printed}");
    assert!(printed.contains("but has schemas/avro/Thing.avsc"), "{printed}");
    let (code, printed) = check("git:HEAD:schemas/avro");
    assert_eq!(code, Some(2), "{printed}");
    assert!(printed.contains("error[type-changed]"), "{printed}");
}

//! Runs git in a folder, and reads what it prints.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Output, Stdio},
    thread,
};

use anyhow::{Context as _, Result};

use crate::stop::Stop;

/// The variables that git sets for its hooks. They name the hook's repository, and git would obey
/// them in any folder.
const HOOK_VARIABLES: [&str; 9] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
];
/// Git in a folder.
#[derive(Debug)]
pub(super) struct Git {
    pub(super) folder: PathBuf,
    /// The index, if it is not the one of the repository.
    pub(super) index: Option<PathBuf>,
}

impl Git {
    /// Runs git to its end.
    fn run(&self, arguments: &[&str], input: &[u8]) -> Result<Output> {
        let mut git = Command::new("git");
        git.arg("-C").arg(&self.folder).args(arguments);
        for name in HOOK_VARIABLES {
            git.env_remove(name);
        }
        if let Some(index) = &self.index {
            git.env("GIT_INDEX_FILE", index);
        }
        git.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = git.spawn().context("running git")?;
        let stdin = child.stdin.take();
        thread::scope(|scope| {
            // On its own thread, because git prints before it has read everything. The error of a
            // git that has already ended is in its exit status.
            scope.spawn(move || {
                if let Some(mut stdin) = stdin {
                    drop(stdin.write_all(input));
                }
            });
            child.wait_with_output().context("running git")
        })
    }

    /// Runs git and returns what it prints. A failure of git is wrong usage.
    pub(super) fn bytes(&self, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>> {
        let output = self.run(arguments, input)?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            return Err(Stop::Usage(format!("git {}: {}", arguments.join(" "), why.trim())).into());
        }
        Ok(output.stdout)
    }

    /// The same as text.
    pub(super) fn text(&self, arguments: &[&str]) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.bytes(arguments, &[])?).into_owned())
    }

    /// The path of the folder from the top of the repository.
    pub(super) fn prefix(&self) -> Result<String> {
        let printed = self.text(&["rev-parse", "--show-prefix"])?;
        Ok(printed.trim_end_matches('\n').trim_end_matches('/').to_owned())
    }

    /// Whether the branch has no commit yet.
    pub(super) fn is_unborn(&self) -> Result<bool> {
        let has_commit = self.run(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], &[])?;
        let is_branch = self.run(&["symbolic-ref", "--quiet", "HEAD"], &[])?;
        Ok(!has_commit.status.success() && is_branch.status.success())
    }

    /// The contents of files, by their ids.
    pub(super) fn contents(&self, ids: &[String]) -> Result<Vec<Vec<u8>>> {
        let input: String = ids.iter().map(|id| format!("{id}\n")).collect();
        let printed = self.bytes(&["cat-file", "--batch"], input.as_bytes())?;
        let mut rest = printed.as_slice();
        ids.iter()
            .map(|id| {
                let unexpected = || format!("git cat-file --batch prints ID blob SIZE for {id}");
                let end = rest.iter().position(|byte| *byte == b'\n').with_context(unexpected)?;
                let head = String::from_utf8_lossy(&rest[..end]);
                let size = head
                    .strip_prefix(&format!("{id} blob "))
                    .and_then(|size| size.parse::<usize>().ok());
                let (bytes, after) = rest[end + 1..]
                    .split_at_checked(size.with_context(unexpected)?)
                    .with_context(unexpected)?;
                rest = after.get(1..).unwrap_or_default();
                Ok(bytes.to_vec())
            })
            .collect()
    }
}

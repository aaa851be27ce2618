//! The schemas of a commit, or of the index: what the next commit will hold.
//!
//! It moves no reference and changes no file. Reading the index makes a tree object of it, as a commit would.

use std::{
    env,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result};

use crate::{
    files::{File, shown},
    stop::Stop,
};

/// What git tells the hooks that it runs about their repository. It would be obeyed whatever folder is asked about.
const OF_A_HOOK: [&str; 9] = [
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
/// How many links to folders are followed within each other.
const LINKS_MAX: usize = 8;

/// The files in `folder` at `commit`, which may be `COMMIT:PATH` with the path that the folder had there. A repository
/// without a commit, or a commit without schemas, has none.
pub(crate) fn at_commit(folder: &Path, commit: &str) -> Result<Vec<File>> {
    let (commit, path) = commit.split_once(':').map_or((commit, None), |(commit, path)| (commit, Some(path)));
    if commit.is_empty() || commit.starts_with('-') {
        return Err(Stop::Usage(format!("{commit:?} is no commit: write git:main")).into());
    }
    let git = Git { folder, index: None };
    if commit == "HEAD" && git.is_unborn()? {
        return Ok(Vec::new());
    }
    let root = match path {
        Some(path) => format!("{}/", path.trim_matches('/')),
        None => git.prefix()?,
    };
    let mut files = Vec::new();
    git.files(commit, &root, 0, &mut |whole, bytes| {
        let below = whole.strip_prefix(&root).unwrap_or(whole);
        let place = if path.is_some() { whole.to_owned() } else { format!("./{below}") };
        files.push(File::new(format!("git:{commit}:{place}"), bytes)?);
        Ok(())
    })?;
    let is_schema = |path: &&str| path.ends_with(".avsc");
    let all = git.text(&["ls-tree", "-r", "--name-only", "--full-tree", "-z", commit])?;
    match all.split('\0').find(is_schema) {
        Some(elsewhere) if files.is_empty() => {
            let why = format!(
                "git:{commit} has no *.avsc in {root}, but has {elsewhere}: name the folder, as in git:{commit}:PATH"
            );
            Err(Stop::Usage(why).into())
        }
        _ => Ok(files),
    }
}

/// The files in `folder` as the index has them.
pub(crate) fn staged(folder: &Path) -> Result<Vec<File>> {
    let mut git = Git { folder, index: None };
    // `git commit --all` and `git commit FILE` give their hooks an index of its own.
    if let Some(index) = env::var_os("GIT_INDEX_FILE") {
        let index = std::path::absolute(index)?;
        let here = git.text(&["rev-parse", "--absolute-git-dir"])?;
        if index.starts_with(here.trim_end()) {
            git.index = Some(index);
        }
    }
    let (tree, root) = (git.text(&["write-tree"])?, git.prefix()?);
    let mut files = Vec::new();
    git.files(tree.trim_end(), &root, 0, &mut |whole, bytes| {
        let below = whole.strip_prefix(&root).unwrap_or(whole);
        files.push(File::new(shown(&folder.join(below)), bytes)?);
        Ok(())
    })?;
    Ok(files)
}

/// Runs git in a folder.
struct Git<'a> {
    folder: &'a Path,
    /// The index, where it is not that of the repository.
    index: Option<PathBuf>,
}

impl Git<'_> {
    fn run(&self, arguments: &[&str], input: &[u8]) -> Result<Output> {
        let mut git = Command::new("git");
        git.arg("-C").arg(self.folder).args(arguments);
        for name in OF_A_HOOK {
            git.env_remove(name);
        }
        if let Some(index) = &self.index {
            git.env("GIT_INDEX_FILE", index);
        }
        git.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = git.spawn().context("running git")?;
        if let Some(mut stdin) = child.stdin.take() {
            // It is one line, so git need not read for this to end. Git may have ended already, with an error to tell.
            drop(stdin.write_all(input));
        }
        child.wait_with_output().context("running git")
    }

    fn bytes(&self, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>> {
        let output = self.run(arguments, input)?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            return Err(Stop::Usage(format!("git {}: {}", arguments.join(" "), why.trim())).into());
        }
        Ok(output.stdout)
    }

    fn text(&self, arguments: &[&str]) -> Result<String> {
        Ok(String::from_utf8(self.bytes(arguments, &[])?)?)
    }

    /// The folder as a path from the top of the repository, with a slash at its end.
    fn prefix(&self) -> Result<String> {
        Ok(self.text(&["rev-parse", "--show-prefix"])?.trim_end_matches('\n').to_owned())
    }

    /// Whether the branch has no commit yet.
    fn is_unborn(&self) -> Result<bool> {
        let has_commit = self.run(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], &[])?;
        let is_branch = self.run(&["symbolic-ref", "--quiet", "HEAD"], &[])?;
        Ok(!has_commit.status.success() && is_branch.status.success())
    }

    /// Gives each `*.avsc` below `root` in the tree to `take`, with its path from the top. Links are followed.
    fn files(
        &self,
        tree: &str,
        root: &str,
        links: usize,
        take: &mut dyn FnMut(&str, Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let object = format!("{tree}:{}", root.trim_end_matches('/'));
        let listed = if links == 0 {
            let mut arguments = vec!["ls-tree", "-r", "-z", "--full-tree", tree];
            if !root.is_empty() {
                arguments.extend(["--", root]);
            }
            self.text(&arguments)?
        } else {
            let (_, id) = self.followed(&object)?;
            self.text(&["ls-tree", "-r", "-z", "--full-tree", &id])?
        };
        for entry in listed.split('\0').filter(|entry| !entry.is_empty()) {
            let (about, path) =
                entry.split_once('\t').context("git ls-tree prints a tab before each path")?;
            let whole = if links == 0 { path.to_owned() } else { format!("{root}{path}") };
            let (is_link, is_schema) = (about.starts_with("120000 "), whole.ends_with(".avsc"));
            let id = about.rsplit(' ').next().unwrap_or_default().to_owned();
            let (kind, id) = match is_link {
                true => self.followed(&format!("{tree}:{whole}"))?,
                false => ("blob".to_owned(), id),
            };
            match kind.as_str() {
                "blob" if is_schema => take(&whole, self.bytes(&["cat-file", "blob", &id], &[])?)?,
                "tree" if links < LINKS_MAX => self.files(tree, &format!("{whole}/"), links + 1, take)?,
                "tree" => {
                    let why =
                        format!("{whole}: more than {LINKS_MAX} links to folders, each in the one before");
                    return Err(Stop::Usage(why).into());
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Kind and id of what a path leads to, behind every link.
    fn followed(&self, object: &str) -> Result<(String, String)> {
        let arguments = ["cat-file", "--batch-check=%(objecttype) %(objectname)", "--follow-symlinks"];
        let told = self.bytes(&arguments, format!("{object}\n").as_bytes())?;
        let told = String::from_utf8_lossy(&told);
        let line = told.lines().next().unwrap_or_default();
        match line.split_once(' ') {
            Some((kind @ ("blob" | "tree"), id)) => Ok((kind.to_owned(), id.to_owned())),
            _ => {
                let why = format!("{object} is a link that leads to no file of the repository");
                Err(Stop::Usage(why).into())
            }
        }
    }
}

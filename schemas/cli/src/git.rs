//! A folder as git has it at a commit, or in the index: what the next commit will hold.
//!
//! It moves no reference and changes no file. Reading the index makes a tree object of it, as a
//! commit would.

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    files::{File, shown},
    stop::Stop,
};

/// What git tells the hooks that it runs about their repository. It would be obeyed whatever folder
/// is asked about.
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

/// The `*.avsc` at `commit`: those of `folder`, or with `COMMIT:PATH` those of the folder that the
/// commit has at this path. A repository without a commit, or a commit without schemas, has none.
pub(crate) fn at_commit(folder: &Path, commit: &str) -> Result<Vec<File>> {
    let (commit, path) =
        commit.split_once(':').map_or((commit, None), |(commit, path)| (commit, Some(path)));
    if commit.is_empty() || commit.starts_with('-') {
        return Err(Stop::Usage(format!("{commit:?} is no commit: write git:main")).into());
    }
    let git = Git { folder: folder.to_owned(), index: None };
    if commit == "HEAD" && git.is_unborn()? {
        return Ok(Vec::new());
    }
    let all = git.text(&["ls-tree", "-r", "--name-only", "--full-tree", "-z", commit])?;
    let root = match path {
        Some(path) => path.trim_matches('/').to_owned(),
        None => git.prefix()?,
    };
    let tree = Tree { git, id: commit.to_owned(), root, place: Place::Commit };
    let is_schema = |path: &str| path.ends_with(".avsc");
    let files = tree.files("", |path| Ok(is_schema(path)))?;
    match all.split('\0').find(|path| is_schema(path)) {
        Some(elsewhere) if files.is_empty() => {
            let root = &tree.root;
            let why = format!(
                "git:{commit} has no *.avsc in {root}/, but has {elsewhere}: name the folder, as in git:{commit}:PATH"
            );
            Err(Stop::Usage(why).into())
        }
        _ => Ok(files),
    }
}

/// A folder in a tree of git.
#[derive(Debug)]
pub(crate) struct Tree {
    git: Git,
    /// A name of the tree: its id, or a commit that has it.
    id: String,
    /// The folder's path from the top of the repository; empty for the top.
    root: String,
    place: Place,
}

/// Where a tree is from, and so where people are told that its files are.
#[derive(Debug)]
enum Place {
    Commit,
    Index,
}

impl Tree {
    /// The folder as the index has it.
    pub(crate) fn staged(folder: &Path) -> Result<Self> {
        let mut git = Git { folder: folder.to_owned(), index: None };
        // `git commit --all` and `git commit FILE` give their hooks an index of its own.
        if let Some(index) = env::var_os("GIT_INDEX_FILE") {
            let index = fs::canonicalize(&index).or_else(|_| std::path::absolute(index))?;
            let here = git.text(&["rev-parse", "--absolute-git-dir"])?;
            if index.starts_with(here.trim_end()) {
                git.index = Some(index);
            }
        }
        let (id, root) = (git.text(&["write-tree"])?.trim_end().to_owned(), git.prefix()?);
        Ok(Self { git, id, root, place: Place::Index })
    }

    /// Reads the files below `folder` whose place, the path from there, is `wanted`, in the order
    /// of their places. Links are followed. There are none where there is no such folder.
    pub(crate) fn files(
        &self,
        folder: &str,
        mut wanted: impl FnMut(&str) -> Result<bool>,
    ) -> Result<Vec<File>> {
        let mut found = Vec::new();
        if let Some((Kind::Tree, id)) = self.at(&joined(&self.root, folder))? {
            self.list(&id, folder, "", 0, &mut found)?;
        }
        found.sort();
        let mut places = Vec::new();
        let mut ids = Vec::new();
        for (place, id) in found {
            if wanted(&place)? {
                places.push(place);
                ids.push(id);
            }
        }
        let contents = self.git.contents(&ids)?;
        let file = |(place, bytes): (String, _)| {
            File::new(self.shown(&joined(folder, &place)), place, bytes)
        };
        places.into_iter().zip(contents).map(file).collect()
    }

    /// Reads one file, if there is one at this path from the folder.
    pub(crate) fn file(&self, path: &str) -> Result<Option<File>> {
        let Some((Kind::Blob, id)) = self.at(&joined(&self.root, path))? else { return Ok(None) };
        let bytes = self.git.contents(&[id])?.remove(0);
        File::new(self.shown(path), path.to_owned(), bytes).map(Some)
    }

    /// The path that people are shown of a file, for its path from the folder.
    fn shown(&self, path: &str) -> String {
        match self.place {
            Place::Commit => format!("git:{}:{}", self.id, joined(&self.root, path)),
            Place::Index => shown(&self.git.folder.join(path)),
        }
    }

    /// Lists the files in the tree `id`, which is at `folder` and there at `place`, with their
    /// places and ids.
    fn list(
        &self,
        id: &str,
        folder: &str,
        place: &str,
        links: usize,
        found: &mut Vec<(String, String)>,
    ) -> Result<()> {
        let listed = self.git.text(&["ls-tree", "-r", "-z", "--full-tree", id])?;
        for entry in listed.split('\0').filter(|entry| !entry.is_empty()) {
            let (about, path) =
                entry.split_once('\t').context("git ls-tree prints a tab before each path")?;
            let place = joined(place, path);
            let id = about.rsplit(' ').next().unwrap_or_default();
            if !about.starts_with("120000 ") {
                if about.contains(" blob ") {
                    found.push((place, id.to_owned()));
                }
                continue;
            }
            let whole = joined(&self.root, &joined(folder, &place));
            match self.at(&whole)? {
                Some((Kind::Blob, id)) => found.push((place, id)),
                Some((Kind::Tree, id)) if links < LINKS_MAX => {
                    self.list(&id, folder, &place, links + 1, found)?;
                }
                Some((Kind::Tree, _)) => {
                    let why = format!(
                        "{whole}: more than {LINKS_MAX} links to folders, each in the one before"
                    );
                    return Err(Stop::Usage(why).into());
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Kind and id of what is at a path from the top, behind every link; `None` where nothing is.
    fn at(&self, path: &str) -> Result<Option<(Kind, String)>> {
        ensure!(!path.contains('\n'), "{path:?} has a line break, which git can't be asked about");
        let object = format!("{}:{path}", self.id);
        let arguments =
            ["cat-file", "--batch-check=%(objecttype) %(objectname)", "--follow-symlinks"];
        let told = self.git.bytes(&arguments, format!("{object}\n").as_bytes())?;
        let told = String::from_utf8_lossy(&told);
        let line = told.lines().next().unwrap_or_default();
        match line.split_once(' ') {
            Some(("blob", id)) => Ok(Some((Kind::Blob, id.to_owned()))),
            Some(("tree", id)) => Ok(Some((Kind::Tree, id.to_owned()))),
            _ if line == format!("{object} missing") => Ok(None),
            _ => {
                let why = format!("{object} is a link that leads to no file of the repository");
                Err(Stop::Usage(why).into())
            }
        }
    }
}

/// What git has at a path.
enum Kind {
    /// A file.
    Blob,
    /// A folder.
    Tree,
}

/// One path below another; either may be empty.
fn joined(path: &str, below: &str) -> String {
    if path.is_empty() || below.is_empty() {
        format!("{path}{below}")
    } else {
        format!("{path}/{below}")
    }
}

/// Runs git in a folder.
#[derive(Debug)]
struct Git {
    folder: PathBuf,
    /// The index, where it is not that of the repository.
    index: Option<PathBuf>,
}

impl Git {
    fn run(&self, arguments: &[&str], input: &[u8]) -> Result<Output> {
        let mut git = Command::new("git");
        git.arg("-C").arg(&self.folder).args(arguments);
        for name in OF_A_HOOK {
            git.env_remove(name);
        }
        if let Some(index) = &self.index {
            git.env("GIT_INDEX_FILE", index);
        }
        git.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = git.spawn().context("running git")?;
        let stdin = child.stdin.take();
        thread::scope(|scope| {
            // Beside the reading, because git answers before it has read everything. Git may also
            // have ended already, with an error to tell.
            scope.spawn(move || {
                if let Some(mut stdin) = stdin {
                    drop(stdin.write_all(input));
                }
            });
            child.wait_with_output().context("running git")
        })
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
        Ok(String::from_utf8_lossy(&self.bytes(arguments, &[])?).into_owned())
    }

    /// The folder as a path from the top of the repository.
    fn prefix(&self) -> Result<String> {
        let printed = self.text(&["rev-parse", "--show-prefix"])?;
        Ok(printed.trim_end_matches('\n').trim_end_matches('/').to_owned())
    }

    /// Whether the branch has no commit yet.
    fn is_unborn(&self) -> Result<bool> {
        let has_commit = self.run(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], &[])?;
        let is_branch = self.run(&["symbolic-ref", "--quiet", "HEAD"], &[])?;
        Ok(!has_commit.status.success() && is_branch.status.success())
    }

    /// The contents of files, by their ids.
    fn contents(&self, ids: &[String]) -> Result<Vec<Vec<u8>>> {
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

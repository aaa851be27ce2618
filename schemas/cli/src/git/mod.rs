//! A folder in git: at a commit, or in the index, which is what the next commit will hold.
//!
//! It moves no reference and changes no file. To read the index it writes a tree object, as a
//! commit does.

mod run;

use std::{env, fs, path::Path};

use anyhow::{Context as _, Result, ensure};

use run::Git;

use crate::{
    files::{File, shown},
    stop::Stop,
};

/// How many links to folders are followed, each within the one before.
const LINKS_MAX: usize = 8;

/// The `*.avsc` at `commit`: of `folder`, or with `COMMIT:PATH` of the folder at this path of the
/// commit. A repository without a commit has none, nor has a commit without schemas.
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
    let tree = Tree { git, id: commit.to_owned(), root, origin: Origin::Commit };
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
    /// The name of the tree: its id, or its commit.
    id: String,
    /// The folder's path from the top of the repository; empty for the top.
    root: String,
    origin: Origin,
}

/// The origin of a tree, which decides the paths that people are shown.
#[derive(Debug)]
enum Origin {
    Commit,
    Index,
}

impl Tree {
    /// The folder in the index.
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
        Ok(Self { git, id, root, origin: Origin::Index })
    }

    /// Reads the files below `folder` whose place, the path from there, is `wanted`, sorted by
    /// place. It follows links. A folder that does not exist has no files.
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

    /// Reads one file; `None` if there is none at this path from the folder.
    pub(crate) fn file(&self, path: &str) -> Result<Option<File>> {
        let Some((Kind::Blob, id)) = self.at(&joined(&self.root, path))? else { return Ok(None) };
        let bytes = self.git.contents(&[id])?.remove(0);
        File::new(self.shown(path), path.to_owned(), bytes).map(Some)
    }

    /// The path that people are shown, for a path from the folder.
    fn shown(&self, path: &str) -> String {
        match self.origin {
            Origin::Commit => format!("git:{}:{}", self.id, joined(&self.root, path)),
            Origin::Index => shown(&self.git.folder.join(path)),
        }
    }

    /// Adds places and ids of the files in the tree `id`, which is at `place` below `folder`.
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

    /// Kind and id of the object at a path from the top, with links followed; `None` if there is
    /// none.
    fn at(&self, path: &str) -> Result<Option<(Kind, String)>> {
        ensure!(!path.contains('\n'), "{path:?} has a line break, which git can't be asked about");
        let object = format!("{}:{path}", self.id);
        let arguments =
            ["cat-file", "--batch-check=%(objecttype) %(objectname)", "--follow-symlinks"];
        let printed = self.git.bytes(&arguments, format!("{object}\n").as_bytes())?;
        let printed = String::from_utf8_lossy(&printed);
        let line = printed.lines().next().unwrap_or_default();
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

/// The kind of an object at a path.
enum Kind {
    /// A file.
    Blob,
    /// A folder.
    Tree,
}

/// Two paths joined; either may be empty.
fn joined(path: &str, below: &str) -> String {
    if path.is_empty() || below.is_empty() {
        format!("{path}{below}")
    } else {
        format!("{path}/{below}")
    }
}

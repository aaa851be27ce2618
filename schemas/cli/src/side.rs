//! One side of a comparison: the working tree, git's index, or a commit. All files that are read
//! through a [`Side`] are of that side. It writes nothing, and it knows neither schemas nor rules.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use walkdir::WalkDir;

use crate::{
    files::{File, bytes, shown},
    git,
    stop::Stop,
};

/// A folder on one side.
#[derive(Debug)]
pub(crate) enum Side {
    /// The folder on disk.
    Disk(PathBuf),
    /// The folder in git.
    Git(git::Tree),
}

impl Side {
    /// The folder in the index if `staged`, and else on disk.
    pub(crate) fn of(folder: &Path, staged: bool) -> Result<Self> {
        Ok(if staged {
            Self::Git(git::Tree::staged(folder)?)
        } else {
            Self::Disk(folder.to_owned())
        })
    }

    /// Reads the files below `folder` whose place, the path from there, is `wanted`, sorted by
    /// place. It follows links. A folder that does not exist has no files.
    pub(crate) fn files(
        &self,
        folder: &str,
        mut wanted: impl FnMut(&str) -> Result<bool>,
    ) -> Result<Vec<File>> {
        match self {
            Self::Disk(root) => {
                let root = root.join(folder);
                let mut files = Vec::new();
                for (place, path) in on_disk(&root)? {
                    if wanted(&place)? {
                        files.push(File::new(shown(&path), place, bytes(&path)?)?);
                    }
                }
                Ok(files)
            }
            Self::Git(tree) => tree.files(folder, wanted),
        }
    }

    /// Reads one file; `None` if there is none at this path.
    pub(crate) fn file(&self, path: &str) -> Result<Option<File>> {
        match self {
            Self::Disk(root) => {
                let path = root.join(path);
                path.is_file().then(|| File::read(&path)).transpose()
            }
            Self::Git(tree) => tree.file(path),
        }
    }

    /// Every `*.avsc` below `folder`. A folder that is missing on disk is wrong usage: it was named
    /// by an argument.
    pub(crate) fn avsc(&self, folder: &str) -> Result<Vec<File>> {
        if let Self::Disk(root) = self {
            let path = root.join(folder);
            if !path.is_dir() {
                let why = format!("reading {}: there is no such folder", path.display());
                return Err(Stop::Usage(why).into());
            }
        }
        self.files(folder, |place| Ok(place.ends_with(".avsc")))
    }
}

/// The places and paths of all files below a folder, sorted by place.
fn on_disk(root: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    if !root.is_dir() {
        return Ok(found);
    }
    // WalkDir returns an error for a link to a folder that contains the link.
    for entry in WalkDir::new(root).follow_links(true) {
        let entry = entry.with_context(|| format!("reading {}", root.display()))?;
        if entry.file_type().is_file() {
            let below = entry.path().strip_prefix(root)?;
            let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
            found.push((parts.join("/"), entry.path().to_owned()));
        }
    }
    found.sort();
    Ok(found)
}

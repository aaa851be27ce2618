//! Reads files from one side: the working tree, git's index, or a commit.
//!
//! Whoever reads through a [`Side`] gets every file from that side. It writes nothing, and it knows
//! neither schemas nor rules.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use walkdir::WalkDir;

use crate::{git, report::position, stop::Stop};

/// A text and where it is from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct File {
    /// The path that people are shown.
    pub(crate) path: String,
    /// The path below the folder that was read, with `/` between its parts:
    /// `order/events/Placed.avsc`.
    pub(crate) place: String,
    /// The contents.
    pub(crate) text: String,
}

impl File {
    /// Reads one file on disk. Its place is its name.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let place = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self::new(shown(path), place, bytes(path)?)
    }

    /// The text of these bytes, if they are UTF-8.
    pub(crate) fn new(path: String, place: String, bytes: Vec<u8>) -> Result<Self> {
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { path, place, text }),
            Err(error) => {
                let (sound, _) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
                let (line, column) = position(&String::from_utf8_lossy(sound));
                Err(Stop::Invalid(format!("{path}:{line}:{column}: this is not UTF-8")).into())
            }
        }
    }

    /// The file's name, without folders.
    pub(crate) fn name(&self) -> &str {
        self.place.rsplit('/').next().unwrap_or(&self.place)
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}

/// The path from the working folder, if it is below.
pub(crate) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().and_then(fs::canonicalize).ok();
    let whole = fs::canonicalize(path).ok();
    let below = whole
        .as_deref()
        .zip(here.as_deref())
        .and_then(|(whole, here)| whole.strip_prefix(here).ok());
    below.unwrap_or(path).display().to_string()
}

/// A folder as one side has it.
#[derive(Debug)]
pub(crate) enum Side {
    /// As it is on disk.
    Disk(PathBuf),
    /// As git has it.
    Git(git::Tree),
}

impl Side {
    /// The folder as the index has it, if `staged`, and else as it is on disk.
    pub(crate) fn of(folder: &Path, staged: bool) -> Result<Self> {
        Ok(if staged {
            Self::Git(git::Tree::staged(folder)?)
        } else {
            Self::Disk(folder.to_owned())
        })
    }

    /// Reads the files below `folder` whose place, the path from there, is `wanted`, in the order
    /// of their places. Links are followed. There are none where there is no such folder.
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

    /// Reads one file, if there is one at this path.
    pub(crate) fn file(&self, path: &str) -> Result<Option<File>> {
        match self {
            Self::Disk(root) => {
                let path = root.join(path);
                path.is_file().then(|| File::read(&path)).transpose()
            }
            Self::Git(tree) => tree.file(path),
        }
    }

    /// Every `*.avsc` below `folder`, which has to be there if it is looked for on disk.
    pub(crate) fn avsc(&self, folder: &str) -> Result<Vec<File>> {
        if let Self::Disk(root) = self {
            let path = root.join(folder);
            ensure!(path.is_dir(), "reading {}: there is no such folder", path.display());
        }
        self.files(folder, |place| Ok(place.ends_with(".avsc")))
    }
}

/// The places and paths of all files below a folder, in the order of their places.
fn on_disk(root: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    if !root.is_dir() {
        return Ok(found);
    }
    // A link to a folder that it is in is an error of the walk.
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

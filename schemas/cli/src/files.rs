//! Texts with their paths. It knows neither git nor schemas.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use crate::stop::Stop;

/// A text and its paths.
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

    /// The text of these bytes. Returns an error with the position if they are not UTF-8.
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

    /// The file's folder below the one that was read; empty for a file directly in it.
    pub(crate) fn folder(&self) -> &str {
        self.place.rsplit_once('/').map_or("", |(folder, _)| folder)
    }
}

/// The contents of a file on disk.
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}

/// The path relative to the working folder if it is below, and else unchanged.
pub(crate) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().and_then(fs::canonicalize).ok();
    let whole = fs::canonicalize(path).ok();
    let below = whole
        .as_deref()
        .zip(here.as_deref())
        .and_then(|(whole, here)| whole.strip_prefix(here).ok());
    below.unwrap_or(path).display().to_string()
}

/// Line and column of the character after `before`. Both begin at 1; columns are characters.
pub(crate) fn position(before: &str) -> (usize, usize) {
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

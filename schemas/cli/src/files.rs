//! Reads schemas: the working folder, what was released, a commit of git, or another folder.
//!
//! Writes nothing, and knows no rules.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::{Path, PathBuf},
    rc::Rc,
};

use anyhow::{Context, Result, bail, ensure};
use schemas::avro::{Invalid, Kind, Root, Schemas, TypeId, Use, parse};

use crate::{
    git,
    report::{Place, position},
    stop::Stop,
};

/// A text and where it is from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct File {
    /// As people are told of it.
    pub(crate) path: String,
    /// What it says.
    pub(crate) text: String,
}

impl File {
    /// A file on disk; people are told its path from the working folder, if it is below.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        Self::new(shown(path), bytes)
    }

    /// The text of these bytes, if they are UTF-8.
    pub(crate) fn new(path: String, bytes: Vec<u8>) -> Result<Self> {
        String::from_utf8(bytes).map(|text| Self { path: path.clone(), text }).map_err(|error| {
            let (sound, _) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
            let (line, column) = position(&String::from_utf8_lossy(sound));
            Stop::Invalid(format!("{path}:{line}:{column}: this is not UTF-8")).into()
        })
    }
}

/// The path from the working folder, if it is below.
pub(crate) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().and_then(fs::canonicalize).ok();
    let whole = fs::canonicalize(path).ok();
    let below = whole.as_deref().zip(here.as_deref()).and_then(|(whole, here)| whole.strip_prefix(here).ok());
    below.unwrap_or(path).display().to_string()
}

/// Files that may use each other's types, parsed together.
#[derive(Debug)]
pub(crate) struct Texts {
    /// The files, in the order of their paths.
    pub(crate) files: Vec<Rc<File>>,
    /// Their types.
    pub(crate) schemas: Schemas,
    /// What is wrong with them.
    pub(crate) problems: Vec<Invalid>,
}

impl Texts {
    /// Parses files.
    pub(crate) fn new(files: Vec<File>) -> Self {
        let texts: Vec<&str> = files.iter().map(|file| file.text.as_str()).collect();
        let parsed = parse(&texts);
        Self {
            files: files.into_iter().map(Rc::new).collect(),
            schemas: parsed.schemas,
            problems: parsed.problems,
        }
    }

    /// Every `*.avsc` below a folder.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        Ok(Self::new(avsc(folder)?.iter().map(|path| File::read(path)).collect::<Result<_>>()?))
    }

    /// Fails with the first problem of the files, if there is one.
    pub(crate) fn sound(&self) -> Result<()> {
        let Some(problem) = self.problems.first() else { return Ok(()) };
        let place = Place::new(self, problem.span, "");
        Err(Stop::Invalid(format!("{place}: {problem}; `schemas lint` shows all problems")).into())
    }

    /// The folder's `*.avsc` as they are on disk, or as the index has them.
    pub(crate) fn working(folder: &Path, staged: bool) -> Result<Self> {
        if staged { Ok(Self::new(git::staged(folder)?)) } else { Self::read(folder) }
    }

    /// The file that a source of the parser is.
    pub(crate) fn file(&self, source: u32) -> &Rc<File> {
        &self.files[source as usize]
    }

    /// The named types that files consist of, by full name.
    pub(crate) fn roots(&self) -> BTreeMap<&str, Root<'_>> {
        (0..self.files.len())
            .filter_map(|index| self.schemas.root(index))
            .filter_map(|root| Some((root.name()?.full(), root)))
            .collect()
    }

    /// Types that another file than their own refers to.
    pub(crate) fn shared(&self) -> HashSet<TypeId> {
        let mut shared = HashSet::new();
        for one in self.schemas.types() {
            for used in uses(&one.kind) {
                let defined = self.schemas.get(used.id).span;
                if defined.is_some_and(|defined| defined.source != used.span.source) {
                    shared.insert(used.id);
                }
            }
        }
        shared
    }
}

/// The types that a type uses directly.
pub(crate) fn uses(kind: &Kind) -> Vec<Use> {
    match kind {
        Kind::Array(one) | Kind::Map(one) => vec![*one],
        Kind::Union(branches) => branches.clone(),
        Kind::Record(record) => record.fields.iter().map(|field| field.kind).collect(),
        _ => Vec::new(),
    }
}

/// What the working schemas are compared with.
#[derive(Debug)]
pub(crate) enum Baseline {
    /// Numbered versions of each subject, each standing by itself.
    History(BTreeMap<String, Vec<(u32, Texts)>>),
    /// One state of all files.
    State {
        /// What people call it.
        name: String,
        /// The files.
        texts: Texts,
    },
}

impl Baseline {
    /// Reads what `--against` names: `git:COMMIT`, or a folder of files or of released versions.
    pub(crate) fn read(against: &str, working: &Path) -> Result<Self> {
        if let Some(commit) = against.strip_prefix("git:") {
            let texts = Texts::new(git::at_commit(working, commit)?);
            return Ok(Self::State { name: against.to_owned(), texts });
        }
        let folder = Path::new(against);
        if !folder.is_dir() {
            return Err(Stop::Usage(format!("{against} is neither a folder nor git:COMMIT")).into());
        }
        let has_versions = fs::read_dir(folder)?.flatten().any(|entry| entry.path().join("1.avsc").is_file());
        if has_versions {
            return Self::released(folder);
        }
        let texts = Texts::read(folder)?;
        if texts.files.is_empty() {
            return Err(Stop::Usage(format!("{against} holds no *.avsc to compare with")).into());
        }
        Ok(Self::State { name: against.to_owned(), texts })
    }

    /// Reads `<folder>/<full name>/<version>.avsc`. No folder is an empty history.
    pub(crate) fn released(folder: &Path) -> Result<Self> {
        let mut histories = BTreeMap::new();
        if folder.is_dir() {
            for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
                let folder = entry?.path();
                if folder.is_dir() {
                    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    let files = history(&folder)?.into_iter().map(|file| Texts::new(vec![file]));
                    histories.insert(name, (1..).zip(files).collect());
                }
            }
        }
        Ok(Self::History(histories))
    }

    /// What is wrong with the files themselves.
    pub(crate) fn invalid(&self) -> impl Iterator<Item = (&Texts, &Invalid)> {
        let all: Vec<&Texts> = match self {
            Self::History(histories) => histories.values().flatten().map(|(_, texts)| texts).collect(),
            Self::State { texts, .. } => vec![texts],
        };
        all.into_iter().flat_map(|texts| texts.problems.iter().map(move |problem| (texts, problem)))
    }

    /// What was released of a subject, oldest first, each with what it is called and its texts.
    pub(crate) fn of(&self, subject: &str) -> Vec<(String, &Texts, Root<'_>)> {
        match self {
            Self::History(histories) => histories
                .get(subject)
                .into_iter()
                .flatten()
                .filter_map(|(version, texts)| {
                    Some((format!("version {version}"), texts, texts.schemas.root(0)?))
                })
                .collect(),
            Self::State { name, texts } => {
                texts.roots().remove(subject).map(|root| (name.clone(), texts, root)).into_iter().collect()
            }
        }
    }

    /// The subjects whose records may be on topics.
    pub(crate) fn subjects(&self) -> Vec<&str> {
        match self {
            Self::History(histories) => histories.keys().map(String::as_str).collect(),
            Self::State { texts, .. } => {
                let shared = texts.shared();
                let is_subject =
                    |root: &Root<'_>| matches!(root.kind(), Kind::Record(_)) && !shared.contains(&root.at.id);
                texts.roots().into_iter().filter(|(_, root)| is_subject(root)).map(|(name, _)| name).collect()
            }
        }
    }
}

/// The versions in a folder: `1.avsc`, `2.avsc`, and so on.
pub(crate) fn history(folder: &Path) -> Result<Vec<File>> {
    let mut paths: Vec<(usize, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let version = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        let Some(version) = version else { bail!("{} is not <version>.avsc", path.display()) };
        paths.push((version, path));
    }
    paths.sort();
    for (index, (version, _)) in paths.iter().enumerate() {
        ensure!(*version == index + 1, "{}: version {} is missing", folder.display(), index + 1);
    }
    paths.iter().map(|(_, path)| File::read(path)).collect()
}

/// The paths of all `*.avsc` below a folder, sorted.
pub(crate) fn avsc(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    collect(folder, &mut paths)?;
    paths.sort();
    Ok(paths)
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, paths)?;
        } else if path.extension().is_some_and(|extension| extension == "avsc") {
            paths.push(path);
        }
    }
    Ok(())
}

//! The schemas to compare with: released versions, those of a registry, of a commit, or of another
//! folder. It writes nothing, and it knows no rules.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Result, bail, ensure};
use schemas::avro::{Invalid, Root};

use crate::{git, side::Side, stop::Stop, texts::Texts};

/// The schemas that the working ones are compared with.
#[derive(Debug)]
pub(crate) enum Baseline {
    /// Numbered versions of each subject, each without references.
    History(BTreeMap<String, Vec<(u32, Texts)>>),
    /// One state of all files.
    State {
        /// Its name for people.
        name: String,
        /// The files.
        texts: Texts,
    },
}

impl Baseline {
    /// Reads the argument of `--against`: `git:COMMIT`, or a folder of files or of released
    /// versions.
    pub(crate) fn read(against: &str, working: &Path) -> Result<Self> {
        if let Some(commit) = against.strip_prefix("git:") {
            let texts = Texts::new(git::at_commit(working, commit)?);
            return Ok(Self::State { name: against.to_owned(), texts });
        }
        let folder = Path::new(against);
        if !folder.is_dir() {
            return Err(Stop::Usage(format!("{against} is neither a folder nor git:COMMIT")).into());
        }
        let side = Side::Disk(folder.to_owned());
        let files = side.avsc("")?;
        if files.is_empty() {
            return Err(Stop::Usage(format!("{against} holds no *.avsc to compare with")).into());
        }
        if files.iter().any(|file| is_first_version(&file.place)) {
            return Self::released(&side, "");
        }
        Ok(Self::State { name: against.to_owned(), texts: Texts::new(files) })
    }

    /// Reads `<folder>/<full name>/<version>.avsc`. A folder that does not exist is an empty
    /// history.
    pub(crate) fn released(side: &Side, folder: &str) -> Result<Self> {
        let mut histories: BTreeMap<String, Vec<(u32, Texts)>> = BTreeMap::new();
        // A file beside the folders of versions is no version.
        for file in
            side.files(folder, |place| Ok(place.contains('/') && version(place).map(|_| true)?))?
        {
            let (name, _) = file.place.split_once('/').unwrap_or_default();
            let versions = histories.entry(name.to_owned()).or_default();
            versions.push((version(&file.place)?, Texts::new(vec![file])));
        }
        for (name, versions) in &mut histories {
            versions.sort_by_key(|(version, _)| *version);
            for (expected, (found, _)) in (1..).zip(versions) {
                ensure!(expected == *found, "{name}: version {expected} is missing in its folder");
            }
        }
        Ok(Self::History(histories))
    }

    /// The problems of the files.
    pub(crate) fn invalid(&self) -> impl Iterator<Item = (&Texts, &Invalid)> {
        let all: Vec<&Texts> = match self {
            Self::History(histories) => {
                histories.values().flatten().map(|(_, texts)| texts).collect()
            }
            Self::State { texts, .. } => vec![texts],
        };
        all.into_iter().flat_map(|texts| texts.problems.iter().map(move |problem| (texts, problem)))
    }

    /// The versions of a subject from the oldest, each with its name for people and its texts.
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
            Self::State { name, texts } => texts
                .subjects()
                .remove(subject)
                .map(|root| (name.clone(), texts, root))
                .into_iter()
                .collect(),
        }
    }

    /// The subjects whose records may be on topics.
    pub(crate) fn subjects(&self) -> Vec<&str> {
        match self {
            Self::History(histories) => histories.keys().map(String::as_str).collect(),
            Self::State { texts, .. } => texts.subjects().into_keys().collect(),
        }
    }
}

/// Whether a place is that of a first version, `<full name>/1.avsc`.
fn is_first_version(place: &str) -> bool {
    place.split_once('/').is_some_and(|(_, file)| file == "1.avsc")
}

/// The version of the file at `<full name>/<version>.avsc`.
fn version(place: &str) -> Result<u32> {
    let version =
        place.split_once('/').and_then(|(_, file)| file.strip_suffix(".avsc")?.parse().ok());
    let Some(version) = version else { bail!("{place} is not <full name>/<version>.avsc") };
    Ok(version)
}

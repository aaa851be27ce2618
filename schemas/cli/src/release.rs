//! `schemas release`: keeps what was released of each schema, so that later ones can be compared with all of it.
//!
//! A released file is never changed or removed. Registering is not done here: `provision` does it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use schemas::compatibility::breaks;
use serde_json::Value;

use crate::catalogue::Catalogue;

/// The released versions of one schema, oldest first; the first one is version 1.
type History = Vec<String>;

/// Releases every working schema that differs from its latest version, or none if one of them breaks something.
pub(crate) fn run(folder: &Path, dry: bool) -> Result<()> {
    let catalogue = Catalogue::read(&folder.join("avro"))?;
    let root = folder.join("released");
    let histories = read(&root)?;
    check(&catalogue, &histories)?;
    let mut count = 0;
    for subject in &catalogue.subjects {
        let history = histories.get(&subject.full).map(Vec::as_slice).unwrap_or_default();
        let latest = history.last().map(|text| serde_json::from_str::<Value>(text)).transpose()?;
        if latest.as_ref() == Some(&subject.json) {
            continue;
        }
        count += 1;
        let version = history.len() + 1;
        println!("{} {} version {version}", if dry { "would release" } else { "releases" }, subject.full);
        if !dry {
            let path = root.join(&subject.full).join(format!("{version}.avsc"));
            fs::create_dir_all(path.parent().unwrap_or(&root))?;
            let text = format!("{}\n", serde_json::to_string_pretty(&subject.json)?);
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        }
    }
    println!("{count} of {} schemas are new or changed", catalogue.subjects.len());
    Ok(())
}

/// Fails with every way in which the working schemas can't stand beside what was released.
pub(crate) fn check(catalogue: &Catalogue, histories: &BTreeMap<String, History>) -> Result<()> {
    let mut broken = Vec::new();
    for subject in &catalogue.subjects {
        let history = histories.get(&subject.full).map(Vec::as_slice).unwrap_or_default();
        let versions = (1..).zip(history.iter().map(String::as_str));
        for problem in breaks(&subject.json.to_string(), versions).context(subject.full.clone())? {
            broken.push(format!("{}: {problem}", subject.full));
        }
    }
    for name in histories.keys() {
        if !catalogue.subjects.iter().any(|subject| subject.full == *name) {
            broken.push(format!("{name}: it was released and is gone, but records of it may be on topics"));
        }
    }
    ensure!(broken.is_empty(), "these break what was released (FULL_TRANSITIVE):\n  {}", broken.join("\n  "));
    Ok(())
}

/// Every released schema below `root`.
pub(crate) fn read(root: &Path) -> Result<BTreeMap<String, History>> {
    let mut histories = BTreeMap::new();
    if !root.is_dir() {
        return Ok(histories);
    }
    for entry in fs::read_dir(root).with_context(|| format!("reading {}", root.display()))? {
        let folder = entry?.path();
        if folder.is_dir() {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            histories.insert(name, history(&folder)?);
        }
    }
    Ok(histories)
}

fn history(folder: &Path) -> Result<History> {
    let mut files: Vec<(usize, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let version = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        let Some(version) = version else { bail!("{} is not <version>.avsc", path.display()) };
        files.push((version, path));
    }
    files.sort();
    let mut history = Vec::new();
    for (index, (version, path)) in files.into_iter().enumerate() {
        ensure!(version == index + 1, "{}: version {} is missing", folder.display(), index + 1);
        history.push(fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?);
    }
    Ok(history)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::{check, read, run};
    use crate::catalogue::Catalogue;

    /// A folder with one working schema, `millrace.test.Thing`.
    struct Project(tempfile::TempDir);

    impl Project {
        fn new(fields: &str) -> Self {
            let project = Self(tempfile::tempdir().expect("a folder"));
            fs::create_dir_all(project.0.path().join("avro/test/events")).expect("a folder");
            project.edit(fields);
            project
        }

        fn edit(&self, fields: &str) {
            let schema = format!(
                r#"{{"type":"record","name":"Thing","namespace":"millrace.test","doc":"A thing.","fields":[{fields}]}}"#
            );
            fs::write(self.0.path().join("avro/test/events/Thing.avsc"), schema).expect("written");
        }

        fn release(&self) -> Result<usize, String> {
            run(self.0.path(), false).map_err(|error| format!("{error:#}"))?;
            Ok(read(&self.0.path().join("released")).expect("a history")["millrace.test.Thing"].len())
        }
    }

    const A: &str = r#"{"name":"a","type":"string","doc":"A."}"#;

    #[test]
    fn a_schema_is_released_when_it_has_changed() {
        let project = Project::new(A);
        assert_eq!(project.release(), Ok(1));
        assert_eq!(project.release(), Ok(1));

        project.edit(&format!(r#"{A},{{"name":"b","type":"int","default":0,"doc":"B."}}"#));
        assert_eq!(project.release(), Ok(2));
    }

    #[test]
    fn a_break_is_refused_and_releases_nothing() {
        let project = Project::new(A);
        project.release().expect("the first");

        project.edit(r#"{"name":"b","type":"string","doc":"B."}"#);
        let refused = project.release().expect_err("a break");

        assert!(refused.contains("what version 1 wrote can't be read any more: b: "), "{refused}");
        assert!(
            refused.contains("programs that know version 1 can't read what is written now: a: "),
            "{refused}"
        );
        project.edit(A);
        assert_eq!(project.release(), Ok(1));
    }

    #[test]
    fn a_released_schema_can_not_go_away() {
        let project = Project::new(A);
        project.release().expect("the first");
        fs::remove_file(project.0.path().join("avro/test/events/Thing.avsc")).expect("removed");

        let error = run(project.0.path(), false).expect_err("it is gone").to_string();

        assert!(error.contains("millrace.test.Thing: it was released and is gone"), "{error}");
    }

    #[test]
    fn the_working_schemas_stand_beside_everything_that_was_released() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let catalogue = Catalogue::read(&folder.join("avro")).expect("sound files");
        let histories = read(&folder.join("released")).expect("a whole history");

        let checked = check(&catalogue, &histories);

        assert!(checked.is_ok(), "{checked:?}");
    }
}

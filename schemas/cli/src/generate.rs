//! `schemas generate`: writes `src/generated` and `docs` from `avro` and the topics, or reports
//! which files are not up to date.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};

use crate::{catalogue::Catalogue, docs, print::out, rust, source, stop::Stop};

/// Writes the files that have changed. With `check`, returns an error if there are any.
pub(crate) fn run(folder: &Path, check: bool) -> Result<()> {
    let catalogue = Catalogue::read(folder)?;
    let topics = source::topics(folder, None, &catalogue)?;
    let generated =
        [("src/generated", rust::files(&catalogue)?), ("docs", docs::files(&catalogue, &topics)?)];
    let mut old = Vec::new();
    for (below, wanted) in &generated {
        let root = folder.join(below);
        let stale = stale(&root, wanted)?;
        if !check {
            update(&root, wanted, &stale)?;
        }
        old.extend(stale.into_iter().map(|name| format!("{below}/{name}")));
    }
    if check && !old.is_empty() {
        let why = format!("not up to date: {}; run `schemas generate`", old.join(", "));
        return Err(Stop::Pending(why).into());
    }
    out!("{} subjects, {} types", catalogue.subjects.len(), catalogue.types().len())?;
    Ok(())
}

/// Writes and removes the stale files.
fn update(root: &Path, wanted: &BTreeMap<String, String>, stale: &[String]) -> Result<()> {
    for name in stale {
        let path = root.join(name);
        match wanted.get(name) {
            Some(text) => {
                fs::create_dir_all(path.parent().unwrap_or(root))?;
                fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
                out!("wrote {name}")?;
            }
            None => {
                fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
                out!("removed {name}")?;
            }
        }
    }
    Ok(())
}

/// The files that are missing, differ, or should not exist.
fn stale(root: &Path, wanted: &BTreeMap<String, String>) -> Result<Vec<String>> {
    let mut stale: Vec<String> = wanted
        .iter()
        .filter(|(name, text)| fs::read_to_string(root.join(name)).ok().as_ref() != Some(text))
        .map(|(name, _)| name.clone())
        .collect();
    for (folder, prefix) in [(root.to_owned(), ""), (root.join("json"), "json/")] {
        if !folder.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name =
                format!("{prefix}{}", path.file_name().unwrap_or_default().to_string_lossy());
            if path.is_file() && !wanted.contains_key(&name) {
                stale.push(name);
            }
        }
    }
    Ok(stale)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::{catalogue::Catalogue, rust};

    #[test]
    fn checked_in_files_are_up_to_date() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");

        let up_to_date = super::run(&folder, true);

        assert!(up_to_date.is_ok(), "{up_to_date:?}");
    }

    /// `tests/odd` compiles these files.
    #[test]
    fn checked_in_rust_of_odd_schemas_is_up_to_date() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/odd");
        let catalogue = Catalogue::read(&folder).expect("sound files");
        let wanted = rust::files(&catalogue).expect("Rust for every schema");
        let root = folder.join("generated");

        let stale = super::stale(&root, &wanted).expect("files");

        if std::env::var("SCHEMAS_GOLDEN").is_ok_and(|value| value == "write") {
            super::update(&root, &wanted, &stale).expect("written");
        } else {
            assert!(
                stale.is_empty(),
                "not up to date: {stale:?}; write them with SCHEMAS_GOLDEN=write"
            );
        }
    }
}

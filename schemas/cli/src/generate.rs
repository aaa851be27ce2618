//! `schemas generate`: brings `src/generated` up to date with `avro`, or says what is not.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, ensure};

use crate::{catalogue::Catalogue, rust};

/// Writes what has changed; with `check`, fails if something would.
pub(crate) fn run(folder: &Path, check: bool) -> Result<()> {
    let generated = folder.join("src/generated");
    let catalogue = Catalogue::read(&folder.join("avro"))?;
    let wanted = rust::files(&catalogue)?;
    let stale = stale(&generated, &wanted)?;
    if check {
        ensure!(stale.is_empty(), "not up to date: {}; run `schemas generate`", stale.join(", "));
        return Ok(());
    }
    for name in &stale {
        let path = generated.join(name);
        match wanted.get(name) {
            Some(text) => {
                fs::create_dir_all(path.parent().unwrap_or(&generated))?;
                fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
                println!("wrote {name}");
            }
            None => {
                fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
                println!("removed {name}");
            }
        }
    }
    println!("{} subjects, {} types", catalogue.subjects.len(), catalogue.types.len());
    Ok(())
}

/// The files that are missing, different, or too many.
fn stale(generated: &Path, wanted: &BTreeMap<String, String>) -> Result<Vec<String>> {
    let mut stale: Vec<String> = wanted
        .iter()
        .filter(|(name, text)| fs::read_to_string(generated.join(name)).ok().as_ref() != Some(text))
        .map(|(name, _)| name.clone())
        .collect();
    for (folder, prefix) in [(generated.to_owned(), ""), (generated.join("json"), "json/")] {
        if !folder.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = format!("{prefix}{}", path.file_name().unwrap_or_default().to_string_lossy());
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

    #[test]
    fn generating_again_gives_the_checked_in_files() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");

        let up_to_date = super::run(&folder, true);

        assert!(up_to_date.is_ok(), "{up_to_date:?}");
    }
}

//! `schemas release`: stores each changed schema as its next released version, so that later
//! schemas can be compared with all versions.
//!
//! It never changes or removes a released file, and it registers nothing: `provision` does that.

use std::{fs, io::Write as _, path::Path};

use anyhow::{Context, Result};
use clap::Args;

use crate::{
    baseline::Baseline,
    catalogue::Catalogue,
    check::compare,
    config::Config,
    print::out,
    report::{Format, Outcome},
    rust,
    side::Side,
    texts::Texts,
};

/// The arguments of `release`.
#[derive(Debug, Args)]
pub(crate) struct Release {
    /// Writes nothing; prints what would be released.
    #[arg(long)]
    dry_run: bool,
}

impl Release {
    /// Releases every working schema that differs from its latest version, or none if one of them
    /// breaks a released version.
    pub(crate) fn run(&self, folder: &Path, format: Format) -> Result<Outcome> {
        let root = folder.join("released");
        let side = Side::Disk(folder.to_owned());
        let texts = Texts::read(&side)?;
        let baseline = Baseline::released(&side, "released")?;
        let report = compare(&texts, &baseline, &Config::read(&side)?, None);
        if report.errors() > 0 {
            return Ok(report.write(format)?);
        }
        let catalogue = Catalogue::of(texts)?;
        // No program of the project could write or read a record that can't be generated.
        rust::files(&catalogue)?;
        let mut count = 0;
        for subject in &catalogue.subjects {
            let released = baseline.of(&subject.full);
            let latest = released.last().map(|(_, texts, _)| texts.files[0].text.as_str());
            // A schema in another spelling is the same, as it is for the registry and for `diff`.
            if latest.is_some_and(|latest| schemas::same(latest, &subject.json.to_string())) {
                continue;
            }
            count += 1;
            let version = released.len() + 1;
            let verb = if self.dry_run { "would release" } else { "releases" };
            out!("{verb} {} version {version}", subject.full)?;
            if !self.dry_run {
                let text = format!("{}\n", serde_json::to_string_pretty(&subject.json)?);
                store(&root, &subject.full, version, &text)?;
            }
        }
        out!("{count} of {} schemas are new or changed", catalogue.subjects.len())?;
        Ok(if self.dry_run && count > 0 { Outcome::Pending } else { Outcome::Fine })
    }
}

/// Writes a version. A released file is never changed again, so it appears as a whole or not at
/// all: the text is written beside the folder of the versions, which allows no other files, and
/// then moved.
fn store(root: &Path, subject: &str, version: usize, text: &str) -> Result<()> {
    let (folder, new) = (root.join(subject), root.with_extension("new"));
    let write = || {
        let mut file = fs::File::create(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().with_context(|| format!("writing {}", new.display()))?;
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let path = folder.join(format!("{version}.avsc"));
    fs::rename(&new, &path).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Release;
    use crate::report::{Format, Outcome};

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

        fn release(&self) -> (Outcome, usize) {
            let outcome =
                Release { dry_run: false }.run(self.0.path(), Format::Json).expect("sound files");
            let versions = fs::read_dir(self.0.path().join("released/millrace.test.Thing"));
            (outcome, versions.map_or(0, Iterator::count))
        }
    }

    const A: &str = r#"{"name":"a","type":"string","doc":"A."}"#;

    #[test]
    fn changed_schema_is_released_as_the_next_version() {
        let project = Project::new(A);
        assert_eq!(project.release(), (Outcome::Fine, 1));
        assert_eq!(project.release(), (Outcome::Fine, 1));

        project.edit(&format!(r#"{A},{{"name":"b","type":"int","default":0,"doc":"B."}}"#));
        let dry =
            Release { dry_run: true }.run(project.0.path(), Format::Json).expect("sound files");
        assert_eq!(dry, Outcome::Pending);
        assert_eq!(project.release(), (Outcome::Fine, 2));
    }

    #[test]
    fn version_that_can_not_be_written_as_a_whole_is_not_there() {
        let project = Project::new(A);
        // A folder where the text is written before it is moved.
        let new = project.0.path().join("released.new");
        fs::create_dir(&new).expect("a folder");
        let release = || Release { dry_run: false }.run(project.0.path(), Format::Json);
        let error = format!("{:#}", release().expect_err("no file can be written"));
        assert!(error.contains("released.new"), "{error}");
        assert!(!project.0.path().join("released").exists(), "something was written");

        fs::remove_dir(&new).expect("removed");
        assert_eq!(project.release(), (Outcome::Fine, 1));
        assert!(!new.exists(), "the text is left beside the versions");
    }

    #[test]
    fn break_is_refused_and_nothing_is_released() {
        let project = Project::new(A);
        project.release();

        project.edit(r#"{"name":"b","type":"string","doc":"B."}"#);

        assert_eq!(project.release(), (Outcome::Broken, 1));
        project.edit(A);
        assert_eq!(project.release(), (Outcome::Fine, 1));
    }

    #[test]
    fn schema_that_nests_too_deep_is_refused_and_nothing_is_written() {
        let project = Project::new(A);
        for index in 0..45 {
            let next = format!(r#"{{"name":"next","type":"R{}","doc":"D."}}"#, index + 1);
            let fields = if index < 44 { next } else { A.to_owned() };
            let name = if index == 0 { "events/R0" } else { &format!("types/R{index}") };
            let schema = format!(
                r#"{{"type":"record","name":"R{index}","namespace":"millrace.test","doc":"D.","fields":[{fields}]}}"#
            );
            let path = project.0.path().join(format!("avro/test/{name}.avsc"));
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, schema).expect("written");
        }

        let error =
            Release { dry_run: false }.run(project.0.path(), Format::Text).expect_err("too deep");

        let error = format!("{error:#}");
        assert!(error.contains("millrace.test.R0, with all types"), "{error}");
        assert!(
            error.contains("could not be read back: this is not JSON: recursion limit"),
            "{error}"
        );
        assert!(!project.0.path().join("released").exists(), "something was written");
    }

    #[test]
    fn released_schema_without_a_file_is_refused() {
        let project = Project::new(A);
        project.release();
        fs::remove_file(project.0.path().join("avro/test/events/Thing.avsc")).expect("removed");

        assert_eq!(project.release(), (Outcome::Broken, 1));
    }
}

//! The sources of schemas and topics: the working files, the released versions, or a registry.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use clap::Args;
use futures_util::{StreamExt as _, stream};
use redpanda::{
    brokers::{BrokerSettings, Brokers},
    registry::{LoginSettings, Registry, RegistryError, Urls, UrlsParser, Version},
    settings::SettingError,
    tls::TlsSettings,
    topics::{RecordType, Topics},
};
use schemas::{
    Schema, chain,
    json::{Converter, Unusable},
};
use serde_json::Value;

use crate::{
    baseline::Baseline, catalogue::Catalogue, files::File, runtime, side::Side, stop::Stop,
    texts::Texts,
};

/// The number of requests for subjects that are in flight at a time.
const REQUESTS_MAX: usize = 8;

/// User and TLS settings of registry and brokers.
#[derive(Debug, Default, Args)]
pub(crate) struct Access {
    #[command(flatten)]
    login: LoginSettings,
    #[command(flatten)]
    tls: TlsSettings,
}

impl Access {
    /// The registry at `urls`.
    pub(crate) fn registry(&self, urls: &Urls) -> Result<Registry> {
        let open = || -> Result<_, RegistryError> { self.login.open(urls, &self.tls.load()?) };
        open().map_err(|error| Stop::Usage(chain(&error)).into())
    }

    /// The brokers of `settings`.
    pub(crate) fn brokers(&self, settings: &BrokerSettings) -> Result<Brokers> {
        let open = || settings.open(&self.tls.load()?);
        open().map_err(|error: SettingError| Stop::Usage(chain(&error)).into())
    }
}

/// The arguments for what the working schemas are compared with.
#[derive(Debug, Default, Args)]
pub(crate) struct Against {
    /// What to compare with: `git:COMMIT`, a folder of files, or a folder of released versions. By
    /// default, the folder `released`.
    #[arg(long, value_name = "WHAT")]
    against: Option<String>,
    /// Compares with the versions in this registry: base URLs, comma separated.
    #[arg(
        long,
        value_name = "URLS",
        value_parser = UrlsParser,
        conflicts_with = "against"
    )]
    registry: Option<Urls>,
    #[command(flatten)]
    access: Access,
}

impl Against {
    /// Whether the arguments name anything but the released versions.
    pub(crate) fn is_named(&self) -> bool {
        self.against.is_some() || self.registry.is_some()
    }

    /// Reads the schemas to compare these with. Released versions are read from the same side.
    pub(crate) fn read(&self, folder: &Path, side: &Side, texts: &Texts) -> Result<Baseline> {
        match (&self.against, &self.registry) {
            (Some(against), _) => Baseline::read(against, &folder.join("avro")),
            (None, Some(url)) => {
                let (registry, names) = (self.access.registry(url)?, texts.subjects().into_keys());
                runtime::start()?.block_on(history(&registry, names.map(str::to_owned).collect()))
            }
            (None, None) => Baseline::released(side, "released"),
        }
    }
}

/// The declared topics: of `file`, or by default of the folder `redpanda` beside the schemas.
pub(crate) fn topics(
    folder: &Path,
    file: Option<PathBuf>,
    catalogue: &Catalogue,
) -> Result<Topics> {
    let file = file.unwrap_or_else(|| folder.join("../redpanda/topics.yaml"));
    let text = fs::read_to_string(&file)
        .map_err(|error| Stop::Usage(format!("the topics: reading {}: {error}", file.display())))?;
    // The records of the files, and not those of this program, which knows no new record yet.
    let records: Vec<_> = catalogue
        .subjects
        .iter()
        .map(|subject| RecordType { name: &subject.full, folder: &subject.folder })
        .collect();
    Topics::parse_for(&text, &records).with_context(|| file.display().to_string())
}

/// The working schemas of all subjects.
pub(crate) fn working(catalogue: &Catalogue) -> Vec<&'static Schema> {
    catalogue
        .subjects
        .iter()
        .map(|subject| kept(subject.full.clone(), subject.json.to_string()))
        .collect()
}

/// The schema of an argument: `millrace.order.OrderPlaced` is the working one, with `@2` the second
/// released one.
pub(crate) fn local(folder: &Path, name: &str) -> Result<&'static Schema> {
    let (subject, version) = match name.split_once('@') {
        None => (name, None),
        Some((subject, version)) => (subject, Some(version)),
    };
    let json = match version {
        None => {
            let catalogue = Catalogue::read(folder)?;
            let found = catalogue.subjects.iter().find(|found| found.full == subject);
            found.map(|found| found.json.to_string())
        }
        Some(version) => {
            let baseline = Baseline::released(&Side::Disk(folder.to_owned()), "released")?;
            let history = baseline.of(subject);
            let index = version.parse::<usize>().ok().and_then(|version| version.checked_sub(1));
            let found = index.and_then(|index| history.get(index));
            let found = found.map(|(_, texts, _)| texts.files[0].text.clone());
            if found.is_none() && !history.is_empty() {
                let last = history.len();
                let why = format!("{subject} has no released version {version}, but 1 to {last}");
                return Err(Stop::Usage(why).into());
            }
            found
        }
    };
    let where_from = || match version {
        None => folder.join("avro"),
        Some(_) => folder.join("released"),
    };
    let why =
        || Stop::Usage(format!("there is no schema {subject} below {}", where_from().display()));
    Ok(kept(subject.to_owned(), json.ok_or_else(why)?))
}

/// A schema of the files, kept for the life of the process, as the library keeps its own.
pub(crate) fn kept(name: String, json: String) -> &'static Schema {
    Box::leak(Box::new(Schema::foreign(name.leak(), json.leak())))
}

/// The versions that `registry` has of these subjects. It is not asked for others.
async fn history(registry: &Registry, names: Vec<String>) -> Result<Baseline> {
    let answers = stream::iter(names).map(async |name| Ok((registry.versions(&name).await?, name)));
    let answers: Vec<Result<_, RegistryError>> =
        answers.buffer_unordered(REQUESTS_MAX).collect().await;
    let mut histories = BTreeMap::new();
    for answer in answers {
        let (versions, name) = answer?;
        if !versions.is_empty() {
            let texts =
                versions.iter().map(|version| (version.number, text(&name, version))).collect();
            histories.insert(name, texts);
        }
    }
    Ok(Baseline::History(histories))
}

/// A version as a file, with lines to point at.
fn text(subject: &str, version: &Version) -> Texts {
    let json = serde_json::from_str::<Value>(&version.schema).ok();
    let lines = json.and_then(|json| serde_json::to_string_pretty(&json).ok());
    let text = lines.unwrap_or_else(|| version.schema.clone());
    let path = format!("registry:{subject}@{}", version.number);
    Texts::new(vec![File { path, place: format!("{subject}/{}.avsc", version.number), text }])
}

/// A converter for the schema that `registry` knows under `id`.
pub(crate) async fn registered(registry: &Registry, id: u32) -> Result<Converter> {
    let found = registry.schema_by_id(id).await?;
    let found = found.ok_or_else(|| Stop::Invalid(format!("the registry has no schema {id}")))?;
    let unusable =
        |error: Unusable| Stop::Invalid(format!("schema {id} of the registry: {}", chain(&error)));
    Ok(Converter::new(&found, &[]).map_err(unusable)?)
}

/// A converter for a schema of the files.
pub(crate) fn converter(schema: &Schema) -> Result<Converter> {
    let unusable = |error: Unusable| Stop::Invalid(format!("{}: {}", schema.name, chain(&error)));
    Ok(Converter::new(schema.json, &[]).map_err(unusable)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{check::compare, config::Config, report::Report};

    const PART: &str = r#"{"type":"record","name":"Part","namespace":"shop","doc":"D.","fields":[
        {"name":"size","type":"long","doc":"D."}]}"#;

    /// The report on `Whole` with a part of this type, of which the registry has these versions.
    fn found(part: &str, versions: &[(u32, &str, &[&str])]) -> Report {
        let whole = r#"{"type":"record","name":"Whole","namespace":"shop","doc":"D.","fields":[
            {"name":"part","type":"Part","doc":"D."}]}"#;
        let file = |place: &str, text: &str| {
            let [path, place, text] = [place, place, text].map(str::to_owned);
            File { path, place, text }
        };
        let versions = versions.iter().map(|(number, schema, references)| {
            let references: Vec<_> = references.iter().map(|text| (*text).to_owned()).collect();
            let schema = schemas::self_contained(schema, &references);
            (*number, text("shop.Whole", &Version { number: *number, id: 1, schema }))
        });
        let baseline =
            Baseline::History(BTreeMap::from([("shop.Whole".to_owned(), versions.collect())]));
        compare(
            &Texts::new(vec![file("Whole.avsc", whole), file("types/Part.avsc", part)]),
            &baseline,
            &Config::default(),
            None,
        )
    }

    const WHOLE: &str =
        r#"{"type":"record","name":"shop.Whole","fields":[{"name":"part","type":"shop.Part"}]}"#;

    #[test]
    fn versions_with_references_are_compared_with_their_references_inlined() {
        let same = found(PART, &[(1, WHOLE, &[PART])]);
        assert!(same.findings.is_empty(), "{same:?}");
        assert_eq!(same.summary, "1 schema against 1 released version: fine");

        let changed = found(&PART.replace("long", "string"), &[(1, WHOLE, &[PART])]);
        let [only] = changed.findings.as_slice() else { panic!("{changed:?}") };
        assert_eq!((only.id, only.path.as_str()), ("type-changed", "part.size"));
        assert!(
            only.notes.iter().any(|(word, what)| *word == "breaks" && what.contains("version 1"))
        );
    }

    #[test]
    fn versions_keep_the_numbers_that_the_registry_gave_them() {
        // A version that was deleted in a registry leaves a gap.
        let found =
            found(&PART.replace("long", "string"), &[(2, WHOLE, &[PART]), (5, WHOLE, &[PART])]);
        let breaks = found.findings[0].notes.iter().find(|(word, _)| *word == "breaks");
        assert!(breaks.is_some_and(|(_, what)| what.contains("versions 2, 5")), "{breaks:?}");
        assert_eq!(
            found.findings[0].other.as_ref().map(|place| place.file.path.as_str()),
            Some("registry:shop.Whole@5")
        );
    }

    #[test]
    fn version_that_is_no_schema_is_reported_with_its_place() {
        let found = found(PART, &[(1, WHOLE, &[])]);
        assert_eq!(found.findings[0].id, "unknown-type", "{found:?}");
        let place = found.findings[0].place.as_ref().expect("a place");
        assert_eq!(place.file.path, "registry:shop.Whole@1");
    }
}

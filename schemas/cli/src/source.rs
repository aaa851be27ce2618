//! Where commands have schemas and topics from: the working files, the released history, or a registry.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use redpanda::{registry::Registry, topics::Topics};
use schemas::{Schema, json::Converter};

use crate::{catalogue::Catalogue, files::Baseline, stop::Stop};

/// The declared topics: those of `file`, or of the `redpanda` folder beside that of the schemas.
pub(crate) fn topics(folder: &Path, file: Option<PathBuf>, catalogue: &Catalogue) -> Result<Topics> {
    let file = file.unwrap_or_else(|| folder.join("../redpanda/topics.yaml"));
    let text = fs::read_to_string(&file)
        .map_err(|error| Stop::Usage(format!("the topics: reading {}: {error}", file.display())))?;
    // The schemas of the files, and not those of this program: a new record has to be named before it is generated.
    let is_record = |name: &str| catalogue.subjects.iter().any(|subject| subject.full == name);
    Topics::parse_for(&text, is_record).with_context(|| file.display().to_string())
}

/// The working schemas of all subjects.
pub(crate) fn working(catalogue: &Catalogue) -> Vec<&'static Schema> {
    catalogue.subjects.iter().map(|subject| kept(subject.full.clone(), subject.json.to_string())).collect()
}

/// The schema that `name` means: `millrace.order.OrderPlaced` the working one, with `@2` the second that was released.
pub(crate) fn local(folder: &Path, name: &str) -> Result<&'static Schema> {
    let (subject, version) = match name.split_once('@') {
        None => (name, None),
        Some((subject, version)) => (subject, Some(version)),
    };
    let json = match version {
        None => {
            let catalogue = Catalogue::read(&folder.join("avro"))?;
            let found = catalogue.subjects.iter().find(|found| found.full == subject);
            found.map(|found| found.json.to_string())
        }
        Some(version) => {
            let baseline = Baseline::released(&folder.join("released"))?;
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
    let why = || Stop::Usage(format!("there is no schema {subject} below {}", where_from().display()));
    Ok(kept(subject.to_owned(), json.ok_or_else(why)?))
}

/// A schema of the files, kept for the life of the program, as the library keeps its own.
pub(crate) fn kept(name: String, json: String) -> &'static Schema {
    Box::leak(Box::new(Schema::foreign(name.leak(), json.leak())))
}

/// A converter for the schema that `registry` knows under `id`.
pub(crate) async fn registered(registry: &Registry, id: u32) -> Result<Converter> {
    let found = registry.registered(id).await?;
    let found = found.ok_or_else(|| Stop::Invalid(format!("the registry has no schema {id}")))?;
    let unusable = |error| Stop::Invalid(format!("schema {id} of the registry: {error}"));
    Ok(Converter::new(&found.schema, &found.references).map_err(unusable)?)
}

/// A converter for a schema of the files.
pub(crate) fn converter(schema: &Schema) -> Result<Converter> {
    let unusable = |error| Stop::Invalid(format!("{}: {error}", schema.name));
    Ok(Converter::new(schema.json, &[]).map_err(unusable)?)
}

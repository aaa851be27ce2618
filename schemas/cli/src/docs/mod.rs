//! Documentation of the log for people and programs: a Markdown page for each topic, an index, and
//! an AsyncAPI document. It renders topics and catalogue, and reads and writes no files.

mod asyncapi;
mod page;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::{Context as _, Result};
use redpanda::topics::{Topic, Topics};

use crate::catalogue::Catalogue;

/// The note at the end of each page.
const MADE: &str = "Written by `schemas generate` from redpanda/topics.yaml and the schemas; never \
                    edited by hand.";

/// The files below `docs`, by name. Redpanda Console shows the page whose name without `.md` is the
/// topic's.
pub(crate) fn files(catalogue: &Catalogue, topics: &Topics) -> Result<BTreeMap<String, String>> {
    let asyncapi = asyncapi::document(catalogue, topics)?;
    let mut files = BTreeMap::from([
        ("README.md".to_owned(), index(topics)?),
        ("asyncapi.yaml".to_owned(), format!("# {MADE}\n{asyncapi}")),
    ]);
    for topic in topics.iter() {
        let page = page::page(catalogue, topics, topic);
        let page = page.with_context(|| format!("the page of {}", topic.name))?;
        files.insert(format!("{}.md", topic.name), format!("{page}\n---\n\n{MADE}\n"));
    }
    Ok(files)
}

fn index(topics: &Topics) -> Result<String> {
    let mut out = format!(
        "# Topics\n\n{MADE}\n[`asyncapi.yaml`](asyncapi.yaml) says the same to programs.\n\n"
    );
    out.push_str("| topic | owner | kept | what |\n| --- | --- | --- | --- |\n");
    for topic in topics.iter() {
        let Topic { name, owner, doc, .. } = topic;
        let (kept, doc) = (page::kept(topic), page::cell(doc));
        writeln!(out, "| [{name}]({name}.md) | {owner} | {kept} | {doc} |")?;
    }
    Ok(out)
}

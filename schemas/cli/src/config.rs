//! `schemas.toml`: the one place for exceptions and for the compatibility levels of subjects.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use schemas::compatibility::Level;
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::files::Side;

/// What `schemas.toml` says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Findings that are no problem.
    pub(crate) allow: Vec<Allow>,
    /// How new versions get on with released ones.
    pub(crate) compatibility: Compatibility,
}

/// Findings of one rule that are no problem in one place.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Allow {
    /// The rule's id.
    pub(crate) rule: String,
    /// The type, or the type and a path in it; everything inside is meant.
    pub(crate) at: String,
    /// Why it is no problem.
    pub(crate) reason: String,
}

/// The levels of subjects.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Compatibility {
    /// Of those that are not named.
    #[serde(deserialize_with = "level")]
    pub(crate) level: Level,
    /// By full name.
    #[serde(deserialize_with = "levels")]
    pub(crate) subjects: BTreeMap<String, Level>,
}

impl Default for Compatibility {
    fn default() -> Self {
        Self { level: Level::FullTransitive, subjects: BTreeMap::new() }
    }
}

fn level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Level, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

fn levels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Level>, D::Error> {
    let texts = BTreeMap::<String, String>::deserialize(deserializer)?;
    let parsed =
        texts.into_iter().map(|(name, text)| Ok((name, text.parse().map_err(D::Error::custom)?)));
    parsed.collect()
}

impl Config {
    /// Reads `schemas.toml` in the folder; without one, everything is as by default.
    pub(crate) fn read(side: &Side) -> Result<Self> {
        let Some(file) = side.file("schemas.toml")? else { return Ok(Self::default()) };
        let path = &file.path;
        let config: Self = toml::from_str(&file.text).with_context(|| format!("reading {path}"))?;
        for allow in &config.allow {
            ensure!(
                !allow.reason.trim().is_empty(),
                "{path}: the exception at {} has no reason",
                allow.at
            );
        }
        Ok(config)
    }

    /// The level of a subject.
    pub(crate) fn level(&self, subject: &str) -> Level {
        self.compatibility.subjects.get(subject).copied().unwrap_or(self.compatibility.level)
    }
}

impl Allow {
    /// Whether it is about this finding.
    pub(crate) fn covers(&self, rule: &str, subject: &str, path: &str) -> bool {
        if self.rule != rule {
            return false;
        }
        let whole = if path.is_empty() { subject.to_owned() } else { format!("{subject}.{path}") };
        whole
            .strip_prefix(&self.at)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[', '{', '|']))
    }
}

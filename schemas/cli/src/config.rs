//! `schemas.toml`: exceptions from rules, and the compatibility levels of subjects.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use schemas::compatibility::Level;
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::side::Side;

/// The contents of `schemas.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Findings that are allowed.
    pub(crate) allow: Vec<Allow>,
    /// The compatibility levels.
    pub(crate) compatibility: Compatibility,
}

/// An exception: findings of one rule that are allowed in one place.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Allow {
    /// The rule's id.
    pub(crate) rule: String,
    /// The type, or the type and a path in it. It covers everything inside.
    pub(crate) at: String,
    /// Why the finding is no problem.
    pub(crate) reason: String,
}

/// The compatibility levels of subjects.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Compatibility {
    /// The level of all subjects without their own.
    #[serde(deserialize_with = "level")]
    pub(crate) level: Level,
    /// The levels of single subjects, by full name.
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
    /// Reads `schemas.toml` of the folder. Without the file, everything has its default.
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
    /// Whether it allows this finding.
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

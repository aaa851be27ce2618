//! Apicurio Registry instead of Redpanda's schema registry, through its Confluent-compatible API.
//! It stores in PostgreSQL: its default storage is memory, and its own H2 file does not survive
//! `kill -9`.

use std::path::{Path, PathBuf};

use super::{Setup, java};
use crate::stack::{Part, PartKind, Ready, StackError};

/// The path of the API that nginx serves at the root.
pub(super) const API: &str = "/apis/ccompat/v7";

pub(super) fn part(setup: &Setup) -> Result<Part, StackError> {
    let jars = setup.layout.jars("registry");
    // The jar's manifest names the main class and the class path.
    let mut command = java(512, &[jars.join("*")])?;
    command.extend(crate::command!["-jar", runner(&jars)?]);
    let address = setup.ports.at("apicurio");
    let url = format!("http://{address}{API}/subjects");
    let database = format!("jdbc:postgresql://{}/registry", setup.ports.at("postgres"));
    let part = Part::new("apicurio", PartKind::Server, 2, command, Ready::Http(url))
        .at(address)
        .env("QUARKUS_HTTP_HOST", "127.0.0.1")
        .env("QUARKUS_HTTP_PORT", setup.ports.of("apicurio").to_string())
        .env("APICURIO_STORAGE_KIND", "sql")
        .env("APICURIO_STORAGE_SQL_KIND", "postgresql")
        .env("APICURIO_DATASOURCE_URL", database)
        .env("APICURIO_DATASOURCE_USERNAME", "millrace")
        .env("APICURIO_DATASOURCE_PASSWORD", "none")
        .env("APICURIO_DATASOURCE_JDBC_INITIAL_SIZE", "2")
        .env("APICURIO_DATASOURCE_JDBC_MIN_SIZE", "2")
        .env("APICURIO_DATASOURCE_JDBC_MAX_SIZE", "20")
        // The default level writes several lines for each request.
        .env("QUARKUS_LOG_LEVEL", "WARN")
        .env("QUARKUS_LOG_CONSOLE_COLOR", "false")
        .env("QUARKUS_BANNER_ENABLED", "false");
    Ok(part)
}

fn runner(jars: &Path) -> Result<PathBuf, StackError> {
    let files = std::fs::read_dir(jars).map_err(StackError::file("read", jars))?;
    let is_runner = |path: &PathBuf| path.to_string_lossy().ends_with("-runner.jar");
    files.flatten().map(|file| file.path()).find(is_runner).ok_or_else(|| StackError::Missing {
        what: "the registry's runner jar".into(),
        hint: format!("remove {} and run `integration/up`", jars.display()),
    })
}

//! `schemas decode`: one record in the Confluent wire format as JSON.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use clap::Args;
use schemas::chain;

use crate::{
    print::{note, out},
    source,
    stop::Stop,
};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A file with the record's value; by default, standard input.
    file: Option<PathBuf>,
    /// The value itself in hexadecimal digits; `-` reads the digits from standard input.
    #[arg(long, conflicts_with = "file")]
    hex: Option<String>,
    /// The schema that the record was written with: NAME is the working one, NAME@2 the second
    /// released one.
    #[arg(long, value_name = "NAME[@VERSION]")]
    schema: Option<String>,
    /// Without --schema: the registry that knows the record's schema id, as base URLs, comma
    /// separated.
    #[arg(
        long,
        env = "MILLRACE_REGISTRY_URL",
        value_name = "URLS",
        value_parser = redpanda::registry::UrlsParser,
        hide_env_values = true
    )]
    registry: Option<redpanda::registry::Urls>,
    #[command(flatten)]
    access: source::Access,
}

pub(crate) async fn run(
    folder: impl FnOnce() -> Result<PathBuf>,
    arguments: Arguments,
) -> Result<()> {
    let bytes = bytes(arguments.hex.as_deref(), arguments.file.as_deref())?;
    let (id, avro) = schemas::split(&bytes).map_err(|error| Stop::Invalid(chain(&error)))?;
    let converter = match (arguments.schema, arguments.registry) {
        (Some(name), _) => source::converter(source::local(&folder()?, &name)?)?,
        (None, Some(url)) => source::registered(&arguments.access.registry(&url)?, id).await?,
        (None, None) => {
            let why = format!(
                "schema id {id}: name a registry that knows it, or the schema with --schema"
            );
            return Err(Stop::Usage(why).into());
        }
    };
    let name = converter.name().unwrap_or_default();
    let json = converter
        .to_json(avro)
        .map_err(|error| Stop::Invalid(format!("{name}, id {id}: {error}")))?;
    note!("{name}, id {id}");
    out!("{}", serde_json::to_string_pretty(&json)?)?;
    Ok(())
}

fn bytes(hex: Option<&str>, file: Option<&Path>) -> Result<Vec<u8>> {
    match hex {
        Some("-") => from_hex(&io::read_to_string(io::stdin()).context("reading digits")?),
        Some(digits) => from_hex(digits),
        None => input(file),
    }
}

/// The contents of `file`, or of standard input.
pub(crate) fn input(file: Option<&Path>) -> Result<Vec<u8>> {
    match file.filter(|file| *file != Path::new("-")) {
        Some(file) => Ok(fs::read(file)
            .map_err(|error| Stop::Usage(format!("reading {}: {error}", file.display())))?),
        None => {
            let mut bytes = Vec::new();
            io::stdin().read_to_end(&mut bytes).context("reading standard input")?;
            Ok(bytes)
        }
    }
}

fn from_hex(digits: &str) -> Result<Vec<u8>> {
    let digits: String = digits.split_whitespace().collect();
    let decoded = hex::decode(digits.trim_start_matches("0x"));
    Ok(decoded.map_err(|error| Stop::Invalid(format!("not hexadecimal digits: {error}")))?)
}

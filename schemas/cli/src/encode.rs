//! `schemas encode`: one record from JSON into the Confluent wire format.

use std::{
    io::{self, IsTerminal as _},
    path::PathBuf,
};

use anyhow::{Context as _, Result};
use clap::Args;
use redpanda::registry::{self, RegistryError};

use crate::{
    decode,
    print::{self, out},
    source,
    stop::Stop,
};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A file with the record as JSON; by default, standard input.
    file: Option<PathBuf>,
    /// The schema to write with: NAME is the working one, NAME@2 the second released one.
    #[arg(long, value_name = "NAME[@VERSION]")]
    schema: Option<String>,
    /// The schema id. Without --schema, it also selects the schema in the registry.
    #[arg(long)]
    id: Option<u32>,
    /// The registry that has the id of --schema, or the schema of --id: base URLs, comma separated.
    #[arg(
        long,
        env = "MILLRACE_REGISTRY_URL",
        value_name = "URLS",
        value_parser = registry::UrlsParser,
        hide_env_values = true
    )]
    registry: Option<registry::Urls>,
    #[command(flatten)]
    access: source::Access,
    /// Writes hexadecimal digits instead of bytes, as it always does to a terminal.
    #[arg(long)]
    hex: bool,
}

pub(crate) async fn run(
    folder: impl FnOnce() -> Result<PathBuf>,
    arguments: Arguments,
) -> Result<()> {
    let registry =
        arguments.registry.as_ref().map(|urls| arguments.access.registry(urls)).transpose()?;
    let (id, converter) = match (arguments.schema, arguments.id, registry) {
        (Some(name), id, registry) => {
            let schema = source::local(&folder()?, &name)?;
            let id = match (id, registry) {
                (Some(id), _) => id,
                (None, Some(registry)) => {
                    registry.id_of(schema).await?.ok_or(RegistryError::Missing(schema.name))?
                }
                (None, None) => {
                    let why =
                        "which id the schema has: name it with --id, or a registry that knows it";
                    return Err(Stop::Usage(why.to_owned()).into());
                }
            };
            (id, source::converter(schema)?)
        }
        (None, Some(id), Some(registry)) => (id, source::registered(&registry, id).await?),
        _ => {
            let why =
                "which schema: name it with --schema, or with --id and a registry that knows it";
            return Err(Stop::Usage(why.to_owned()).into());
        }
    };
    let text = decode::input(arguments.file.as_deref())?;
    let json =
        schemas::json::parse(&text).map_err(|error| Stop::Invalid(format!("not JSON: {error}")))?;
    let avro = converter.to_avro(&json).map_err(|misfits| {
        let misfits: Vec<_> = misfits.iter().map(|misfit| format!("\n  {misfit}")).collect();
        let name = converter.name().unwrap_or_default();
        Stop::Invalid(format!("this is no {name}:{}", misfits.concat()))
    })?;
    let bytes = [&[0], &id.to_be_bytes()[..], &avro].concat();
    let written = if arguments.hex || io::stdout().is_terminal() {
        out!("{}", hex::encode(bytes))
    } else {
        print::bytes(&bytes)
    };
    written.context("writing")
}

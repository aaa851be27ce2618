//! `schemas plan`: how registry and topics differ from the files. It changes nothing.

use std::{fs, io, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use redpanda::{
    brokers::BrokerSettings,
    provision::{Plan, Provision, ProvisionSettings},
    registry,
};
use schemas::compatibility::Break;

use crate::{
    catalogue::Catalogue,
    check::is_allowed,
    config::Config,
    print::{note, out},
    report::Outcome,
    side::Side,
    source,
};

/// The cluster, and the topics that it should have.
#[derive(Debug, Args)]
pub(crate) struct Cluster {
    #[command(flatten)]
    brokers: BrokerSettings,
    /// Base URLs of the schema registry, comma separated: a request fails over to the next one.
    #[arg(
        long,
        env = "MILLRACE_REGISTRY_URL",
        default_value = "http://127.0.0.1:8081",
        value_name = "URLS",
        value_parser = registry::UrlsParser,
        hide_env_values = true
    )]
    registry: registry::Urls,
    #[command(flatten)]
    access: source::Access,
    #[command(flatten)]
    provision: ProvisionSettings,
    /// The declared topics, if they are not in ../redpanda/topics.yaml beside the schemas' folder.
    #[arg(long, value_name = "FILE")]
    topics_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    cluster: Cluster,
    /// Stores the plan for `schemas apply FILE`, unless it would break something.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Cluster {
    /// The comparison of the files below `folder` with the cluster.
    pub(crate) fn provision(self, folder: &std::path::Path) -> Result<Provision> {
        let catalogue = Catalogue::read(folder)?;
        let topics = source::topics(folder, self.topics_file, &catalogue)?;
        let registry = self.access.registry(&self.registry)?;
        let provision = Provision::of(
            &self.access.brokers(&self.brokers)?,
            registry,
            self.provision.replication,
            topics,
        )?;
        let retries = self.provision.retries(|failure| {
            note!("schemas: {}; trying again", schemas::chain(failure));
        });
        let config = Config::read(&Side::Disk(folder.to_owned()))?;
        let allowed = move |subject: &str, found: &Break| is_allowed(&config, subject, found);
        let provision = provision.with_schemas(source::working(&catalogue));
        Ok(provision.with_allowed(allowed).with_retries(retries))
    }
}

/// Prints the plan. Exit codes: 0 nothing to do, 1 changes pending, 2 something would break.
pub(crate) async fn run(
    folder: impl FnOnce() -> Result<PathBuf>,
    arguments: Arguments,
) -> Result<Outcome> {
    let plan = arguments.cluster.provision(&folder()?)?.plan().await?;
    show(&plan)?;
    if !plan.conflicts.is_empty() {
        out!("problems: {}; as it is, nothing will be applied", plan.conflicts.len())?;
        return Ok(Outcome::Broken);
    }
    if let Some(file) = arguments.out {
        let text = format!("{}\n", serde_json::to_string_pretty(&plan.to_json())?);
        fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    if plan.is_empty() {
        out!("nothing to do: all topics and schemas are as the files say")?;
        return Ok(Outcome::Fine);
    }
    out!("changes pending: {}", plan.steps.len())?;
    Ok(Outcome::Pending)
}

/// Prints steps and breaks, one per line.
pub(crate) fn show(plan: &Plan) -> io::Result<()> {
    plan.steps.iter().try_for_each(|step| out!("{step}"))?;
    plan.conflicts.iter().try_for_each(|problem| out!("breaks   {problem}"))
}

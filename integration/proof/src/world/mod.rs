//! The system under test: the native stack or the Compose project under which this process was
//! started, with handles to break and repair its parts. It starts no system by itself. `parts`
//! starts and stops parts, `ends` knows which of them may end, `waits` has what a fault waits for,
//! and `stalled` is the error of a wait for a part.

mod ends;
mod parts;
mod stalled;
mod waits;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, bail};
use integration::{
    cluster::Cluster,
    mail::Mail,
    stack::{Control, internal_variable},
};
use schemas::Codec;

use crate::{
    ledger::{Damage, Violation},
    load::Load,
    proxied::Proxied,
    proxy::{Protocol, Proxy},
    stores::Stores,
    system::System,
    threads::Threads,
};
use ends::ExpectedEnds;
pub use stalled::Stalled;

/// How long a part may take to become ready, or to die at a fault point.
pub(crate) const PART_MAX: Duration = Duration::from_secs(60);

/// Everything that a fault needs.
pub struct World {
    /// The kind of system.
    pub system: System,
    /// Starts, stops and signals parts.
    pub control: Control,
    /// The brokers, without a proxy in between.
    pub brokers: String,
    /// The brokers as services reach them.
    pub service_brokers: String,
    /// The brokers, without a gate in between unless they are Redpanda.
    pub cluster: Option<Cluster>,
    /// The threads of the services.
    pub threads: Threads,
    /// The registry.
    pub registry: String,
    /// The stores, without a proxy in between.
    pub stores: Stores,
    /// The codec with the registry's ids.
    pub codec: Arc<Codec>,
    /// The mail server.
    pub mail: Mail,
    /// The stream of commands.
    pub load: Arc<Load>,
    proxies: Vec<Proxied>,
    found: Mutex<Vec<Violation>>,
    ends: Mutex<ExpectedEnds>,
    /// The mutant with which the services are started, in a control run.
    pub mutant: Option<&'static str>,
    /// The folder for histories.
    pub out: PathBuf,
}

/// Reads a variable that the stack sets.
fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(name)
        .with_context(|| format!("{name} is not set: run this by integration/faults"))
}

impl World {
    /// Opens the system under which this process was started.
    pub async fn open(out: PathBuf, mutant: Option<&'static str>) -> anyhow::Result<Self> {
        let brokers = variable("MILLRACE_BROKERS")?;
        let registry = variable("MILLRACE_REGISTRY_URL")?;
        let client = redpanda::registry::Registry::new(&registry)?;
        let codec = Arc::new(client.codec(schemas::all()).await?);
        let (postgres, mongo, redis) = (
            variable("MILLRACE_POSTGRES_URL")?,
            variable("MILLRACE_MONGO_URL")?,
            variable("MILLRACE_REDIS_URL")?,
        );
        // Containers reach this process at the address of their engine's bridge.
        let host = std::env::var("MILLRACE_PROXY_HOST").unwrap_or_else(|_| "127.0.0.1".to_owned());
        let mut proxies = vec![
            Proxied::store(
                "postgres",
                "MILLRACE_POSTGRES_URL",
                &postgres,
                Protocol::Postgres,
                &host,
            )
            .await?,
            Proxied::store("mongo", "MILLRACE_MONGO_URL", &mongo, Protocol::Mongo, &host).await?,
            Proxied::store("redis", "MILLRACE_REDIS_URL", &redis, Protocol::Redis, &host).await?,
        ];
        // Each broker advertises one of these addresses on its second listener, so the proxy has to
        // listen there.
        if let Ok(at) = variable("MILLRACE_PROXY") {
            let brokers = variable("MILLRACE_PROXIED_BROKER")?;
            let pairs: Vec<_> = at.split(',').zip(brokers.split(',')).collect();
            let proxy = Proxy::start(&pairs, Protocol::Kafka).await?;
            proxies.push(Proxied { server: "broker", proxy, through: ("MILLRACE_BROKERS", at) });
        }
        let cluster = match std::env::var("MILLRACE_BROKERS_INTERNAL") {
            Ok(at) => Some(Cluster::at(&at).numbered_by(&brokers).await?),
            Err(_) => None,
        };
        if let Some(cluster) = cluster.as_ref().filter(|cluster| cluster.brokers() > 1) {
            // Redpanda has no such setting: what it acknowledges, a majority has.
            let in_sync_min = cluster.setting("order.events", "min.insync.replicas").await?;
            if let Some(in_sync_min) = in_sync_min.filter(|min| min != "2") {
                bail!(
                    "of three replicas {in_sync_min} and not 2 have what is acknowledged (min.insync.replicas)"
                );
            }
        }
        let stores = Stores { postgres, mongo, redis };
        stores.audit().await.context("preparing PostgreSQL")?;
        let mail =
            Mail::serve(variable("MILLRACE_SMTP_URL")?.trim_start_matches("smtp://")).await?;
        let load = Load::new(&brokers, codec.clone(), &out.join("commands.jsonl"))?;
        let control = Control::from_env()?;
        let ends = Mutex::new(ExpectedEnds::since(&control.status().await?));
        Ok(Self {
            system: System::from_env(),
            control,
            service_brokers: variable("MILLRACE_SERVICE_BROKERS")
                .unwrap_or_else(|_| brokers.clone()),
            cluster,
            threads: Threads::from_env(),
            registry,
            stores,
            mail,
            codec,
            load,
            proxies,
            found: Mutex::default(),
            ends,
            brokers,
            mutant,
            out,
        })
    }

    /// The proxy in front of `server`.
    pub fn proxied(&self, server: &str) -> anyhow::Result<&Proxied> {
        let found = self.proxies.iter().find(|proxied| proxied.server == server);
        found.with_context(|| format!("there is no proxy in front of {server}"))
    }

    /// Records a violation that a fault has found.
    pub fn report(&self, invariant: char, damage: Damage, what: impl Into<String>) {
        let violation = Violation::new(invariant, damage, what);
        self.found.lock().unwrap_or_else(PoisonError::into_inner).push(violation);
    }

    /// Takes the violations that were reported since the last call.
    pub fn reported(&self) -> Vec<Violation> {
        std::mem::take(&mut self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The sum of a metric over the series with all of `labels` (`name="value"`); `None` if the
    /// service does not answer.
    pub async fn metric(&self, service: &str, name: &str, labels: &[&str]) -> Option<f64> {
        let text = internal(service, "metrics").await?.text().await.ok()?;
        Some(sum_of(&text, name, labels))
    }

    /// The time with which a service stamps an answer, by its own clock; `None` if it does not
    /// answer.
    pub async fn time_of(&self, service: &str) -> Option<SystemTime> {
        let answer = internal(service, "livez").await?;
        httpdate::parse_http_date(answer.headers().get("date")?.to_str().ok()?).ok()
    }

    /// The error of a wait for a part that has not done `what` in time.
    async fn stalled(&self, part: &str, what: String) -> Stalled {
        let says = match internal(part, "readyz").await {
            Some(answer) => answer.text().await.ok(),
            None => None,
        };
        let says = says.map_or("nothing".to_owned(), |says| says.trim().to_owned());
        Stalled { part: part.to_owned(), what, says }
    }
}

/// What the internal listener of a service answers; `None` if it does not.
async fn internal(service: &str, path: &str) -> Option<reqwest::Response> {
    let url = format!("{}/{path}", std::env::var(internal_variable(service)).ok()?);
    let http = integration::http().build().ok()?;
    http.get(url).timeout(Duration::from_secs(2)).send().await.ok()
}

/// The sum of a metric over the series of `text` with all of `labels`.
fn sum_of(text: &str, name: &str, labels: &[&str]) -> f64 {
    let series = text.lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
            && labels.iter().all(|label| line.contains(label))
    });
    series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metric_is_the_sum_of_its_series_with_all_labels() {
        let text = [
            "# TYPE aborted counter",
            "aborted{reason=\"aborted\"} 0",
            "aborted{reason=\"fenced\"} 2",
            "aborted_ever 9",
        ]
        .join("\n");
        assert_eq!(sum_of(&text, "aborted", &[]), 2.0);
        assert_eq!(sum_of(&text, "aborted", &["reason=\"aborted\""]), 0.0);
        assert_eq!(sum_of(&text, "absent", &[]), 0.0);
    }
}

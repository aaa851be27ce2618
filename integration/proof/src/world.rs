//! The system under test: the native stack that this process was started under, with handles to break and mend its parts.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use integration::stack::Control;
use schemas::Codec;

use crate::{load::Load, proxy::Proxy, stores::Stores};

/// How long a part may take to be ready, or to die where it was told to.
const PART_MAX: Duration = Duration::from_secs(60);

/// Everything a fault needs.
pub struct World {
    /// Starts, stops and signals parts.
    pub control: Control,
    /// The broker, past any proxy.
    pub brokers: String,
    /// The registry.
    pub registry: String,
    /// Redis.
    pub redis: String,
    /// The databases.
    pub stores: Stores,
    /// Knows the registry's ids.
    pub codec: Arc<Codec>,
    /// Who sends commands.
    pub load: Arc<Load>,
    /// Between a service and the broker, for those that are started so.
    pub proxy: Proxy,
    /// Where the proxy listens.
    pub proxy_at: String,
    /// The bug that the services are started with, in a control.
    pub plant: Option<&'static str>,
    /// Where histories go.
    pub out: PathBuf,
}

/// A variable that the stack sets.
fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set: run this by integration/faults"))
}

impl World {
    /// The world around this process.
    pub async fn open(out: PathBuf, plant: Option<&'static str>) -> anyhow::Result<Self> {
        let brokers = variable("MILLRACE_BROKERS")?;
        let registry = variable("MILLRACE_REGISTRY_URL")?;
        let client = redpanda::registry::Registry::new(&registry)?;
        let codec = Arc::new(client.codec(schemas::all()).await?);
        let proxy_at = variable("MILLRACE_PROXY")?;
        crate::mail::serve(variable("MILLRACE_SMTP_URL")?.trim_start_matches("smtp://")).await?;
        let load = Load::new(&brokers, codec.clone(), &out.join("commands.jsonl"))?;
        Ok(Self {
            control: Control::from_env()?,
            registry,
            redis: variable("MILLRACE_REDIS_URL")?,
            stores: Stores {
                postgres: variable("MILLRACE_POSTGRES_URL")?,
                mongo: variable("MILLRACE_MONGO_URL")?,
            },
            codec,
            load,
            proxy: Proxy::start(&proxy_at, &variable("MILLRACE_PROXIED_BROKER")?).await?,
            proxy_at,
            brokers,
            plant,
            out,
        })
    }

    /// Starts a part that does not run, with more in its environment, and waits until it is ready.
    pub async fn start(&self, name: &str, extra: &[(&str, &str)]) -> anyhow::Result<()> {
        self.begin(name, extra).await?;
        self.control.wait(name, PART_MAX).await?;
        Ok(())
    }

    /// The same without waiting: it may die before it is ready.
    pub async fn begin(&self, name: &str, extra: &[(&str, &str)]) -> anyhow::Result<()> {
        let mut extra = extra.to_vec();
        extra.extend(self.plant.map(|plant| ("MILLRACE_PLANT", plant)));
        self.control.start_with(name, &extra).await?;
        Ok(())
    }

    /// Kills a part, if it runs.
    pub async fn kill(&self, name: &str) -> anyhow::Result<()> {
        if self.control.part(name).await?.pid.is_some() {
            self.control.kill(name).await?;
        }
        Ok(())
    }

    /// Kills a part and starts it again, with more in its environment.
    pub async fn again(&self, name: &str, extra: &[(&str, &str)]) -> anyhow::Result<()> {
        self.kill(name).await?;
        self.start(name, extra).await
    }

    /// Waits until a part has died by itself.
    pub async fn death_of(&self, name: &str) -> anyhow::Result<()> {
        self.death_within(name, PART_MAX).await
    }

    /// The same, with another patience.
    pub async fn death_within(&self, name: &str, at_most: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.control.part(name).await?.pid.is_some() {
            if begun.elapsed() > at_most {
                bail!("{name} was to die and did not within {at_most:?}: the fault did not happen");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Starts what is dead, stops what is not always there, and thaws what is frozen.
    pub async fn mend(&self) -> anyhow::Result<()> {
        for part in self.control.status().await? {
            if part.name.ends_with("-1") && !part.name.starts_with("gateway") {
                self.control.stop(&part.name).await?;
            } else if part.pid.is_some() {
                self.control.signal(&part.name, "CONT").await?;
            } else if ["dead", "stopped"].contains(&part.state.as_str()) {
                self.begin(&part.name, &[]).await?;
            }
        }
        for part in self.control.status().await?.iter().filter(|part| part.pid.is_some()) {
            self.control.wait(&part.name, PART_MAX).await?;
        }
        Ok(())
    }

    /// Waits until so many more commands are acknowledged: in the middle of a stream.
    pub async fn amid(&self, more: usize) -> anyhow::Result<()> {
        let (from, begun) = (self.load.acknowledged(), Instant::now());
        while self.load.acknowledged() < from + more {
            if begun.elapsed() > PART_MAX {
                bail!(
                    "only {} of {more} commands were acknowledged within {PART_MAX:?}",
                    self.load.acknowledged() - from
                );
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

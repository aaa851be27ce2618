//! What a fault waits for, each for at most as long as a part may take.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::bail;
use redpanda::scan::{Isolation, scan};

use super::{PART_MAX, World};

/// The pause between two looks at a part.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The same for containers, because each look runs a program.
const LOOK_AT_CONTAINER_EVERY: Duration = Duration::from_millis(300);

impl World {
    /// Waits until a part has stopped itself, as by SIGSTOP.
    pub async fn wait_for_stop(&self, name: &str) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !self.control.halted(name).await? {
            if self.control.part(name).await?.pid.is_none() {
                bail!("{name} was to stop and has ended: the fault did not happen");
            }
            if begun.elapsed() > PART_MAX {
                bail!(
                    "{name} was to stop and did not within {PART_MAX:?}: the fault did not happen"
                );
            }
            tokio::time::sleep(self.look_every()).await;
        }
        Ok(())
    }

    /// Waits until a part has died by itself, for at most a minute.
    pub async fn wait_for_death(&self, name: &str) -> anyhow::Result<()> {
        self.wait_for_death_within(name, PART_MAX).await
    }

    /// Waits until a part has died by itself, for at most `at_most`.
    pub async fn wait_for_death_within(&self, name: &str, at_most: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.control.part(name).await?.pid.is_some() {
            if begun.elapsed() > at_most {
                bail!("{name} was to die and did not within {at_most:?}: the fault did not happen");
            }
            tokio::time::sleep(self.look_every()).await;
        }
        Ok(())
    }

    fn look_every(&self) -> Duration {
        if self.system.containers { LOOK_AT_CONTAINER_EVERY } else { LOOK_EVERY }
    }

    /// Waits until a record with this key is a dead letter of `topic`.
    ///
    /// # Errors
    /// When it is none in time.
    pub async fn wait_for_letter(&self, topic: &str, key: &str) -> anyhow::Result<()> {
        let (dead, begun) = (format!("{topic}.dead"), Instant::now());
        let partitions = redpanda::topics::all().get(&dead).map_or(1, |topic| topic.partitions);
        loop {
            let letters = tokio::task::block_in_place(|| {
                let all = &mut BTreeMap::new();
                scan(&self.brokers, &dead, partitions, Isolation::Committed, all, PART_MAX)
            })?;
            if letters.iter().any(|letter| letter.key.as_deref() == Some(key.as_bytes())) {
                return Ok(());
            }
            if begun.elapsed() > PART_MAX {
                bail!("the record of {topic} with key {key} is no dead letter after {PART_MAX:?}");
            }
            tokio::time::sleep(LOOK_AT_CONTAINER_EVERY).await;
        }
    }

    /// Waits until a service has counted anything under `metric`, in all of its series, since it was
    /// started.
    ///
    /// # Errors
    /// When it has counted nothing in time: the fault did not happen.
    pub async fn wait_for_count(&self, service: &str, metric: &str) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.metric(service, metric, &[]).await.is_none_or(|count| count == 0.0) {
            if begun.elapsed() > PART_MAX {
                bail!(
                    "{service} has counted no {metric} within {PART_MAX:?}: the fault did not happen"
                );
            }
            tokio::time::sleep(LOOK_AT_CONTAINER_EVERY).await;
        }
        Ok(())
    }

    /// Waits until `more` further commands are acknowledged.
    pub async fn wait_for_commands(&self, more: usize) -> anyhow::Result<()> {
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

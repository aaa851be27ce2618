//! What a fault waits for, each for at most as long as a part may take.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::bail;
use redpanda::log::TopicPartition;
use redpanda::scan::{Isolation, scan};

use super::{PART_MAX, World};
use crate::ledger::Damage;

/// How long reading the new outcomes of one topic may take until it is tried again.
const READ_MAX: Duration = Duration::from_secs(10);
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

    /// Waits until a service has counted anything under `metric`, in all of its series, since it
    /// was started.
    ///
    /// # Errors
    /// When it has counted nothing in time: the fault did not happen.
    pub async fn wait_for_count(&self, service: &str, metric: &str) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.metric(service, metric, &[]).await.is_none_or(|count| count == 0.0) {
            if begun.elapsed() > PART_MAX {
                bail!(
                    "{service} has counted no {metric} within {PART_MAX:?}: the fault did not \
                     happen"
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

    /// Waits until services have decided `more` further commands. The acknowledgements for which
    /// [`Self::wait_for_commands`] waits are those of the suite's own writer. H: reports that they
    /// have not in time.
    pub async fn wait_for_outcomes(&self, more: usize) {
        let (begun, mut seen, mut read) = (Instant::now(), 0, None);
        while seen < more {
            let reading = || count_outcomes(&self.brokers, &mut read, &mut seen);
            // Brokers may be away for a while.
            let failed = tokio::task::block_in_place(reading).err();
            if let Some(what) = undecided(seen, more, begun.elapsed()) {
                let why = failed.map(|error| format!(": {}", schemas::chain(&*error)));
                self.report('H', Damage::Late, what + &why.unwrap_or_default());
                return;
            }
            tokio::time::sleep(LOOK_AT_CONTAINER_EVERY).await;
        }
    }
}

/// The positions of a reader of outcomes, by topic and partition.
type Positions = BTreeMap<&'static str, BTreeMap<i32, i64>>;

/// Adds the number of outcomes since the last call to `seen`. The first call begins at the ends of
/// the log.
fn count_outcomes(
    brokers: &str,
    read: &mut Option<Positions>,
    seen: &mut usize,
) -> anyhow::Result<()> {
    let topics = || redpanda::topics::all().of_kind("outcomes");
    let Some(positions) = read else {
        let mut ends = Positions::new();
        for topic in topics() {
            let partitions: Vec<_> =
                (0..topic.partitions).map(|n| TopicPartition::new(&*topic.name, n)).collect();
            let stable = redpanda::scan::ends(brokers, &partitions)?.into_iter();
            ends.insert(&topic.name, (0..).zip(stable.map(|(stable, _)| stable)).collect());
        }
        *read = Some(ends);
        return Ok(());
    };
    for topic in topics() {
        let (name, from) = (&topic.name, positions.entry(&topic.name).or_default());
        *seen += scan(brokers, name, topic.partitions, Isolation::Committed, from, READ_MAX)?.len();
    }
    Ok(())
}

/// That services have not decided enough in time; `None` if they have, or have time left.
fn undecided(seen: usize, wanted: usize, waited: Duration) -> Option<String> {
    let late = seen < wanted && waited > PART_MAX;
    late.then(|| format!("only {seen} of {wanted} commands were decided within {PART_MAX:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_that_decide_too_little_in_time_are_reported() {
        let late = PART_MAX + Duration::from_millis(1);
        assert!(undecided(49, 50, late).is_some_and(|what| what.contains("49 of 50")));
        assert_eq!(undecided(49, 50, PART_MAX), None);
        assert_eq!(undecided(50, 50, late), None);
    }
}

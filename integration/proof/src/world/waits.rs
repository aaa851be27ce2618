//! What a fault waits for, each for at most as long as a part may take. A wait for a part that runs
//! on ends with [`super::Stalled`].

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
/// The outcomes of each service: the load sends commands to all of them.
const DECIDED_BY_EACH: [&str; 3] = ["user.outcomes", "order.outcomes", "notification.outcomes"];

impl World {
    /// Waits until a part has stopped itself, as by SIGSTOP.
    pub async fn wait_for_stop(&self, name: &str) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !self.control.halted(name).await? {
            if self.control.part(name).await?.pid.is_none() {
                bail!("{name} was to stop and has ended: the fault did not happen");
            }
            if begun.elapsed() > PART_MAX {
                let what = "was to stop and did not";
                return Err(self.stalled(name, undone(what, PART_MAX)).await.into());
            }
            tokio::time::sleep(self.look_every()).await;
        }
        Ok(())
    }

    /// Waits until a part has died at its fault point, for at most a minute.
    ///
    /// # Errors
    /// When it lives on, or has ended in another way: the fault did not happen then.
    pub async fn wait_for_death(&self, name: &str) -> anyhow::Result<()> {
        self.wait_for_death_within(name, PART_MAX).await?;
        let how = self.control.part(name).await?.ended.unwrap_or_default();
        if !is_abort(&how) {
            bail!("{name} was to abort and {how}: the fault did not happen");
        }
        Ok(())
    }

    /// Waits until a part has died by itself, for at most `at_most`.
    pub async fn wait_for_death_within(&self, name: &str, at_most: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.control.part(name).await?.pid.is_some() {
            if begun.elapsed() > at_most {
                let what = "was to die and did not";
                return Err(self.stalled(name, undone(what, at_most)).await.into());
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
    /// When there is no such dead letter in time.
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

    /// Waits until a service has counted anything under `metric`, in its series with all of
    /// `labels` (`name="value"`), since it was started.
    ///
    /// # Errors
    /// When it has counted nothing in time: the fault did not happen.
    pub async fn wait_for_count(
        &self,
        service: &str,
        metric: &str,
        labels: &[&str],
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.metric(service, metric, labels).await.is_none_or(|count| count == 0.0) {
            if begun.elapsed() > PART_MAX {
                let what = undone(&format!("has counted no {metric} {labels:?}"), PART_MAX);
                return Err(self.stalled(service, what).await.into());
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

    /// Waits until services have decided `more` further commands, and each service at least one.
    /// The acknowledgements for which [`Self::wait_for_commands`] waits are those of the suite's
    /// own writer. H: reports that they have not in time.
    pub async fn wait_for_outcomes(&self, more: usize) {
        let (begun, mut seen, mut read) = (Instant::now(), Decided::new(), None);
        while lacking(&seen, more).is_some() {
            let reading = || count_outcomes(&self.brokers, &mut read, &mut seen);
            // Brokers may be away for a while.
            let failed = tokio::task::block_in_place(reading).err();
            if let Some(what) = lacking(&seen, more).filter(|_| begun.elapsed() > PART_MAX) {
                let why = failed.map(|error| format!(": {}", schemas::chain(&*error)));
                self.report('H', Damage::Late, what + &why.unwrap_or_default());
                return;
            }
            tokio::time::sleep(LOOK_AT_CONTAINER_EVERY).await;
        }
    }
}

/// What a part has not done, so that a fault did not happen.
fn undone(what: &str, within: Duration) -> String {
    format!("{what} within {within:?}: the fault did not happen")
}

/// Whether a process has ended as at a fault point: by `abort`, which a container shows as its exit
/// code.
fn is_abort(how: &str) -> bool {
    how == "was killed by SIGABRT" || how == "ended with code 134"
}

/// The positions of a reader of outcomes, by topic and partition.
type Positions = BTreeMap<&'static str, BTreeMap<i32, i64>>;
/// The number of outcomes in each topic.
type Decided = BTreeMap<&'static str, usize>;

/// Adds the outcomes since the last call to `seen`. The first call begins at the ends of the log.
fn count_outcomes(
    brokers: &str,
    read: &mut Option<Positions>,
    seen: &mut Decided,
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
        let new = scan(brokers, name, topic.partitions, Isolation::Committed, from, READ_MAX)?;
        *seen.entry(name).or_default() += new.len();
    }
    Ok(())
}

/// What services have not decided of what is wanted; `None` if nothing is lacking.
fn lacking(seen: &Decided, wanted: usize) -> Option<String> {
    let all: usize = seen.values().sum();
    if all < wanted {
        return Some(format!("only {all} of {wanted} commands were decided within {PART_MAX:?}"));
    }
    let none = |topic: &&str| seen.get(*topic).is_none_or(|count| *count == 0);
    let silent = DECIDED_BY_EACH.into_iter().find(none)?;
    Some(format!("{silent} has no new outcome within {PART_MAX:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_that_decide_too_little_lack_something() {
        let [user, order, notification] = DECIDED_BY_EACH;
        let seen = |counts: [usize; 3]| Decided::from_iter(DECIDED_BY_EACH.into_iter().zip(counts));
        let lacks =
            |counts, what: &str| lacking(&seen(counts), 50).is_some_and(|text| text.contains(what));
        assert!(lacks([9, 20, 20], "49 of 50"));
        assert!(lacks([0, 50, 1], user) && lacks([60, 0, 1], order));
        assert!(lacks([1, 60, 0], notification));
        assert_eq!(lacking(&seen([1, 48, 1]), 50), None);
        assert!(lacking(&Decided::new(), 50).is_some());
    }
}

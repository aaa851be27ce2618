//! Judges a system after a fault until no invariant is broken, or for as long as it may take.

use std::collections::HashSet;
use std::io::{Write as _, stdout};
use std::time::{Duration, Instant};

use redpanda::log::TopicPartition;

use super::Suite;
use crate::judge;
use crate::ledger::{Damage, Violation};
use crate::threads::QUIET_TURN_MAX;

/// H: how long after the end of the fault everything that was acknowledged may take to be decided,
/// notified and projected.
const RECOVERY_MAX: Duration = Duration::from_secs(120);

/// How long a mutant may take to break an invariant.
const CONTROL_MAX: Duration = Duration::from_secs(25);

/// How long the live reader may take to reach the end of the log.
const READER_MAX: Duration = Duration::from_secs(3);

/// How often the suite prints what it waits for.
const REPORT_EVERY: Duration = Duration::from_secs(10);

impl Suite {
    /// Judges until no invariant is broken, or until the time limit.
    pub(super) async fn judge(&mut self, since: Instant) -> anyhow::Result<Vec<Violation>> {
        let limit = if self.options.mutant.is_some() { CONTROL_MAX } else { RECOVERY_MAX };
        let mut reported = Instant::now();
        loop {
            let broken = self.look().await;
            let late = since.elapsed() > limit;
            match broken {
                Ok(broken) if broken.is_empty() => return Ok(broken),
                Ok(mut broken) if late => {
                    broken.sort();
                    broken.dedup();
                    self.ledger.broken.clear();
                    return Ok(broken);
                }
                Err(error) if late => {
                    let what = format!(
                        "could not be judged {} s after the fault: {}",
                        limit.as_secs(),
                        schemas::chain(&*error)
                    );
                    return Ok(vec![Violation::new('H', Damage::Late, what)]);
                }
                not_yet => {
                    if reported.elapsed() > REPORT_EVERY {
                        reported = Instant::now();
                        let (count, first) = match not_yet {
                            Ok(broken) => (
                                broken.len(),
                                broken.first().map_or(String::new(), |one| one.what.clone()),
                            ),
                            Err(error) => (1, schemas::chain(&*error)),
                        };
                        let at_s = since.elapsed().as_secs();
                        drop(write!(
                            stdout(),
                            "\n         {at_s} s: {count} to come, such as {first}\n  "
                        ));
                    }
                    tokio::time::sleep(Duration::from_millis(300)).await;
                }
            }
        }
    }

    async fn look(&mut self) -> anyhow::Result<Vec<Violation>> {
        let (world, ledger) = (&self.world, &mut self.ledger);
        let broken = tokio::task::block_in_place(|| -> anyhow::Result<_> {
            // What the reader has seen is in the log that is read after it.
            let seen = self.reader.seen();
            ledger.read_on(&world.brokers, &world.codec)?;
            let mut broken = judge::topics(ledger, &world.codec, &world.load.history());
            broken.extend(judge::live_reader(ledger, &seen));
            // Some notifications are written for minutes, so the reader gets time for the records
            // that were just appended.
            let (asked, mut unread) = (Instant::now(), judge::unread(ledger, &seen));
            while !unread.is_empty() && asked.elapsed() < READER_MAX {
                std::thread::sleep(Duration::from_millis(100));
                unread = judge::unread(ledger, &self.reader.seen());
            }
            broken.extend(unread);
            broken.extend(open_transactions(&world.brokers)?);
            Ok(broken)
        })?;
        if broken.is_empty() || self.options.mutant.is_some() {
            let mut broken = broken;
            broken.extend(world.stores.compare(ledger).await?);
            broken.extend(world.threads.stuck(QUIET_TURN_MAX).await);
            return Ok(broken);
        }
        Ok(broken)
    }

    /// The longest wait of a command for its outcome, in seconds.
    pub(super) fn longest(&self, earlier: &HashSet<uuid::Uuid>) -> f64 {
        let waited = |(id, seen): (&uuid::Uuid, &crate::ledger::SeenOutcomes)| {
            let sent = self.ledger.commands.get(id).filter(|_| !earlier.contains(id))?;
            Some(seen.at_ms - sent.at_ms)
        };
        let longest = self.ledger.outcomes.iter().filter_map(waited).max().unwrap_or(0);
        std::time::Duration::from_millis(u64::try_from(longest).unwrap_or(0)).as_secs_f64()
    }
}

/// G: no transaction stays open, so the last stable offset reaches the end.
fn open_transactions(brokers: &str) -> anyhow::Result<Vec<Violation>> {
    let partitions: Vec<TopicPartition> = redpanda::topics::all()
        .iter()
        .filter(|topic| !topic.name.ends_with(".commands"))
        .flat_map(|topic| {
            (0..topic.partitions).map(|partition| TopicPartition::new(&*topic.name, partition))
        })
        .collect();
    let ends = redpanda::scan::ends(brokers, &partitions)?;
    let open = partitions.iter().zip(ends).filter(|(_, (stable, end))| stable != end);
    Ok(open
        .map(|(partition, (stable, end))| {
            Violation::new(
                'G',
                Damage::Late,
                format!("{partition}: stable up to {stable} of {end}"),
            )
        })
        .collect())
}

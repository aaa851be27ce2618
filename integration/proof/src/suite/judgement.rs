//! Judges a system after a fault until no invariant is broken, or for as long as it may take.

use std::collections::HashSet;
use std::io::{Write as _, stdout};
use std::time::{Duration, Instant};

use anyhow::bail;
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
            // A look that begins in time counts, however long it takes.
            let late = since.elapsed() > limit;
            let looked = self.look().await;
            let control = self.options.mutant.is_some();
            if let Some(broken) = conclusion(&looked, late, limit, control)? {
                if looked.is_ok() {
                    self.ledger.broken.clear();
                }
                return Ok(broken);
            }
            if reported.elapsed() > REPORT_EVERY {
                reported = Instant::now();
                let (count, first) = match looked {
                    Ok(broken) => {
                        let first = broken.first().map_or(String::new(), |one| one.what.clone());
                        (broken.len(), first)
                    }
                    Err(error) => (1, schemas::chain(&*error)),
                };
                let at_s = since.elapsed().as_secs();
                drop(write!(stdout(), "\n         {at_s} s: {count} to come, such as {first}\n  "));
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
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

/// The violations after a look at the system; `None` if it must be looked at again. `late` says
/// whether the look has begun later than `limit` after the fault. In a control the limit is short,
/// and a system that is whole has withstood its mutant, however late that is.
///
/// # Errors
/// In a control, when the system could not be judged in time: that says nothing about the mutant.
fn conclusion(
    looked: &anyhow::Result<Vec<Violation>>,
    late: bool,
    limit: Duration,
    control: bool,
) -> anyhow::Result<Option<Vec<Violation>>> {
    let too_late = |what: String| {
        Some(vec![Violation::new('H', Damage::Late, format!("{} s {what}", limit.as_secs()))])
    };
    Ok(match looked {
        Ok(broken) if broken.is_empty() && late && !control => {
            too_late("after the fault not all invariants held yet; they do by now".to_owned())
        }
        Ok(broken) if broken.is_empty() => Some(Vec::new()),
        Ok(broken) if late => {
            let mut broken = broken.clone();
            broken.sort();
            broken.dedup();
            Some(broken)
        }
        Err(error) if late && control => {
            bail!("the control could not be judged: {}", schemas::chain(&**error))
        }
        Err(error) if late => too_late(format!(
            "after the fault it could not be judged: {}",
            schemas::chain(&**error)
        )),
        _ => None,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The invariants that are violated at the end; `None` if there is another look.
    fn concluded(looked: anyhow::Result<Vec<Violation>>, late: bool) -> Option<String> {
        let concluded = conclusion(&looked, late, RECOVERY_MAX, false).expect("no control");
        let broken = concluded?;
        Some(broken.iter().map(|violation| violation.invariant).collect())
    }

    #[test]
    fn system_that_is_whole_only_after_the_limit_is_late() {
        assert_eq!(concluded(Ok(Vec::new()), false).as_deref(), Some(""));
        assert_eq!(concluded(Ok(Vec::new()), true).as_deref(), Some("H"));
        let control = conclusion(&Ok(Vec::new()), true, CONTROL_MAX, true).expect("a verdict");
        assert_eq!(control, Some(Vec::new()), "no mutant is caught because a machine is slow");
    }

    #[test]
    fn violation_or_error_is_looked_at_again_until_the_limit() {
        let torn = || Ok(vec![Violation::new('D', Damage::Torn, "a state"); 2]);
        assert_eq!(concluded(torn(), false), None);
        assert_eq!(concluded(torn(), true).as_deref(), Some("D"));
        let unread = || Err(anyhow::anyhow!("no broker answers"));
        assert_eq!(concluded(unread(), false), None);
        assert_eq!(concluded(unread(), true).as_deref(), Some("H"));
        let control = |late| conclusion(&unread(), late, CONTROL_MAX, true);
        assert_eq!(control(false).expect("another look"), None);
        assert!(control(true).is_err(), "no mutant is caught because the judge fails");
    }
}

//! Finds partitions that are assigned and not fetched although the broker has records of them. It
//! never blocks the member, and reports no stall that a broker has not confirmed twice.
//!
//! A client that is wrong about what it fetches reports no error, and its statistics only know what
//! it has fetched. So the broker is asked for the ends of partitions whose fetches do not move.

use std::{
    collections::BTreeMap,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use rdkafka::consumer::BaseConsumer;

use super::{
    closing::give_back,
    context::{Fetch, GroupContext},
};
use crate::{client::watermarks, log::TopicPartition};

/// The time between two checks. A stall is confirmed by two answers of the broker, each of which is
/// compared at the check after it, so it is reported 40 to 60 s after its begin.
const INTERVAL: Duration = Duration::from_secs(20);

/// A partition whose fetches have not moved, and the last stable offset at that time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Behind {
    pub(super) partition: TopicPartition,
    /// The offset to fetch next.
    pub(super) next: i64,
    pub(super) end: i64,
}

/// Compares where a member fetches with the ends of its partitions.
pub(super) struct StallCheck {
    pub(super) interval: Duration,
    checked: Instant,
    answer: Option<mpsc::Receiver<Vec<Behind>>>,
    /// What the last check found.
    behind: Vec<Behind>,
}

impl Default for StallCheck {
    fn default() -> Self {
        Self { interval: INTERVAL, checked: Instant::now(), answer: None, behind: Vec::new() }
    }
}

impl StallCheck {
    /// Forgets everything, because the member has moved.
    pub(super) fn forget(&mut self) {
        *self = Self { interval: self.interval, ..Self::default() };
    }

    /// The partitions that were behind and had not moved at the last check.
    pub(super) fn behind(&self) -> &[Behind] {
        &self.behind
    }

    /// Returns a partition that is stalled. Call it after a poll that returned nothing, because the
    /// client stops fetching while enough records are queued. It does nothing before the interval
    /// has passed.
    ///
    /// `positions` are the offsets from which the member has to read, and `fetches` returns
    /// what the client's last statistics say.
    pub(super) fn check(
        &mut self,
        client: &Arc<BaseConsumer<GroupContext>>,
        positions: &[(TopicPartition, i64)],
        fetches: impl FnOnce() -> BTreeMap<TopicPartition, Fetch>,
    ) -> Option<Behind> {
        if self.checked.elapsed() < self.interval {
            return None;
        }
        self.checked = Instant::now();
        let unmoved = next(positions, &fetches());
        match self.answer.as_ref().map(mpsc::Receiver::try_recv) {
            // The broker has not answered, so that nothing is known of its partitions.
            Some(Err(mpsc::TryRecvError::Empty)) => return None,
            Some(Ok(answer)) => {
                let same =
                    |found: &Behind| unmoved.contains(&(found.partition.clone(), found.next));
                let before =
                    std::mem::replace(&mut self.behind, answer.into_iter().filter(same).collect());
                let again = |found: &&Behind| {
                    before.iter().any(|it| it.partition == found.partition && it.next == found.next)
                };
                if let Some(stalled) = self.behind.iter().find(again) {
                    return Some(stalled.clone());
                }
            }
            Some(Err(mpsc::TryRecvError::Disconnected)) | None => self.behind.clear(),
        }
        self.answer = ask(client, unmoved);
        None
    }
}

/// The offset to fetch next of each partition.
fn next(
    positions: &[(TopicPartition, i64)],
    fetches: &BTreeMap<TopicPartition, Fetch>,
) -> Vec<(TopicPartition, i64)> {
    let next = |(partition, from): &(TopicPartition, i64)| {
        let fetched = fetches.get(partition).and_then(|fetch| fetch.next);
        (partition.clone(), fetched.unwrap_or(*from).max(*from))
    };
    positions.iter().map(next).collect()
}

/// Asks for the ends of `partitions` in a thread, which ends at the first request that fails. The
/// member may be dropped meanwhile: the thread keeps its client alive for one request only.
fn ask(
    client: &Arc<BaseConsumer<GroupContext>>,
    partitions: Vec<(TopicPartition, i64)>,
) -> Option<mpsc::Receiver<Vec<Behind>>> {
    let (sender, answer) = mpsc::sync_channel(1);
    let member = Arc::downgrade(client);
    let work = move || {
        let mut found = Vec::new();
        for (partition, next) in partitions {
            let Some(client) = member.upgrade() else { return };
            let answer = watermarks(&client, &partition);
            give_back(client);
            let Ok((_, end)) = answer else { return };
            if end > next {
                found.push(Behind { partition, next, end });
            }
        }
        // The member may have moved meanwhile, and need no answer.
        drop(sender.send(found));
    };
    thread::Builder::new().name("ends".to_owned()).spawn(work).ok().map(|_| answer)
}

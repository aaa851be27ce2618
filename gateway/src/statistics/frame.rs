//! What the stream of statistics hands out: all windows of a minute, and those that have changed.

use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::sync::watch;

use super::{Audience, By, Statistics};
use crate::{
    hub,
    reads::{Read, ReadError, Reads},
};

/// What has changed, as JSON for each audience.
#[derive(Debug)]
pub struct Frame {
    /// The number of the frame, from 1.
    pub number: u64,
    statistics: Statistics,
    /// All windows, for admins and for everyone.
    whole: [Arc<str>; 2],
    /// The windows that differ from the frame before; `None` if the audience sees no difference.
    changed: [Option<Arc<str>>; 2],
}

impl Frame {
    fn new(before: Option<&Self>, statistics: Statistics) -> serde_json::Result<Self> {
        let json = |audience, known| -> serde_json::Result<Arc<str>> {
            Ok(serde_json::to_string(&statistics.shown_without(audience, known))?.into())
        };
        let audiences = [Audience::Admins, Audience::Everyone];
        let [admins, everyone] = audiences.map(|audience| json(audience, None));
        let whole = [admins?, everyone?];
        let mut changed = [None, None];
        for (index, audience) in audiences.into_iter().enumerate() {
            if before.is_none_or(|it| it.whole[index] != whole[index]) {
                changed[index] = Some(json(audience, before.map(|it| &it.statistics))?);
            }
        }
        Ok(Self { number: before.map_or(0, |it| it.number) + 1, statistics, whole, changed })
    }

    /// The event for a client that has got the frame `seen` last: its name and its data. `None` if
    /// nothing has changed for this audience.
    pub fn event(&self, audience: Audience, seen: Option<u64>) -> Option<(&'static str, Arc<str>)> {
        let index = usize::from(audience == Audience::Everyone);
        match seen {
            Some(seen) if seen + 1 == self.number => {
                Some(("changed", self.changed[index].clone()?))
            }
            _ => Some(("statistics", self.whole[index].clone())),
        }
    }
}

impl hub::Frame for Frame {
    fn changes(reads: &dyn Reads) -> watch::Receiver<u64> {
        reads.statistics_changes()
    }

    fn next<'a>(reads: &'a dyn Reads, before: Option<&'a Self>) -> Read<'a, Option<Self>> {
        async move {
            let statistics = reads.statistics(By::Minute).await?;
            if before.is_some_and(|it| it.statistics == statistics) {
                return Ok(None);
            }
            let frame = Self::new(before, statistics);
            frame.map(Some).map_err(|error| ReadError::new("statistics as JSON", error))
        }
        .boxed()
    }
}

//! The newest notifications of the log: commands that mark one as read are about them.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::Context as _;
use redpanda::{
    log::Record,
    scan::{Isolation, scan},
};
use schemas::{Codec, Message as _, notification::Event};
use uuid::Uuid;

use super::Load;

const TOPIC: &str = "notification.events";
/// The number of notifications that are kept.
const KEPT_MAX: usize = 500;
/// How often new ones are read.
const READ_EVERY: Duration = Duration::from_secs(1);
/// How long one read may take. Brokers may be away for a while.
const READ_MAX: Duration = Duration::from_secs(2);

/// A notification that was raised.
#[derive(Clone, Copy)]
pub(super) struct Notice {
    pub(super) notification_id: Uuid,
    pub(super) user_id: Uuid,
}

/// The newest notifications, and where to read on.
#[derive(Default)]
pub(super) struct Notices {
    positions: BTreeMap<i32, i64>,
    pub(super) newest: VecDeque<Notice>,
}

impl Notices {
    fn add(&mut self, record: &Record, codec: &Codec) -> anyhow::Result<()> {
        let value = record.value.as_deref().context("an event without a value")?;
        if let Event::NotificationRaised(raised) = Event::decode(codec, value)? {
            let (notification_id, user_id) = (raised.notification_id, raised.user_id);
            self.newest.push_back(Notice { notification_id, user_id });
        }
        while self.newest.len() > KEPT_MAX {
            self.newest.pop_front();
        }
        Ok(())
    }
}

impl Load {
    /// Reads new notifications until the load is stopped.
    pub(super) async fn read_notices(self: Arc<Self>) {
        while !self.stop.load(Ordering::Relaxed) {
            let load = self.clone();
            // What can't be read now is read the next time; the judge reads the log itself.
            drop(tokio::task::spawn_blocking(move || load.read_new_notices()).await);
            tokio::time::sleep(READ_EVERY).await;
        }
    }

    fn read_new_notices(&self) -> anyhow::Result<()> {
        let topic = redpanda::topics::all().get(TOPIC).context(TOPIC)?;
        let mut positions = self.history().notices.positions.clone();
        let brokers = self.brokers.as_str();
        let committed = Isolation::Committed;
        let read = scan(brokers, TOPIC, topic.partitions, committed, &mut positions, READ_MAX)?;
        let notices = &mut self.history().notices;
        notices.positions = positions;
        read.iter().try_for_each(|record| notices.add(record, &self.codec))
    }
}

#[cfg(test)]
mod tests {
    use schemas::notification::{Kind, NotificationRaised};

    use super::*;
    use crate::ledger::testing::record;

    #[test]
    fn newest_notifications_are_kept() {
        let (codec, mut notices) = (Codec::local(), Notices::default());
        for number in 0..=KEPT_MAX as u128 {
            let raised = NotificationRaised {
                notification_id: Uuid::from_u128(number),
                user_id: Uuid::from_u128(7),
                kind: Kind::Welcome,
                title: String::new(),
                body: String::new(),
                order_id: None,
                raised_at: 0,
            };
            let (mut record, mut value) = (record(TOPIC, 0, "key"), Vec::new());
            raised.encode(&codec, &mut value).expect("a value");
            record.value = Some(value.into());
            notices.add(&record, &codec).expect("an event");
        }
        let ids: Vec<_> = notices.newest.iter().map(|one| one.notification_id.as_u128()).collect();
        assert_eq!((ids.len(), ids[0]), (KEPT_MAX, 1));
    }
}

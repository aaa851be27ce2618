//! How many notifications each user has not read. A counter has no version to follow: that it
//! counts each record once rests on the position, which moves in the same script, alone.

use std::{collections::BTreeMap, sync::LazyLock};

use futures_util::future::BoxFuture;
use redis::Script;
use redpanda::log::TopicPartition;
use schemas::{Codec, notification};
use uuid::Uuid;

use super::{Redis, position, unread_key};
use crate::{
    StoreError,
    projection::{Batch, Claim, Projection, events},
};

static WRITE: LazyLock<Script> = LazyLock::new(|| {
    position::script(
        "for i = 2, #KEYS do
           if redis.call('INCRBY', KEYS[i], ARGV[3 + i]) == 0 then redis.call('DEL', KEYS[i]) end
         end",
    )
});

/// The projection.
pub(super) struct Unread {
    pub(super) redis: Redis,
}

impl Projection for Unread {
    fn name(&self) -> &'static str {
        "unread"
    }

    fn topics(&self) -> &'static [&'static str] {
        &["notification.events"]
    }

    fn claim<'a>(&'a self, place: &'a TopicPartition) -> BoxFuture<'a, Result<Claim, StoreError>> {
        Box::pin(position::claim(&self.redis, self.name(), place))
    }

    fn held<'a>(
        &'a self,
        place: &'a TopicPartition,
    ) -> BoxFuture<'a, Result<Option<Claim>, StoreError>> {
        Box::pin(position::held(&self.redis, self.name(), place))
    }

    fn bury<'a>(
        &'a self,
        batch: &'a Batch<'a>,
        why: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(position::bury(&self.redis, self.name(), batch, why))
    }

    fn erase(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            position::erase(&self.redis, self.name(), &["unread:*".to_owned()]).await
        })
    }

    fn apply<'a>(
        &'a self,
        batch: &'a Batch<'a>,
        codec: &'a Codec,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let mut changes: BTreeMap<Uuid, i64> = BTreeMap::new();
            for event in events::<notification::Event>(batch, codec)? {
                match event.message {
                    notification::Event::NotificationRaised(raised) => {
                        *changes.entry(raised.user_id).or_default() += 1
                    }
                    notification::Event::NotificationRead(read) => {
                        *changes.entry(read.user_id).or_default() -= 1
                    }
                    _ => {}
                }
            }
            let mut invocation = position::begin(&WRITE, self.name(), batch);
            for (user_id, change) in changes.into_iter().filter(|(_, change)| *change != 0) {
                invocation.key(unread_key(user_id)).arg(change);
            }
            position::invoke(&self.redis, &invocation, batch).await
        })
    }
}

//! The number of unread notifications of each user. A counter has no version that could follow: it
//! counts each record once only because the position moves in the same script.

use std::{collections::BTreeMap, sync::LazyLock};

use redis::{Script, ScriptInvocation};
use schemas::{Codec, Message as _, Schema, notification};
use uuid::Uuid;

use super::{
    connection::{Redis, failed},
    model::Model,
    positions::{self, positions_key},
    reads::Reads,
};
use crate::{StoreError, event::events, projection::Batch};

const NAME: &str = "unread";

/// For each further key: the change of the counter.
static WRITE: LazyLock<Script> = LazyLock::new(|| {
    positions::script(
        "for i = 2, #KEYS do
           if redis.call('INCRBY', KEYS[i], ARGV[3 + i]) == 0 then redis.call('DEL', KEYS[i]) end
         end",
    )
});

/// The projection.
pub(crate) struct Unread;

impl Model for Unread {
    fn name(&self) -> &'static str {
        NAME
    }

    fn topics(&self) -> &'static [&'static str] {
        &["notification.events"]
    }

    fn schemas(&self) -> Vec<&'static Schema> {
        notification::Event::schemas().to_vec()
    }

    fn keys(&self) -> Vec<String> {
        vec!["unread:*".to_owned()]
    }

    fn script(&self) -> &'static Script {
        &WRITE
    }

    async fn fill(
        &self,
        _redis: &Redis,
        batch: &Batch<'_>,
        codec: &Codec,
        invocation: &mut ScriptInvocation<'static>,
    ) -> Result<(), StoreError> {
        use notification::Event as E;
        let mut changes: BTreeMap<Uuid, i64> = BTreeMap::new();
        for event in events::<notification::Event>(std::slice::from_ref(batch), codec)? {
            match event.message {
                E::NotificationRaised(raised) => *changes.entry(raised.user_id).or_default() += 1,
                E::NotificationRead(read) => *changes.entry(read.user_id).or_default() -= 1,
                _ => {}
            }
        }
        for (user_id, change) in changes.into_iter().filter(|(_, change)| *change != 0) {
            invocation.key(unread_key(user_id)).arg(change);
        }
        Ok(())
    }
}

fn unread_key(user_id: Uuid) -> String {
    format!("unread:{user_id}")
}

impl Reads {
    /// The number of a user's unread notifications. Returns `None` while it is unknown because
    /// Redis has lost the position of the projection.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn unread(&self, user_id: Uuid) -> Result<Option<i64>, StoreError> {
        let (known, count): (bool, Option<i64>) = redis::pipe()
            .exists(positions_key(NAME))
            .get(unread_key(user_id))
            .query_async(&mut self.redis.connection())
            .await
            .map_err(failed("reading a counter"))?;
        Ok(known.then(|| count.unwrap_or(0)))
    }
}

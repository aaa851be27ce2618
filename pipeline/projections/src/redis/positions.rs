//! Positions in Redis: claimed with a new epoch, and moved by the script that writes the data.

use std::sync::LazyLock;

use futures_util::future::BoxFuture;
use redis::{AsyncCommands, Script, ScriptInvocation};
use redpanda::log::TopicPartition;

use super::connection::{Redis, failed};
use crate::{
    StoreError,
    projection::{Batch, Claim, PositionStore},
};

/// The beginning of every script. `KEYS[1]` is the hash of positions; `ARGV` begins with field,
/// epoch, from, to.
const HEAD: &str = r"
local epoch = redis.call('HGET', KEYS[1], ARGV[1] .. ':epoch')
if not epoch then return 'missing' end
local position = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if epoch ~= ARGV[2] or position ~= ARGV[3] then return 'lost' end
";
/// The end of every script.
const TAIL: &str = r"
redis.call('HSET', KEYS[1], ARGV[1], ARGV[4])
return 'ok'";

/// The newest dead letters of a projection that are kept, about.
const DEAD_LETTERS_MAX: i64 = 1_000;

static DEAD_LETTER: LazyLock<Script> = LazyLock::new(|| {
    script(
        "redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], '*',
                    'place', ARGV[6], 'why', ARGV[7])",
    )
});

/// Deletes the position, unless it was deleted for the same gap before. `ARGV[5]` names the gap.
static FORGET: LazyLock<Script> = LazyLock::new(|| {
    let body = r"
local gap = ARGV[1] .. ':gap'
if redis.call('HGET', KEYS[1], gap) ~= ARGV[5] then
  redis.call('HSET', KEYS[1], gap, ARGV[5])
  redis.call('HDEL', KEYS[1], ARGV[1])
end
return 'ok'";
    Script::new(&format!("{HEAD}{body}"))
});

/// Marks the partition as one that is rebuilt up to `ARGV[4]`.
static MARK_REBUILD: LazyLock<Script> = LazyLock::new(|| {
    let body = "redis.call('HSET', KEYS[2], ARGV[1], ARGV[4]) return 'ok'";
    Script::new(&format!("{HEAD}{body}"))
});

/// Part of a script whose `KEYS[2]` is [`rebuilds_key`]: a partition whose position reaches the end
/// of its rebuild is not marked any more. Redis removes a hash without fields.
pub(super) const END_REBUILD: &str = r"
local rebuilt = redis.call('HGET', KEYS[2], ARGV[1])
if rebuilt and tonumber(ARGV[4]) >= tonumber(rebuilt) then
  redis.call('HDEL', KEYS[2], ARGV[1])
end
";

impl PositionStore for Redis {
    fn claim<'a>(
        &'a self,
        projection: &'a str,
        partition: &'a TopicPartition,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        Box::pin(async move {
            let (key, field) = (positions_key(projection), field(partition));
            let (epoch, next): (i64, Option<i64>) = redis::pipe()
                .atomic()
                .hincr(&key, format!("{field}:epoch"), 1)
                .hget(&key, &field)
                .query_async(&mut self.connection())
                .await
                .map_err(failed("claiming a partition in Redis"))?;
            Ok(Claim { epoch, next })
        })
    }

    fn current_claim<'a>(
        &'a self,
        projection: &'a str,
        partition: &'a TopicPartition,
    ) -> BoxFuture<'a, Result<Option<Claim>, StoreError>> {
        Box::pin(async move {
            let (key, field) = (positions_key(projection), field(partition));
            let fields = [format!("{field}:epoch"), field];
            let mut connection = self.connection();
            let held = connection.hmget::<_, _, (Option<i64>, Option<i64>)>(key, &fields).await;
            let (epoch, next) = held.map_err(failed("looking at a position in Redis"))?;
            Ok(epoch.map(|epoch| Claim { epoch, next }))
        })
    }

    fn write_dead_letter<'a>(
        &'a self,
        projection: &'a str,
        batch: &'a Batch<'a>,
        why: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let mut invocation = begin(&DEAD_LETTER, projection, batch);
            invocation.key(dead_letters_key(projection)).arg(DEAD_LETTERS_MAX);
            invocation.arg(format!("{}@{}", batch.partition, batch.to - 1)).arg(why);
            invoke(self, &invocation, batch).await
        })
    }
}

/// A script that runs `body` and moves the position, if the claim is still the newest and the
/// position is that of the claim. Otherwise it writes nothing.
pub(super) fn script(body: &str) -> Script {
    Script::new(&format!("{HEAD}{body}{TAIL}"))
}

/// The beginning of an invocation of [`script`].
pub(super) fn begin<'a>(
    script: &'a Script,
    projection: &str,
    batch: &Batch<'_>,
) -> ScriptInvocation<'a> {
    let mut invocation = script.key(positions_key(projection));
    let Claim { epoch, next } = batch.claim;
    let from = next.map(|next| next.to_string()).unwrap_or_default();
    invocation.arg(field(batch.partition)).arg(epoch).arg(from).arg(batch.to);
    invocation
}

/// Runs an invocation.
pub(super) async fn invoke(
    redis: &Redis,
    invocation: &ScriptInvocation<'_>,
    batch: &Batch<'_>,
) -> Result<(), StoreError> {
    let doing = "writing to Redis";
    let answer: String =
        invocation.invoke_async(&mut redis.connection()).await.map_err(failed(doing))?;
    match &*answer {
        "ok" => Ok(()),
        "lost" => Err(StoreError::Lost { position: batch.partition.to_string() }),
        // The next claim finds no position, so the projection is rebuilt.
        _ => Err(StoreError::failed(doing, "it has been emptied")),
    }
}

/// Deletes the position of a batch that has met `gap`, so that the partition is read from its
/// beginning again. If the position was deleted for the same gap before, it stays: then the log
/// itself lacks an event.
///
/// # Errors
/// [`StoreError::Lost`] when another owner has claimed the partition, and others when the server
/// does not answer.
pub(super) async fn forget(
    redis: &Redis,
    projection: &str,
    batch: &Batch<'_>,
    gap: &str,
) -> Result<(), StoreError> {
    let mut invocation = begin(&FORGET, projection, batch);
    invocation.arg(gap);
    invoke(redis, &invocation, batch).await
}

/// Marks the partition of a batch as one that is rebuilt up to `batch.to`.
///
/// # Errors
/// [`StoreError::Lost`] when another owner has claimed the partition, and others when the server
/// does not answer.
pub(super) async fn mark_rebuild(
    redis: &Redis,
    projection: &str,
    batch: &Batch<'_>,
) -> Result<(), StoreError> {
    let mut invocation = begin(&MARK_REBUILD, projection, batch);
    invocation.key(rebuilds_key(projection));
    invoke(redis, &invocation, batch).await
}

/// Deletes the positions and dead letters of a projection together with all keys that match one of
/// `patterns`, in one step.
pub(super) async fn erase(
    redis: &Redis,
    projection: &str,
    patterns: &[String],
) -> Result<(), StoreError> {
    let script = Script::new(
        r"
for _, pattern in ipairs(ARGV) do
  for _, key in ipairs(redis.call('KEYS', pattern)) do redis.call('DEL', key) end
end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])",
    );
    let mut invocation = script.key(positions_key(projection));
    invocation.key(dead_letters_key(projection)).key(rebuilds_key(projection)).arg(patterns);
    let erased = invocation.invoke_async::<()>(&mut redis.connection()).await;
    erased.map_err(failed("erasing a projection in Redis"))
}

/// The key of a projection's positions: a hash with `<topic>:<partition>`,
/// `<topic>:<partition>:epoch`, and `<topic>:<partition>:gap` if the position was deleted for a
/// gap.
pub(super) fn positions_key(projection: &str) -> String {
    format!("position:{projection}")
}

/// The key of a projection's rebuilds: a hash with `<topic>:<partition>` for each partition that is
/// rebuilt, and the offset at which it is. It exists only while there are any.
pub(super) fn rebuilds_key(projection: &str) -> String {
    format!("rebuild:{projection}")
}

fn dead_letters_key(projection: &str) -> String {
    format!("dead:{projection}")
}

fn field(partition: &TopicPartition) -> String {
    format!("{}:{}", partition.topic, partition.partition)
}

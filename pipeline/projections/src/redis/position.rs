//! Positions in Redis: claimed with a new epoch, and moved by the script that writes the rest.

use std::sync::LazyLock;

use redis::{AsyncCommands, Script, ScriptInvocation};
use redpanda::log::TopicPartition;

use super::{Redis, failed, positions_key};
use crate::{
    StoreError,
    projection::{Batch, Claim},
};

/// What every script begins with. `KEYS[1]` is the hash of positions; `ARGV` begins with field,
/// epoch, from, to.
const HEAD: &str = r"
local epoch = redis.call('HGET', KEYS[1], ARGV[1] .. ':epoch')
if not epoch then return 'missing' end
if epoch ~= ARGV[2] or (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[3] then return 'lost' end
";
/// And ends with.
const TAIL: &str = r"
redis.call('HSET', KEYS[1], ARGV[1], ARGV[4])
return 'ok'";

/// A script that does `body` and moves the position, if it may.
pub(super) fn script(body: &str) -> Script {
    Script::new(&format!("{HEAD}{body}{TAIL}"))
}

/// Claims a partition.
pub(super) async fn claim(
    redis: &Redis,
    projection: &str,
    place: &TopicPartition,
) -> Result<Claim, StoreError> {
    let (key, field) = (positions_key(projection), field(place));
    let (epoch, next): (i64, Option<i64>) = redis::pipe()
        .atomic()
        .hincr(&key, format!("{field}:epoch"), 1)
        .hget(&key, &field)
        .query_async(&mut redis.connection())
        .await
        .map_err(failed("claiming a partition in Redis"))?;
    Ok(Claim { epoch, next })
}

/// The newest claim of a partition.
pub(super) async fn held(
    redis: &Redis,
    projection: &str,
    place: &TopicPartition,
) -> Result<Option<Claim>, StoreError> {
    let (key, field) = (positions_key(projection), field(place));
    let fields = [format!("{field}:epoch"), field];
    let held = redis.connection().hmget::<_, _, (Option<i64>, Option<i64>)>(key, &fields).await;
    let (epoch, next) = held.map_err(failed("looking at a position in Redis"))?;
    Ok(epoch.map(|epoch| Claim { epoch, next }))
}

/// Gives a position up, so that the partition is read from its beginning again.
pub(super) async fn forget(
    redis: &Redis,
    projection: &str,
    place: &TopicPartition,
) -> Result<(), StoreError> {
    let mut connection = redis.connection();
    let forgotten = connection.hdel::<_, _, ()>(positions_key(projection), field(place)).await;
    forgotten.map_err(failed("giving up a position in Redis"))
}

/// The beginning of an invocation of [`script`].
pub(super) fn begin<'a>(
    script: &'a Script,
    projection: &str,
    batch: &Batch<'_>,
) -> ScriptInvocation<'a> {
    let mut invocation = script.key(positions_key(projection));
    let from = batch.from.map(|from| from.to_string()).unwrap_or_default();
    invocation.arg(field(batch.place)).arg(batch.epoch).arg(from).arg(batch.to);
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
        "lost" => Err(StoreError::Lost { position: batch.place.to_string() }),
        // A new claim will find that there is no position, and everything is built anew.
        _ => Err(StoreError::Failed { doing, why: "it has been emptied".to_owned() }),
    }
}

fn field(place: &TopicPartition) -> String {
    format!("{}:{}", place.topic, place.partition)
}

/// Dead letters of a projection that are kept, about: the newest.
const BURIED_MAX: i64 = 1_000;

static BURY: LazyLock<Script> = LazyLock::new(|| {
    script(
        "redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], '*', 'place', ARGV[6], 'why', ARGV[7])",
    )
});

/// Notes a record as a dead letter, and moves the position past it.
pub(super) async fn bury(
    redis: &Redis,
    projection: &str,
    batch: &Batch<'_>,
    why: &str,
) -> Result<(), StoreError> {
    let mut invocation = begin(&BURY, projection, batch);
    invocation.key(format!("dead:{projection}")).arg(BURIED_MAX);
    invocation.arg(format!("{}@{}", batch.place, batch.to - 1)).arg(why);
    invoke(redis, &invocation, batch).await
}

/// Throws away the positions of a projection together with all keys that match one of `patterns`,
/// in one step.
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
redis.call('DEL', KEYS[1], KEYS[2])",
    );
    let mut invocation = script.key(positions_key(projection));
    invocation.key(format!("dead:{projection}")).arg(patterns);
    let erased = invocation.invoke_async::<()>(&mut redis.connection()).await;
    erased.map_err(failed("erasing a projection in Redis"))
}

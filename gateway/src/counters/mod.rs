//! Counters, claims and marks that expire, in Redis, so that they hold across gateways. The gateway
//! writes nothing else to a store.

mod hits;

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use projections::{StoreError, redis::Redis};
use redis::{RedisError, RedisResult, Script};
use redpanda::tls::Tls;

use hits::Hits;

/// The deadline of an operation; no request waits longer for a counter.
const DEADLINE: Duration = Duration::from_millis(250);
/// After this time without a reply, Redis's connection is replaced: it swallows commands. It is
/// shorter than [`DEADLINE`], because a caller that has given up sees no reply.
const REPLY_TIMEOUT: Duration = Duration::from_millis(200);

/// Returns the value that was set first; it keeps its own expiry.
const CLAIM: &str = r"
local held = redis.call('GET', KEYS[1])
if held then
  return held
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]";

/// Takes one increment back; the counter keeps its expiry, and none is created. One that has no
/// increment left is deleted.
const UNDO: &str = r"
local count = tonumber(redis.call('GET', KEYS[1]) or '0')
if count > 1 then
  redis.call('DECR', KEYS[1])
elseif count == 1 then
  redis.call('DEL', KEYS[1])
end";

/// Deletes the key if it has this value.
const RELEASE: &str = r"
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end";

/// Adds a member that expires on its own, and keeps the newest ones. The set expires with its last.
const MARK: &str = r"
local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[2])";

/// Whether the set has the member, and that has not expired.
const IS_MARKED: &str = r"
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
return ends and tonumber(ends) > tonumber(redis.call('TIME')[1])";

/// A counter after an increment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Increments in this window, this one included.
    pub count: u64,
    /// The time until the window ends.
    pub left: Duration,
}

/// Redis did not count.
#[derive(Debug, thiserror::Error)]
pub enum CounterError {
    /// Redis refused the operation, or the connection failed.
    #[error("counting in Redis")]
    Redis(#[from] RedisError),
    /// Redis did not reply in time.
    #[error("counting in Redis: no reply within {} ms", DEADLINE.as_millis())]
    Timeout,
}

/// Counters, claims and marks that expire.
pub trait Counters: Send + Sync {
    /// Increments a counter; the first increment begins a window.
    fn hit<'a>(
        &'a self,
        key: &'a str,
        window: Duration,
    ) -> BoxFuture<'a, Result<Count, CounterError>>;
    /// The time until a counter or claim expires; `None` when it does not exist.
    fn left<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Duration>, CounterError>>;
    /// Takes one increment back, if the counter still exists. It exists no longer when that was its
    /// only one.
    fn undo<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), CounterError>>;
    /// Deletes a counter or claim, whatever its value is.
    fn forget<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), CounterError>>;
    /// Sets `key` to `value` for a window, unless it has a value already. Returns the value that it
    /// has then.
    fn claim<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        window: Duration,
    ) -> BoxFuture<'a, Result<String, CounterError>>;
    /// Sets a mark in a set for a window of whole seconds that begins now, whether it was set or
    /// not. The set keeps its newest marks, and no more than `marks_max`. All have the same window.
    fn mark<'a>(
        &'a self,
        set: &'a str,
        mark: &'a str,
        window: Duration,
        marks_max: usize,
    ) -> BoxFuture<'a, Result<(), CounterError>>;
    /// Whether a set has this mark.
    fn is_marked<'a>(
        &'a self,
        set: &'a str,
        mark: &'a str,
    ) -> BoxFuture<'a, Result<bool, CounterError>>;
    /// The value that `key` was set to by a claim; `None` when there is no such claim.
    fn claimed<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, CounterError>>;
    /// Deletes a claim, if it still has this value.
    fn release<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
    ) -> BoxFuture<'a, Result<(), CounterError>>;
}

/// Counters in Redis.
#[derive(Clone)]
pub struct RedisCounters {
    redis: Redis,
    hits: Arc<Hits>,
    claim: Script,
    undo: Script,
    release: Script,
    mark: Script,
    is_marked: Script,
}

impl RedisCounters {
    /// Counters in the server at `url`. Connects when it is needed. Must be called on a Tokio
    /// runtime.
    ///
    /// # Errors
    /// Returns an error when the URL is malformed.
    pub fn new(url: &str, tls: &Tls) -> Result<Self, StoreError> {
        let redis = Redis::answering_within(url, tls, REPLY_TIMEOUT)?;
        let hits = Arc::new(Hits::new(redis.clone()));
        let [claim, undo, release, mark, is_marked] =
            [CLAIM, UNDO, RELEASE, MARK, IS_MARKED].map(Script::new);
        Ok(Self { redis, hits, claim, undo, release, mark, is_marked })
    }
}

async fn before_deadline<T>(
    reply: impl Future<Output = RedisResult<T>>,
) -> Result<T, CounterError> {
    match tokio::time::timeout(DEADLINE, reply).await {
        Ok(reply) => Ok(reply?),
        Err(_) => Err(CounterError::Timeout),
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Counters for RedisCounters {
    fn hit<'a>(
        &'a self,
        key: &'a str,
        window: Duration,
    ) -> BoxFuture<'a, Result<Count, CounterError>> {
        Box::pin(async move {
            let counted = self.hits.hit(key, window);
            match tokio::time::timeout(DEADLINE, counted).await {
                Ok(Ok(counted)) => Ok(counted?),
                Ok(Err(_)) | Err(_) => Err(CounterError::Timeout),
            }
        })
    }

    fn left<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Duration>, CounterError>> {
        Box::pin(async move {
            let mut redis = self.redis.connection();
            let left_ms: i64 =
                before_deadline(redis::cmd("PTTL").arg(key).query_async(&mut redis)).await?;
            // Redis replies with a negative number when there is no such key.
            Ok(u64::try_from(left_ms).ok().map(Duration::from_millis))
        })
    }

    fn undo<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), CounterError>> {
        Box::pin(async move {
            let mut redis = self.redis.connection();
            let script = self.undo.key(key);
            let reply = script.invoke_async(&mut redis);
            before_deadline(reply).await
        })
    }

    fn forget<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), CounterError>> {
        Box::pin(async move {
            let mut redis = self.redis.connection();
            before_deadline(redis::cmd("DEL").arg(key).query_async(&mut redis)).await
        })
    }

    fn claim<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        window: Duration,
    ) -> BoxFuture<'a, Result<String, CounterError>> {
        Box::pin(async move {
            let mut redis = self.redis.connection();
            let mut script = self.claim.key(key);
            let reply = script.arg(value).arg(milliseconds(window)).invoke_async(&mut redis);
            before_deadline(reply).await
        })
    }

    fn mark<'a>(
        &'a self,
        set: &'a str,
        mark: &'a str,
        window: Duration,
        marks_max: usize,
    ) -> BoxFuture<'a, Result<(), CounterError>> {
        Box::pin(async move {
            let mut redis = self.redis.connection();
            let mut script = self.mark.key(set);
            script.arg(mark).arg(window.as_secs()).arg(marks_max);
            before_deadline(script.invoke_async(&mut redis)).await
        })
    }

    fn is_marked<'a>(
        &'a self,
        set: &'a str,
        mark: &'a str,
    ) -> BoxFuture<'a, Result<bool, CounterError>> {
        Box::pin(async move {
            let mut redis = self.redis.connection();
            let mut script = self.is_marked.key(set);
            before_deadline(script.arg(mark).invoke_async(&mut redis)).await
        })
    }

    fn claimed<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, CounterError>> {
        Box::pin(async move {
            let mut redis = self.redis.connection();
            before_deadline(redis::cmd("GET").arg(key).query_async(&mut redis)).await
        })
    }

    fn release<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
    ) -> BoxFuture<'a, Result<(), CounterError>> {
        Box::pin(async move {
            let mut redis = self.redis.connection();
            let mut script = self.release.key(key);
            before_deadline(script.arg(value).invoke_async(&mut redis)).await
        })
    }
}

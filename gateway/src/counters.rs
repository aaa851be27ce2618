//! Counters and claims that expire, in Redis, so that they hold across gateways. A gateway writes
//! nothing else there.

use std::time::Duration;

use futures_util::future::BoxFuture;
use projections::redis::Redis;
use redpanda::tls::Tls;

/// A counter after a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Hits in this window, this one included.
    pub count: u64,
    /// Until the window ends.
    pub left: Duration,
}

/// Redis did not answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("counting in Redis: {0}")]
pub struct CounterError(pub String);

/// Counters that expire.
pub trait Counters: Send + Sync {
    /// Counts one more; the first one begins a window.
    fn hit<'a>(
        &'a self,
        key: &'a str,
        window: Duration,
    ) -> BoxFuture<'a, Result<Count, CounterError>>;
    /// How long the counter will still be there, if it is.
    fn left<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Duration>, CounterError>>;
    /// Ends the counter's window.
    fn forget<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), CounterError>>;
    /// Keeps `value` under `key` for a window, unless a value is there already. Returns the value
    /// that is kept.
    fn claim<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        window: Duration,
    ) -> BoxFuture<'a, Result<String, CounterError>>;
}

/// One script, so that a counter without an end can't come about between two commands.
const HIT: &str = r"
local count = redis.call('INCR', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  left = tonumber(ARGV[1])
end
return {count, left}";

/// The value that was there first, kept until its own window ends.
const CLAIM: &str = r"
local held = redis.call('GET', KEYS[1])
if held then
  return held
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]";

/// Nobody waits longer for a counter.
const DEADLINE: Duration = Duration::from_millis(250);
/// An answer that is later shows a connection that swallows commands, and the connection is
/// replaced. It is shorter than [`DEADLINE`], after which a caller has left and sees no answer.
const ANSWER_MAX: Duration = Duration::from_millis(200);

/// Counters in Redis.
#[derive(Clone)]
pub struct RedisCounters {
    redis: Redis,
    hit: redis::Script,
    claim: redis::Script,
}

impl RedisCounters {
    /// In the server at `url`; connects when it is needed, and trusts whom `tls` trusts. To be
    /// called on a Tokio runtime.
    ///
    /// # Errors
    /// When the URL is malformed.
    pub fn new(url: &str, tls: &Tls) -> Result<Self, CounterError> {
        let redis = Redis::answering_within(url, tls, ANSWER_MAX);
        let redis = redis.map_err(|error| CounterError(error.to_string()))?;
        Ok(Self { redis, hit: redis::Script::new(HIT), claim: redis::Script::new(CLAIM) })
    }
}

async fn within<T>(answer: impl Future<Output = redis::RedisResult<T>>) -> Result<T, CounterError> {
    match tokio::time::timeout(DEADLINE, answer).await {
        Ok(answer) => answer.map_err(|error| CounterError(error.to_string())),
        Err(_) => Err(CounterError(format!("no answer within {} ms", DEADLINE.as_millis()))),
    }
}

impl Counters for RedisCounters {
    fn hit<'a>(
        &'a self,
        key: &'a str,
        window: Duration,
    ) -> BoxFuture<'a, Result<Count, CounterError>> {
        Box::pin(async move {
            let mut redis = self.redis.connection();
            let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
            let mut script = self.hit.key(key);
            let (count, left_ms): (u64, u64) =
                within(script.arg(window_ms).invoke_async(&mut redis)).await?;
            Ok(Count { count, left: Duration::from_millis(left_ms) })
        })
    }

    fn left<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Duration>, CounterError>> {
        Box::pin(async move {
            let mut redis = self.redis.connection();
            let left_ms: i64 = within(redis::cmd("PTTL").arg(key).query_async(&mut redis)).await?;
            Ok(u64::try_from(left_ms).ok().map(Duration::from_millis))
        })
    }

    fn forget<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), CounterError>> {
        Box::pin(async move {
            let mut redis = self.redis.connection();
            within(redis::cmd("DEL").arg(key).query_async::<()>(&mut redis)).await
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
            let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
            let mut script = self.claim.key(key);
            within(script.arg(value).arg(window_ms).invoke_async(&mut redis)).await
        })
    }
}

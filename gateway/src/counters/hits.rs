//! Increments of counters, several in one command: while one command is on its way to Redis,
//! further increments wait for the next. So Redis' work does not grow with the requests, and an
//! increment that comes alone is sent at once. It sets no deadline: each caller has one, and
//! leaves.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use projections::redis::Redis;
use redis::{ErrorKind, RedisError, RedisResult, Script};
use tokio::sync::oneshot;

use super::{Count, milliseconds};

/// Counters in one command at most, so that none takes Redis long.
const COUNTERS_MAX: usize = 128;

/// Increments each counter by its number of hits and sets the expiry in the same step, so that no
/// counter without an expiry can remain when the gateway stops between two commands. `ARGV` has
/// window and hits of each key; the reply has count and time left.
const HIT: &str = r"
local counts = {}
for i, key in ipairs(KEYS) do
  local count = redis.call('INCRBY', key, ARGV[2 * i])
  local left = redis.call('PTTL', key)
  if left < 0 then
    redis.call('PEXPIRE', key, ARGV[2 * i - 1])
    left = tonumber(ARGV[2 * i - 1])
  end
  counts[2 * i - 1], counts[2 * i] = count, left
end
return counts";

/// Counts hits in Redis.
pub(super) struct Hits {
    redis: Redis,
    script: Script,
    queue: Mutex<Queue>,
}

/// A counter that is to be incremented, and the expiry of a new one in milliseconds.
type Counter = (String, u64);
type Reply = oneshot::Sender<RedisResult<Count>>;

#[derive(Default)]
struct Queue {
    /// Who waits for an increment. Bounded by the requests in flight.
    hits: HashMap<Counter, Vec<Reply>>,
    /// Whether a task sends.
    is_sending: bool,
}

impl Hits {
    pub(super) fn new(redis: Redis) -> Self {
        Self { redis, script: Script::new(HIT), queue: Mutex::default() }
    }

    /// Increments a counter. The reply does not come when the runtime ends.
    pub(super) fn hit(
        self: &Arc<Self>,
        key: &str,
        window: Duration,
    ) -> oneshot::Receiver<RedisResult<Count>> {
        let (reply, receiver) = oneshot::channel();
        let mut queue = self.queue();
        let counter = (key.to_owned(), milliseconds(window));
        queue.hits.entry(counter).or_default().push(reply);
        if !std::mem::replace(&mut queue.is_sending, true) {
            tokio::spawn(self.clone().send_all());
        }
        receiver
    }

    /// Sends until nobody waits.
    async fn send_all(self: Arc<Self>) {
        while let Some(hits) = self.next() {
            self.send(hits).await;
        }
    }

    /// The hits of the next command; `None` when there are none.
    fn next(&self) -> Option<Vec<(Counter, Vec<Reply>)>> {
        let mut queue = self.queue();
        // Who has left is not counted, as if the request had not come.
        queue.hits.retain(|_, replies| {
            replies.retain(|reply| !reply.is_closed());
            !replies.is_empty()
        });
        let hits: Vec<_> = match queue.hits.len() {
            ..=COUNTERS_MAX => queue.hits.drain().collect(),
            _ => queue.hits.extract_if(|_, _| true).take(COUNTERS_MAX).collect(),
        };
        queue.is_sending = !hits.is_empty();
        queue.is_sending.then_some(hits)
    }

    async fn send(&self, hits: Vec<(Counter, Vec<Reply>)>) {
        let mut script = self.script.prepare_invoke();
        for ((key, window_ms), replies) in &hits {
            script.key(key).arg(*window_ms).arg(replies.len());
        }
        let mut connection = self.redis.connection();
        let counts: RedisResult<Vec<u64>> = script.invoke_async(&mut connection).await;
        for (index, (_, replies)) in hits.into_iter().enumerate() {
            let all = replies.len() as u64;
            let counted = match &counts {
                Ok(counts) => count_at(counts, index),
                Err(error) => Err(error.clone()),
            };
            for (number, reply) in (1..).zip(replies) {
                // The hits of one command have the numbers up to its count, in their order.
                let count = counted.clone().map(|counted| Count {
                    count: (counted.count + number).saturating_sub(all),
                    ..counted
                });
                // The caller may have left.
                let _ = reply.send(count);
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The counter at `index` in the script's reply.
fn count_at(counts: &[u64], index: usize) -> RedisResult<Count> {
    match counts.get(2 * index..) {
        Some(&[count, left_ms, ..]) => Ok(Count { count, left: Duration::from_millis(left_ms) }),
        _ => {
            let what = "expected two numbers for each counter";
            Err(RedisError::from((ErrorKind::UnexpectedReturnType, what)))
        }
    }
}

//! How a projection into Redis is written: a [`Model`] has one script, which writes a batch and
//! moves the position in one step. Claims, dead letters and erasure are the same for all models and
//! stand here and in `positions`.

use futures_util::future::BoxFuture;
use redis::{Script, ScriptInvocation};
use redpanda::log::TopicPartition;
use schemas::{Codec, Schema};

use super::{connection::Redis, positions};
use crate::{
    StoreError,
    projection::{Batch, Claim, PositionStore, Projection},
};

/// A projection into keys of Redis.
pub(crate) trait Model: Send + Sync + 'static {
    /// Whether rebuilds are marked in [`positions::rebuilds_key`]. Then the script has that key as
    /// `KEYS[2]` and removes the mark of a partition.
    const MARKS_REBUILDS: bool = false;

    /// The projection's name.
    fn name(&self) -> &'static str;

    /// The topics.
    fn topics(&self) -> &'static [&'static str];

    /// The schemas of the records that it reads.
    fn schemas(&self) -> Vec<&'static Schema>;

    /// Patterns of all keys that it writes.
    fn keys(&self) -> Vec<String>;

    /// The offset at which it starts without a position, in a partition that keeps
    /// `beginning..end`.
    fn start(&self, beginning: i64, _end: i64) -> i64 {
        beginning
    }

    /// The script, made by [`positions::script`]. `KEYS[1]` and `ARGV[1]` to `ARGV[4]` are the
    /// position's; the model's own keys and arguments follow.
    fn script(&self) -> &'static Script;

    /// Adds the keys and arguments of a batch to the invocation of the script.
    fn fill(
        &self,
        redis: &Redis,
        batch: &Batch<'_>,
        codec: &Codec,
        invocation: &mut ScriptInvocation<'static>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// The projection of a [`Model`].
struct Projected<M> {
    redis: Redis,
    model: M,
}

impl Redis {
    /// The projection of a model.
    pub(crate) fn projection<M: Model>(&self, model: M) -> Box<dyn Projection> {
        Box::new(Projected { redis: self.clone(), model })
    }
}

impl<M: Model> Projection for Projected<M> {
    fn name(&self) -> &'static str {
        self.model.name()
    }

    fn topics(&self) -> &'static [&'static str] {
        self.model.topics()
    }

    fn schemas(&self) -> Vec<&'static Schema> {
        self.model.schemas()
    }

    fn positions(&self) -> &dyn PositionStore {
        &self.redis
    }

    fn start(&self, beginning: i64, end: i64) -> i64 {
        self.model.start(beginning, end)
    }

    fn begin_rebuild<'a>(
        &'a self,
        partition: &'a TopicPartition,
        claim: Claim,
        end: i64,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            if M::MARKS_REBUILDS {
                let rebuilt = Batch { partition, claim, begin: end, to: end, records: &[] };
                positions::mark_rebuild(&self.redis, self.name(), &rebuilt).await?;
            }
            Ok(())
        })
    }

    fn apply<'a>(
        &'a self,
        batch: &'a Batch<'a>,
        codec: &'a Codec,
    ) -> BoxFuture<'a, Result<i64, StoreError>> {
        Box::pin(async move {
            let mut invocation = positions::begin(self.model.script(), self.name(), batch);
            if M::MARKS_REBUILDS {
                invocation.key(positions::rebuilds_key(self.name()));
            }
            self.model.fill(&self.redis, batch, codec, &mut invocation).await?;
            positions::invoke(&self.redis, &invocation, batch).await?;
            Ok(batch.to)
        })
    }

    fn erase(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(
            async move { positions::erase(&self.redis, self.name(), &self.model.keys()).await },
        )
    }
}

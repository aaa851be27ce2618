//! Products that are read often, beside MongoDB's. Each takes only its next version. Where one is
//! missing though the log is past it, Redis has lost it, and the partition is read from its
//! beginning again.

use std::{collections::BTreeMap, sync::LazyLock};

use futures_util::future::BoxFuture;
use redis::Script;
use redpanda::log::TopicPartition;
use schemas::{Codec, stock};

use super::{Redis, failed, position, product_key};
use crate::{
    StoreError, products,
    projection::{Batch, Claim, Event, Projection, events, follows},
    views::Product,
};

/// For each further key: the version that it must hold (0 for none), the next version, and the
/// product as JSON.
static WRITE: LazyLock<Script> = LazyLock::new(|| {
    position::script(
        r"
for i = 2, #KEYS do
  local at = 5 + (i - 2) * 3
  if (redis.call('HGET', KEYS[i], 'version') or '0') ~= ARGV[at] then return 'missing' end
end
for i = 2, #KEYS do
  local at = 5 + (i - 2) * 3
  redis.call('HSET', KEYS[i], 'version', ARGV[at + 1], 'json', ARGV[at + 2])
end",
    )
});

/// The projection.
pub(super) struct HotProducts {
    pub(super) redis: Redis,
}

impl Projection for HotProducts {
    fn name(&self) -> &'static str {
        "hot-products"
    }

    fn topics(&self) -> &'static [&'static str] {
        &["stock.events"]
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
        Box::pin(
            async move { position::erase(&self.redis, self.name(), &[product_key("*")]).await },
        )
    }

    fn apply<'a>(
        &'a self,
        batch: &'a Batch<'a>,
        codec: &'a Codec,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let events = events::<stock::Event>(batch, codec)?;
            let held = self.load(&events).await?;
            let changed = match fold(&held, &events) {
                Err(gap @ StoreError::Gap { .. }) => {
                    position::forget(&self.redis, self.name(), batch.place).await?;
                    return Err(gap);
                }
                changed => changed?,
            };
            let mut invocation = position::begin(&WRITE, self.name(), batch);
            for (sku, product) in changed {
                let json = serde_json::to_string(&product);
                let json =
                    json.map_err(|error| StoreError::failed("writing a product as JSON", error))?;
                let held = held.get(sku).map_or(0, |held| held.version);
                invocation.key(product_key(sku)).arg(held).arg(product.version).arg(json);
            }
            position::invoke(&self.redis, &invocation, batch).await
        })
    }
}

impl HotProducts {
    async fn load(
        &self,
        events: &[Event<'_, stock::Event>],
    ) -> Result<BTreeMap<String, Product>, StoreError> {
        let doing = "loading hot products";
        let mut pipe = redis::pipe();
        for event in events {
            pipe.hget(product_key(event.key), "json");
        }
        let found: Vec<Option<String>> =
            pipe.query_async(&mut self.redis.connection()).await.map_err(failed(doing))?;
        let read = events.iter().zip(found).filter_map(|(event, json)| {
            Some(serde_json::from_str(&json?).map(|product| (event.key.to_owned(), product)))
        });
        read.collect::<Result<_, _>>().map_err(|error| StoreError::failed(doing, error))
    }
}

fn fold<'a>(
    held: &BTreeMap<String, Product>,
    events: &[Event<'a, stock::Event>],
) -> Result<BTreeMap<&'a str, Product>, StoreError> {
    let mut changed: BTreeMap<&str, Product> = BTreeMap::new();
    for event in events {
        let before = changed.get(event.key).or_else(|| held.get(event.key));
        if !follows(
            "hot product",
            event.key,
            before.map_or(0, |product| product.version),
            event.version,
        )? {
            continue;
        }
        let after = products::fold(before.cloned(), event).ok_or_else(|| StoreError::Record {
            place: format!("hot product {}@{}", event.key, event.version),
            why: format!("{} can't come first", schemas::Message::name(&event.message)),
        })?;
        changed.insert(event.key, after);
    }
    Ok(changed)
}

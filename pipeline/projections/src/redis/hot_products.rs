//! Products that are read often, beside MongoDB's. Each key takes only its next version. If a key
//! is missing although the position is behind its first event, Redis has lost it, and the partition
//! is read from its beginning again. If it then meets the same gap, the log lacks an event, and the
//! partition stops.
//!
//! A rebuild writes products as they were long ago. While a partition is rebuilt, readers get none,
//! and read MongoDB's.

use std::{collections::BTreeMap, sync::LazyLock};

use redis::{Script, ScriptInvocation};
use schemas::{Codec, Message as _, Schema, stock};

use super::{
    connection::{Redis, failed},
    model::Model,
    positions::{self, END_REBUILD, rebuilds_key},
    reads::Reads,
};
use crate::{
    StoreError,
    event::{Event, events, follows, not_first},
    products::{self, Product},
    projection::Batch,
};

/// The projection's name.
const NAME: &str = "hot-products";

/// For each key from the third on: the version that it must hold (0 for none), the next version,
/// and the product as JSON.
static WRITE: LazyLock<Script> = LazyLock::new(|| {
    positions::script(&format!(
        r"
for i = 3, #KEYS do
  local at = 5 + (i - 3) * 3
  if (redis.call('HGET', KEYS[i], 'version') or '0') ~= ARGV[at] then return 'missing' end
end
for i = 3, #KEYS do
  local at = 5 + (i - 3) * 3
  redis.call('HSET', KEYS[i], 'version', ARGV[at + 1], 'json', ARGV[at + 2])
end
{END_REBUILD}"
    ))
});

/// The projection.
pub(crate) struct HotProducts;

impl Model for HotProducts {
    const MARKS_REBUILDS: bool = true;

    fn name(&self) -> &'static str {
        NAME
    }

    fn topics(&self) -> &'static [&'static str] {
        &["stock.events"]
    }

    fn schemas(&self) -> Vec<&'static Schema> {
        stock::Event::schemas().to_vec()
    }

    fn keys(&self) -> Vec<String> {
        vec![product_key("*")]
    }

    fn script(&self) -> &'static Script {
        &WRITE
    }

    async fn fill(
        &self,
        redis: &Redis,
        batch: &Batch<'_>,
        codec: &Codec,
        invocation: &mut ScriptInvocation<'static>,
    ) -> Result<(), StoreError> {
        let events = events::<stock::Event>(std::slice::from_ref(batch), codec)?;
        let held = load(redis, &events).await?;
        let changed = fold_all(&held, &events);
        if let Err(StoreError::Gap { what, came, .. }) = &changed {
            let gap = format!("{what}@{came}");
            positions::forget(redis, self.name(), batch, &gap).await?;
        }
        for (sku, product) in changed? {
            let json = serde_json::to_string(&product);
            let json =
                json.map_err(|error| StoreError::failed("writing a product as JSON", error))?;
            let held = held.get(sku).map_or(0, |held| held.version);
            invocation.key(product_key(sku)).arg(held).arg(product.version).arg(json);
        }
        Ok(())
    }
}

/// The key of a product: a hash of `version` and `json`.
pub(super) fn product_key(sku: &str) -> String {
    format!("product:{sku}")
}

/// Loads the products that the events change.
async fn load(
    redis: &Redis,
    events: &[Event<'_, stock::Event>],
) -> Result<BTreeMap<String, Product>, StoreError> {
    // A batch that only moves the position has none, and Redis refuses a pipeline without commands.
    if events.is_empty() {
        return Ok(BTreeMap::new());
    }
    let doing = "loading hot products";
    let mut pipe = redis::pipe();
    for event in events {
        pipe.hget(product_key(event.key), "json");
    }
    let found: Vec<Option<String>> =
        pipe.query_async(&mut redis.connection()).await.map_err(failed(doing))?;
    let read = events.iter().zip(found).filter_map(|(event, json)| {
        Some(serde_json::from_str(&json?).map(|product| (event.key.to_owned(), product)))
    });
    read.collect::<Result<_, _>>().map_err(|error| StoreError::failed(doing, error))
}

/// Folds the events into the products that Redis has.
fn fold_all<'a>(
    held: &BTreeMap<String, Product>,
    events: &[Event<'a, stock::Event>],
) -> Result<BTreeMap<&'a str, Product>, StoreError> {
    let what = "hot product";
    let mut changed: BTreeMap<&str, Product> = BTreeMap::new();
    for event in events {
        let before = changed.get(event.key).or_else(|| held.get(event.key));
        let version = before.map_or(0, |product| product.version);
        if !follows(what, event.key, version, event.version)? {
            continue;
        }
        let after = products::fold(before.cloned(), event).ok_or_else(|| not_first(what, event))?;
        changed.insert(event.key, after);
    }
    Ok(changed)
}

impl Reads {
    /// A product; `None` also while a partition is rebuilt. It says nothing about whether the
    /// product exists: then, and after an error, the caller reads
    /// [`crate::mongo::Reads::product`].
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn product(&self, sku: &str) -> Result<Option<Product>, StoreError> {
        let doing = "reading a hot product";
        // One round trip. The mark is read first: a rebuild that begins in between has written
        // nothing yet.
        let mut pipe = redis::pipe();
        pipe.exists(rebuilds_key(NAME)).hget(product_key(sku), "json");
        let (is_rebuilt, json): (bool, Option<String>) =
            pipe.query_async(&mut self.redis.connection()).await.map_err(failed(doing))?;
        let json = json.filter(|_| !is_rebuilt);
        let parse = |json: String| serde_json::from_str(&json);
        json.map(parse).transpose().map_err(|error| StoreError::failed(doing, error))
    }
}

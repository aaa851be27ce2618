//! Products in MongoDB, and the same products in Redis for fast reads.

use std::collections::HashMap;

use redis::{AsyncCommands as _, aio::MultiplexedConnection};
use schemas::stock::State;
use serde_json::{Value, json};

use super::{Fields, Rows, fields};
use crate::ledger::Ledger;

/// The field that the version beside a product's JSON in Redis gets here.
const KEY_VERSION: &str = "version of the key";

/// The documents that the events give.
pub(super) fn folded(ledger: &Ledger) -> Rows {
    let products = ledger.folds.stock.aggregates.iter().filter_map(|(sku, (version, state))| {
        let State::Product(product) = state.as_ref()?;
        let object = json!({
            "_id": sku, "name": product.name, "price_minor": product.price.amount_minor,
            "currency": product.price.currency, "received": product.received,
            "free": product.free, "held": product.held, "version": version,
        });
        Some((sku.clone(), fields(object)))
    });
    products.collect()
}

/// The keys of Redis that the events give.
pub(super) fn hot(ledger: &Ledger) -> Rows {
    let mut products = folded(ledger);
    for product in products.values_mut() {
        let version = product.get("version").cloned().unwrap_or_default();
        product.insert(KEY_VERSION.to_owned(), version);
    }
    products
}

/// The products in Redis.
pub(super) async fn in_redis(redis: &mut MultiplexedConnection) -> anyhow::Result<Rows> {
    let keys: Vec<String> = redis.keys("product:*").await?;
    let mut products = Rows::new();
    // Redis refuses a pipeline without commands.
    if keys.is_empty() {
        return Ok(products);
    }
    let mut pipe = redis::pipe();
    for key in &keys {
        pipe.hgetall(key.as_str());
    }
    let found: Vec<HashMap<String, String>> = pipe.query_async(redis).await?;
    for (key, hash) in keys.iter().zip(&found) {
        let sku = key.strip_prefix("product:").unwrap_or(key);
        products.insert(sku.to_owned(), product(hash)?);
    }
    Ok(products)
}

/// The fields of a product's hash in Redis, which has its version and its JSON.
fn product(hash: &HashMap<String, String>) -> anyhow::Result<Fields> {
    let json = hash.get("json").map_or("{}", String::as_str);
    let mut fields = fields(serde_json::from_str::<Value>(json)?);
    let version: Option<i64> = hash.get("version").and_then(|version| version.parse().ok());
    fields.insert(KEY_VERSION.to_owned(), json!(version));
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use schemas::{
        Money,
        stock::{ProductAdded, StockReceived},
    };

    use super::*;
    use crate::{
        ledger::testing::Log,
        stores::models::{differences, one_row},
    };

    #[test]
    fn product_in_redis_is_the_one_that_the_events_give() {
        let mut log = Log::default();
        let price = Money { amount_minor: 450, currency: "EUR".to_owned() };
        let added =
            ProductAdded { sku: "tea".to_owned(), name: "Tea".to_owned(), price, added_at: 1 };
        log.event("stock.events", "tea", 1, 11, 1, &added);
        let received =
            StockReceived { sku: "tea".to_owned(), quantity: 5, received: 5, free: 4, held: 1 };
        log.event("stock.events", "tea", 2, 12, 2, &received);
        let stored = |version: &str, held: i64| {
            let json = json!({
                "_id": "tea", "name": "Tea", "price_minor": 450, "currency": "EUR", "received": 5,
                "free": 4, "held": held, "version": 2,
            });
            let hash = [("version", version.to_owned()), ("json", json.to_string())];
            let hash = hash.map(|(name, value)| (name.to_owned(), value));
            let product = product(&HashMap::from(hash)).expect("JSON");
            let stored = one_row("tea", Value::Object(product));
            differences("product", "Redis", &stored, &hot(&log.ledger)).len()
        };
        assert_eq!(stored("2", 1), 0);
        assert_eq!(stored("1", 1), 1, "its key has an older version than its JSON");
        assert_eq!(stored("2", 0), 1);
    }
}

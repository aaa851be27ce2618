//! Compares what the stores hold with the ledger.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context as _;
use redis::AsyncCommands;
use schemas::{notification, order, stock, user};
use uuid::Uuid;

use super::{Stores, documents, letters, number, statistics, traces};
use crate::ledger::{Damage, Ledger, Violation};

impl Stores {
    /// Compares the stores with the ledger.
    pub async fn compare(&self, ledger: &Ledger) -> anyhow::Result<Vec<Violation>> {
        let mut broken = Vec::new();
        let torn = |what: String| Violation::new('E', Damage::Torn, what);
        let postgres = self.postgres().await.context("PostgreSQL")?;
        let rows = postgres.query("SELECT command_id, verdict, version FROM outcomes", &[]).await?;
        let stored: HashMap<Uuid, (String, i64)> =
            rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect();
        for (id, seen) in &ledger.outcomes {
            let first = seen
                .outcomes
                .first()
                .map(|outcome| (outcome.verdict.as_str().to_owned(), outcome.version));
            if stored.get(id) != first.as_ref() {
                broken.push(torn(format!(
                    "outcome {id}: PostgreSQL has {:?}, the topic {first:?}",
                    stored.get(id)
                )));
            }
        }
        let rows = postgres.query("SELECT user_id, status, version FROM users", &[]).await?;
        let stored: HashMap<String, (String, i64)> = rows
            .iter()
            .map(|row| (row.get::<_, Uuid>(0).to_string(), (row.get(1), row.get(2))))
            .collect();
        for (id, (version, state)) in &ledger.folds.users.aggregates {
            let last = ledger.folds.users.events.get(id).and_then(|events| events.last());
            let status = match state {
                _ if matches!(last, Some(user::Event::RegistrationRefused(_))) => "refused",
                Some(user::State::Registering(_)) => "registering",
                Some(user::State::Active(_)) => "active",
                Some(user::State::Deactivated(_)) => "deactivated",
                None => "refused",
            };
            if stored.get(id) != Some(&(status.to_owned(), *version)) {
                broken.push(torn(format!(
                    "user {id}: PostgreSQL has {:?}, the events {status} {version}",
                    stored.get(id)
                )));
            }
        }
        broken.extend(statistics::compare(&postgres, ledger).await.context("statistics")?);
        broken.extend(traces::compare(&postgres, ledger).await.context("traces")?);
        let mongo = self.mongo().await?;
        let stored = documents(&mongo, "orders").await.context("MongoDB")?;
        for (id, (version, state)) in &ledger.folds.orders.aggregates {
            let status = match state {
                Some(order::State::Placed(_)) => "placed",
                Some(order::State::Confirmed(_)) => "confirmed",
                Some(order::State::Rejected(_)) => "rejected",
                Some(order::State::Cancelled(_)) => "cancelled",
                None => continue,
            };
            let found = stored.get(id).map(|found| {
                (found.get_str("status").unwrap_or_default(), number(found, "version"))
            });
            if found != Some((status, Some(*version))) {
                broken.push(torn(format!(
                    "order {id}: MongoDB has {found:?}, the events {status} {version}"
                )));
            }
        }
        let stored = documents(&mongo, "products").await.context("MongoDB")?;
        for (sku, (version, state)) in &ledger.folds.stock.aggregates {
            let Some(stock::State::Product(product)) = state else { continue };
            let found =
                stored.get(sku).map(|found| (number(found, "free"), number(found, "version")));
            if found != Some((Some(product.free), Some(*version))) {
                broken.push(torn(format!(
                    "product {sku}: MongoDB has {found:?}, the events {} {version}",
                    product.free
                )));
            }
        }
        broken.extend(self.compare_redis(ledger).await.context("Redis")?);
        broken.extend(letters::violations(&self.dead_letters().await.context("dead letters")?));
        Ok(broken)
    }

    async fn compare_redis(&self, ledger: &Ledger) -> anyhow::Result<Vec<Violation>> {
        let mut broken = Vec::new();
        let torn = |what: String| Violation::new('E', Damage::Torn, what);
        let mut redis = self.redis().await?;
        let mut pipe = redis::pipe();
        let products: Vec<_> = ledger
            .folds
            .stock
            .aggregates
            .iter()
            .filter(|(_, (_, state))| state.is_some())
            .collect();
        for (sku, _) in &products {
            pipe.hget(format!("product:{sku}"), "json");
        }
        let stored: Vec<Option<String>> = pipe.query_async(&mut redis).await?;
        for ((sku, (version, state)), json) in products.into_iter().zip(stored) {
            let Some(stock::State::Product(product)) = state else { continue };
            let found: Option<serde_json::Value> =
                json.as_deref().map(serde_json::from_str).transpose()?;
            let found = found.map(|found| (found["free"].as_i64(), found["version"].as_i64()));
            if found != Some((Some(product.free), Some(*version))) {
                let folded = format!("the events {} {version}", product.free);
                broken.push(torn(format!("product {sku}: Redis has {found:?}, {folded}")));
            }
        }
        let mut unread: BTreeMap<Uuid, i64> = BTreeMap::new();
        for event in ledger.folds.notifications.events.values().flatten() {
            match event {
                notification::Event::NotificationRaised(raised) => {
                    *unread.entry(raised.user_id).or_default() += 1
                }
                notification::Event::NotificationRead(read) => {
                    *unread.entry(read.user_id).or_default() -= 1
                }
                _ => {}
            }
        }
        if unread.is_empty() {
            return Ok(broken);
        }
        let keys: Vec<_> = unread.keys().map(|user| format!("unread:{user}")).collect();
        let stored: Vec<Option<i64>> = redis.mget(&keys).await?;
        for ((user, counted), stored) in unread.into_iter().zip(stored) {
            if stored.unwrap_or(0) != counted {
                broken.push(torn(format!(
                    "unread of {user}: Redis has {stored:?}, the events {counted}"
                )));
            }
        }
        Ok(broken)
    }
}

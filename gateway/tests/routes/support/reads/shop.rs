//! The simulated products, orders and notifications.

use gateway::{
    commands::CommandRecord,
    reads::{
        Cursor, HistoryEntry, Notification, Order, Page, Product, ProductSource, Read, ShopReads,
    },
};
use serde_json::json;
use uuid::Uuid;

use super::page;
use crate::support::world::World;

impl ShopReads for World {
    fn products<'a>(&'a self, after: Option<&'a str>, limit: usize) -> Read<'a, Page<Product>> {
        self.get(move |inner| {
            page(
                inner
                    .products
                    .values()
                    .filter(|p| after.is_none_or(|after| p.sku.as_str() > after))
                    .cloned(),
                limit,
            )
        })
    }
    fn product<'a>(&'a self, sku: &'a str, source: ProductSource) -> Read<'a, Option<Product>> {
        self.get(move |inner| {
            let hot = inner.hot.get(sku).filter(|_| source == ProductSource::Fastest);
            hot.or_else(|| inner.products.get(sku)).cloned()
        })
    }
    fn orders(
        &self,
        user_id: Uuid,
        _cursor: Option<Cursor>,
        limit: usize,
    ) -> Read<'_, Page<Order>> {
        self.get(move |inner| {
            page(inner.orders.values().filter(|o| o.user_id == user_id).cloned(), limit)
        })
    }
    fn order(&self, id: Uuid) -> Read<'_, Option<Order>> {
        self.get(move |inner| inner.orders.get(&id).cloned())
    }
    fn history(&self, order_id: Uuid) -> Read<'_, Vec<HistoryEntry>> {
        self.get(move |inner| {
            let key = order_id.to_string();
            let sent = inner.written.iter().filter(|sent| sent.key == key);
            let entry = |(sent, version): (&CommandRecord, i64)| HistoryEntry {
                version,
                kind: if version == 1 { "OrderPlaced" } else { "OrderCancelled" }.into(),
                at: "2026-01-01T00:00:00.000Z".into(),
                command: Some(sent.id),
                data: json!({}),
            };
            sent.zip(1..).map(entry).collect()
        })
    }
    fn notifications(
        &self,
        user_id: Uuid,
        _cursor: Option<Cursor>,
        limit: usize,
    ) -> Read<'_, Page<Notification>> {
        self.get(move |inner| {
            page(inner.notifications.values().filter(|n| n.user_id == user_id).cloned(), limit)
        })
    }
    fn unread(&self, user_id: Uuid) -> Read<'_, Option<i64>> {
        self.get(move |inner| {
            i64::try_from(
                inner.notifications.values().filter(|n| n.user_id == user_id && !n.read).count(),
            )
            .ok()
        })
    }
    fn notification(&self, id: Uuid) -> Read<'_, Option<Notification>> {
        self.get(move |inner| inner.notifications.get(&id).cloned())
    }
}

//! Orders, products and notifications from MongoDB; hot products and unread counts from Redis.

use futures_util::FutureExt;
use uuid::Uuid;

use super::{Stores, failed, shape};
use crate::reads::{
    Cursor, HistoryEntry, Notification, Order, Page, Product, ProductSource, Read, ShopReads,
};

impl ShopReads for Stores {
    fn products<'a>(&'a self, after: Option<&'a str>, limit: usize) -> Read<'a, Page<Product>> {
        async move {
            let found = self.mongo.products(after, limit).await.map_err(failed("products"))?;
            Ok(shape::page(found, shape::product))
        }
        .boxed()
    }

    fn product<'a>(&'a self, sku: &'a str, source: ProductSource) -> Read<'a, Option<Product>> {
        async move {
            let hot = match source {
                ProductSource::Fastest => self.hot(sku).await,
                ProductSource::Documents => None,
            };
            let found = match hot {
                Some(hot) => Some(hot),
                None => self.mongo.product(sku).await.map_err(failed("a product"))?,
            };
            Ok(found.map(shape::product))
        }
        .boxed()
    }

    fn orders(&self, user_id: Uuid, cursor: Option<Cursor>, limit: usize) -> Read<'_, Page<Order>> {
        async move {
            let found =
                self.mongo.orders(user_id, cursor, limit).await.map_err(failed("orders"))?;
            Ok(shape::page(found, shape::order))
        }
        .boxed()
    }

    fn order(&self, id: Uuid) -> Read<'_, Option<Order>> {
        async move { Ok(self.mongo.order(id).await.map_err(failed("an order"))?.map(shape::order)) }
            .boxed()
    }

    fn history(&self, order_id: Uuid) -> Read<'_, Vec<HistoryEntry>> {
        async move {
            let found =
                self.mongo.order_history(order_id).await.map_err(failed("an order's history"))?;
            Ok(found.unwrap_or_default().into_iter().map(shape::history_entry).collect())
        }
        .boxed()
    }

    fn notifications(
        &self,
        user_id: Uuid,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Read<'_, Page<Notification>> {
        async move {
            let found = self.mongo.notifications(user_id, cursor, limit).await;
            Ok(shape::page(found.map_err(failed("notifications"))?, shape::notification))
        }
        .boxed()
    }

    fn unread(&self, user_id: Uuid) -> Read<'_, Option<i64>> {
        async move { self.redis.unread(user_id).await.map_err(failed("unread notifications")) }
            .boxed()
    }

    fn notification(&self, id: Uuid) -> Read<'_, Option<Notification>> {
        async move {
            let found = self.mongo.notification(id).await.map_err(failed("a notification"))?;
            Ok(found.map(shape::notification))
        }
        .boxed()
    }
}

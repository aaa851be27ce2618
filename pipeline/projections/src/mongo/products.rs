//! Products with their stock. The fold is shared with Redis, see [`crate::products`].

use mongodb::bson::{Document, doc};
use schemas::stock;

use super::{model::Model, reads::Reads};
use crate::{
    StoreError,
    event::Event,
    paging::Page,
    products::{self, Product},
};

const COLLECTION: &str = "products";

/// The projection.
pub(crate) struct Products;

impl Model for Products {
    const NAME: &'static str = "products";
    const TOPICS: &'static [&'static str] = &["stock.events"];
    const COLLECTION: &'static str = COLLECTION;
    type Event = stock::Event;
    type Document = Product;

    fn version(document: &Product) -> i64 {
        document.version
    }

    fn fold(document: Option<Product>, event: &Event<'_, stock::Event>) -> Option<Product> {
        products::fold(document, event)
    }
}

impl Reads {
    /// A product.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn product(&self, sku: &str) -> Result<Option<Product>, StoreError> {
        self.one(COLLECTION, sku, doc! {}).await
    }

    /// Products sorted by SKU, from behind `after`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn products(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Product, String>, StoreError> {
        let filter = after.map_or_else(Document::new, |after| doc! { "_id": { "$gt": after } });
        let products = self.list(COLLECTION, filter, doc! { "_id": 1 }, limit).await?;
        Ok(Page::cut(products, limit, |product: &Product| product.sku.clone()))
    }

    /// The version of a product.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn product_version(&self, sku: &str) -> Result<Option<i64>, StoreError> {
        self.version(COLLECTION, sku).await
    }
}

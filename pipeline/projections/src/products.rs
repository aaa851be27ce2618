//! Folds the events of a stock into a product, for MongoDB and Redis alike. Every event carries the
//! stock figures after it, so only name and price are remembered. It knows no store.

use schemas::stock;
use serde::{Deserialize, Serialize};

use crate::event::Event;

/// A product with its stock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// The stock keeping unit.
    #[serde(rename = "_id", alias = "sku")]
    pub sku: String,
    /// The name.
    pub name: String,
    /// The price of one piece, in minor units.
    pub price_minor: i64,
    /// The currency of the price.
    pub currency: String,
    /// All pieces that were ever received.
    pub received: i64,
    /// The pieces that can be ordered.
    pub free: i64,
    /// The pieces that are held by placed and confirmed orders.
    pub held: i64,
    /// The version.
    pub version: i64,
}

/// The product after an event. Returns `None` if the event is the first one and adds no product.
pub(crate) fn fold(product: Option<Product>, event: &Event<'_, stock::Event>) -> Option<Product> {
    use stock::Event as E;
    let mut product = match (&event.message, product) {
        (E::ProductAdded(added), _) => Product {
            sku: added.sku.clone(),
            name: added.name.clone(),
            price_minor: added.price.amount_minor,
            currency: added.price.currency.clone(),
            received: 0,
            free: 0,
            held: 0,
            version: event.version,
        },
        (_, product) => product?,
    };
    let (received, free, held) = match &event.message {
        E::ProductAdded(_) => (0, 0, 0),
        E::StockReceived(e) => (e.received, e.free, e.held),
        E::StockRefused(e) => (e.received, e.free, e.held),
        E::StockReleased(e) => (e.received, e.free, e.held),
        E::StockReserved(e) => (e.received, e.free, e.held),
    };
    (product.received, product.free, product.held) = (received, free, held);
    product.version = event.version;
    Some(product)
}

#[cfg(test)]
mod tests {
    use schemas::{
        Money,
        stock::{ProductAdded, StockReceived},
    };

    use super::*;

    #[test]
    fn product_has_the_figures_of_its_last_event() {
        // given
        let price = Money { amount_minor: 450, currency: "EUR".to_owned() };
        let added =
            ProductAdded { sku: "tea".to_owned(), name: "Tea".to_owned(), price, added_at: 1 };
        let event = |version, message| Event { key: "tea", version, at: 1, command: None, message };
        let product = fold(None, &event(1, added.into()));
        // when
        let received =
            StockReceived { sku: "tea".to_owned(), quantity: 5, received: 12, free: 8, held: 4 };
        let product = fold(product, &event(2, received.clone().into())).expect("a product");
        // then
        assert_eq!((product.received, product.free, product.held, product.version), (12, 8, 4, 2));
        assert_eq!((&*product.name, product.price_minor), ("Tea", 450));
        assert_eq!(fold(None, &event(1, received.into())), None);
    }
}

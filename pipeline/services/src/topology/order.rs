//! The order processor: orders, and the stock that they reserve.

use domain::{Out, order::Order, stock::Stock};
use engine::Topology;
use schemas::{Message, order, stock};

use crate::{Service, Stores, config::Config};

/// Orders and stock.
pub fn topology() -> Topology {
    Topology::new("order", super::partitions)
        .aggregate::<Order>()
        .aggregate::<Stock>()
        .uses::<Out>()
}

/// The service around it.
///
/// # Errors
/// When a setting is wrong.
pub fn service(_config: &Config) -> anyhow::Result<Service> {
    let reads = [order::Event::schemas(), stock::Event::schemas()].concat();
    let open =
        |stores: Stores| Ok(projections::order(&stores.postgres, &stores.mongo, &stores.redis));
    Ok(Service { topology: topology(), projections: Some(Box::new(open)), reads })
}

//! The order service: orders, and the stock that they reserve.

use domain::{Out, order::Order, stock::Stock};
use engine::Topology;

use crate::{config::Config, service::Service};

pub(super) const NAME: &str = "order";

/// Orders and stock.
pub fn topology() -> Topology {
    Topology::new(NAME, super::partitions).aggregate::<Order>().aggregate::<Stock>().uses::<Out>()
}

/// The service.
///
/// # Errors
/// Never; other services return one when a setting is wrong.
pub fn service(_config: &Config) -> anyhow::Result<Service> {
    Ok(Service::new(topology()))
}

//! What a service is made of. Data only: [`crate::run()`] starts it.

use std::time::Duration;

use engine::Topology;
use projections::{Projection, Stores, catalog::Create};

/// A service: a processor, and the projections that [`projections::catalog`] names for it.
pub struct Service {
    /// The processor.
    pub topology: Topology,
    /// The interval between commits if the settings name none; `None` if it adapts to the load.
    pub(crate) commit_interval: Option<Duration>,
    /// Projections that are not in the catalog, because they need more than the stores.
    pub(crate) projections: Vec<Create>,
}

impl Service {
    /// The service around a processor. One that the catalog does not name has no projections, and
    /// then no client of a store.
    pub fn new(topology: Topology) -> Self {
        Self { topology, commit_interval: None, projections: Vec::new() }
    }

    /// Sets the interval between commits if the settings name none.
    pub fn with_commit_interval(mut self, interval: Duration) -> Self {
        self.commit_interval = Some(interval);
        self
    }

    /// Adds a projection that is not in the catalog.
    pub fn with_projection(
        mut self,
        create: impl FnOnce(&Stores) -> Box<dyn Projection> + Send + 'static,
    ) -> Self {
        self.projections.push(Box::new(create));
        self
    }
}

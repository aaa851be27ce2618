//! What all projectors of a process share. Data only.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use redpanda::{
    log::{Input, LogError, Topic},
    memory::MemoryLog,
};
use schemas::Codec;
use tokio::runtime::Handle;

use crate::{Cause, metrics::Metrics, progress::Progress};

/// Joins the group of a projection, which is named first, as a member that reads topics.
pub type Open = dyn Fn(&str, &[&str]) -> Result<Box<dyn Input>, LogError> + Send + Sync;

/// Requests the schema with an id from the registry. Returns `None` if the registry has none, and
/// an error if it can't be reached.
pub type SchemaById = dyn Fn(u32) -> Result<Option<String>, Cause> + Send + Sync;

/// What all projectors of a process share.
#[derive(Clone)]
pub struct Resources {
    /// Joins the group of a projection.
    pub open: Arc<Open>,
    /// Decodes values.
    pub codec: Arc<Codec>,
    /// Returns the schemas of older and newer writers. Called on the projector's thread, and may
    /// block.
    pub schema_by_id: Arc<SchemaById>,
    /// Counts what the projectors do.
    pub metrics: Metrics,
    /// Keeps when they have applied what, for traces.
    pub progress: Progress,
    /// How long the processors remember an aggregate after its end.
    pub retention: Duration,
    /// The runtime of the stores' clients.
    pub runtime: Handle,
    /// Ends the projectors when it becomes true.
    pub shutdown: Arc<AtomicBool>,
}

impl Resources {
    /// Resources of projectors on a log in memory without a registry, for tests.
    pub fn in_memory(log: &MemoryLog, metrics: Metrics, runtime: &Handle) -> Self {
        let log = log.clone();
        Self {
            open: Arc::new(move |projection, topics| {
                let topics: Vec<Topic> = topics.iter().map(|topic| (*topic).into()).collect();
                Ok(log.input(projection, &topics))
            }),
            codec: Arc::new(Codec::local()),
            schema_by_id: Arc::new(|_| Ok(None)),
            metrics,
            progress: Progress::default(),
            retention: Duration::from_secs(90 * 24 * 3600),
            runtime: runtime.clone(),
            shutdown: Arc::default(),
        }
    }
}

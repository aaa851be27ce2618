//! The services, one file for each: here the domain meets the engine. A new service is one file,
//! one row in [`ALL`], and a program in `src/bin`; the projections that it runs are rows of
//! [`projections::catalog`].

pub mod notification;
pub mod order;
pub mod user;

use engine::Topology;

/// A service as tests run it.
pub struct Row {
    /// The name, which is the processor's too.
    pub name: &'static str,
    /// The processor with everything switched on.
    pub topology: fn() -> Topology,
}

/// All services.
pub const ALL: &[Row] = &[
    Row { name: user::NAME, topology: user::topology },
    Row { name: order::NAME, topology: order::topology },
    Row { name: notification::NAME, topology: || notification::topology(true) },
];

/// The partition count of a topic in `topics.yaml`; `None` if it is not declared there.
fn partitions(topic: &str) -> Option<i32> {
    redpanda::topics::all().get(topic).map(|topic| topic.partitions)
}

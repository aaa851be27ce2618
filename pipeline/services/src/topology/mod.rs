//! The three processors: here the domain meets the engine. One value each, used by service and
//! tests alike.

pub mod notification;
pub mod order;
pub mod user;

/// How many partitions a topic has, as `topics.yaml` says.
fn partitions(topic: &str) -> Option<i32> {
    redpanda::topics::all().get(topic).map(|topic| topic.partitions)
}

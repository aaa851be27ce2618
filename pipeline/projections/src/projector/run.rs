//! Runs one projection on its thread until the shutdown, or until the process must be restarted. It
//! ends for no other reason: it waits for a store or a log that is unreachable.

use std::{sync::atomic::Ordering, time::Instant};

use redpanda::log::LogError;
use schemas::chain;
use tokio::time::timeout;

use super::{
    failures::{WAIT_MAX, WAIT_MIN, pause, wait_after},
    resources::Resources,
    turn::{IDLE, Projector},
};
use crate::projection::Projection;

/// Returns the name of the consumer group whose members share the partitions of a projection. It
/// begins with the service that runs the projection, because a service's access rules cover the
/// groups of such names.
pub fn group(service: &str, projection: &str) -> String {
    format!("{service}.projector.{projection}")
}

/// Runs a projection on this thread until the shutdown. Must not be called on a Tokio worker. Calls
/// `begin_turn` before each turn.
///
/// # Errors
/// If this process can join no group any more.
pub fn run(
    projection: Box<dyn Projection>,
    resources: &Resources,
    begin_turn: &dyn Fn(),
) -> Result<(), LogError> {
    // The client of a store may spawn a task when it is dropped.
    let _entered = resources.runtime.enter();
    prepare(&*projection, resources, begin_turn);
    let ended = join_until_shutdown(&*projection, resources, begin_turn);
    drop(projection);
    ended
}

/// Prepares the store, and retries for as long as the store is unreachable. Until then, only other
/// members of the group have partitions.
fn prepare(projection: &dyn Projection, resources: &Resources, begin_turn: &dyn Fn()) {
    let mut failures = 0;
    let mut preparing = projection.prepare();
    while !resources.shutdown.load(Ordering::Relaxed) {
        begin_turn();
        // A migration may take many turns.
        let prepared = async { timeout(IDLE, &mut preparing).await };
        let Ok(prepared) = resources.runtime.block_on(prepared) else { continue };
        let Err(error) = prepared else { return };
        preparing = projection.prepare();
        failures += 1;
        resources.metrics.failed(projection.name(), error.kind());
        let error = chain(&error);
        tracing::warn!(projection = projection.name(), error, "waiting for the store");
        pause(wait_after(failures), &resources.shutdown);
    }
}

/// Joins the group, and joins it again whenever its membership fails for good.
pub(super) fn join_until_shutdown(
    projection: &dyn Projection,
    resources: &Resources,
    begin_turn: &dyn Fn(),
) -> Result<(), LogError> {
    let mut wait = WAIT_MIN;
    while !resources.shutdown.load(Ordering::Relaxed) {
        let joined_at = Instant::now();
        let input = (resources.open)(projection.name(), projection.topics());
        let ended = input.and_then(|input| {
            let mut projector = Projector::new(input, projection, resources);
            while !resources.shutdown.load(Ordering::Relaxed) {
                begin_turn();
                projector.step()?;
            }
            projector.store_at_end();
            Ok(())
        });
        begin_turn();
        if let Err(error) = ended {
            // A membership that lasted for a while did not fail for the same reason as the one
            // before.
            if joined_at.elapsed() > WAIT_MAX {
                wait = WAIT_MIN;
            }
            resources.metrics.failed(projection.name(), "log");
            if matches!(error, LogError::Exhausted { .. }) {
                return Err(error);
            }
            let error = chain(&error);
            tracing::warn!(projection = projection.name(), error, "joining the group again");
            pause(wait, &resources.shutdown);
            wait = (wait * 2).min(WAIT_MAX);
        }
    }
    Ok(())
}

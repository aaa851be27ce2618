//! Containers that are taken off all their networks for longer than any timeout, and put back under
//! the same addresses. Connections stay open meanwhile, and what they still hold arrives late. The
//! processes run on, unlike those of a container that is paused.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::{Rng as _, rngs::StdRng};
use tokio::time::{Instant, sleep};

use super::{PAST_TIMEOUTS, brokers};
use crate::{ledger::Damage, world::World};

/// How long a part that is back may take to be ready.
const READY_MAX: Duration = Duration::from_secs(60);

pub(super) async fn service(world: &World, rng: &mut StdRng, _: &str) -> anyhow::Result<()> {
    part(world, &super::service(rng)).await
}

/// One gateway; the suite's commands do not go through it.
pub(super) async fn gateway(world: &World, rng: &mut StdRng, _: &str) -> anyhow::Result<()> {
    part(world, ["gateway-0", "gateway-1"][rng.random_range(0..2)]).await
}

/// The part must be ready soon after it is back.
pub(super) async fn part(world: &World, name: &str) -> anyhow::Result<()> {
    off_network(world, name, async {
        sleep(PAST_TIMEOUTS).await;
        Ok(())
    })
    .await?;
    let back = Instant::now();
    if let Err(error) = world.control.wait(name, READY_MAX).await {
        let (after, error) = (back.elapsed(), schemas::chain(&error));
        let what = format!("{name} is not ready {after:.0?} after it was cut off: {error}");
        world.report('H', Damage::Late, what);
    }
    Ok(())
}

/// Of three brokers, one that leads a partition, until services decide without it.
pub(super) async fn one_broker(world: &World, rng: &mut StdRng, _: &str) -> anyhow::Result<()> {
    let name = brokers::broker(world, brokers::some_leader(world, rng).await?)?;
    off_network(world, &name, async {
        sleep(PAST_TIMEOUTS).await;
        brokers::commits_again(world, &format!("{name} is cut off from everything")).await
    })
    .await?;
    brokers::restore_leaders(world).await
}

/// Takes a part off its networks, runs `meanwhile`, and puts it back, also after an error. Neither
/// this part nor another one may end because of it.
async fn off_network(
    world: &World,
    name: &str,
    meanwhile: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let before = running(world).await?;
    let networks = world.control.disconnect(name).await?;
    let done = meanwhile.await;
    world.control.connect(&networks).await?;
    done?;
    for ended in before.difference(&running(world).await?) {
        let what = format!("{ended} has ended by itself because {name} was cut off");
        world.report('H', Damage::Late, what);
    }
    Ok(())
}

/// The parts that have a process.
async fn running(world: &World) -> anyhow::Result<BTreeSet<String>> {
    let parts = world.control.status().await?;
    Ok(parts.into_iter().filter(|part| part.pid.is_some()).map(|part| part.name).collect())
}

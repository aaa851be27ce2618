//! Faults of the stores, and of the connections to them.

use std::time::Duration;

use anyhow::bail;
use integration::stack::{PROGRAMS, Program, first_services};
use rand::{Rng, rngs::StdRng};
use tokio::time::{Instant, sleep};

use super::{behind_proxy, secs};
use crate::{ledger::Damage, proxy::Mode, world::World};

/// The first instance of each program that uses a store. Of the gateways, which only read, one is
/// enough to show that it survives.
fn users(store: &str) -> Vec<String> {
    let uses = |program: &&Program| program.stores.iter().any(|used| used.name() == store);
    PROGRAMS.iter().filter(uses).map(|program| program.instance(0)).collect()
}

pub(super) async fn killed(world: &World, rng: &mut StdRng, store: &str) -> anyhow::Result<()> {
    world.kill(store).await?;
    sleep(Duration::from_millis(rng.random_range(0..3000))).await;
    world.start(store, &[]).await
}

/// The store has committed, but is killed before its answer arrives.
pub(super) async fn killed_unanswered(
    world: &World,
    rng: &mut StdRng,
    store: &str,
) -> anyhow::Result<()> {
    let away = Duration::from_millis(rng.random_range(0..3000));
    let proxy = &world.proxied(store)?.proxy;
    behind_proxy(world, store, &users(store), async {
        let before = proxy.harmed();
        proxy.set(Mode::KeepAnswer, 1);
        if !proxy.harms(before, secs(30)).await {
            bail!("no answer to a commit passed the proxy: the fault did not happen");
        }
        world.kill(store).await?;
        proxy.set(Mode::Pass, 0);
        sleep(away).await;
        world.start(store, &[]).await?;
        world.wait_for_commands(100).await
    })
    .await
}

/// Every request and every answer is delayed, with long delays past the client's timeout.
pub(super) async fn slow(world: &World, rng: &mut StdRng, store: &str) -> anyhow::Result<()> {
    let by = Duration::from_millis(rng.random_range(50..700));
    let proxy = &world.proxied(store)?.proxy;
    behind_proxy(world, store, &users(store), async {
        let before = proxy.harmed();
        proxy.set(Mode::Delay(by), u64::MAX);
        sleep(secs(8)).await;
        if proxy.harmed() == before {
            bail!("nothing passed the proxy in front of {store}: the fault did not happen");
        }
        world.wait_for_commands(50).await
    })
    .await
}

/// Connections accept everything and answer nothing, and old ones still do so when new ones work
/// again. Projections must continue before the old connections would break by themselves.
pub(super) async fn black_hole(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    for (store, projection) in
        [("postgres", "order-outcomes"), ("mongo", "orders"), ("redis", "live-order")]
    {
        let proxy = &world.proxied(store)?.proxy;
        behind_proxy(world, store, &users(store), async {
            let before = proxy.harmed();
            proxy.set(Mode::Swallow, 0);
            sleep(secs(3)).await;
            if proxy.harmed() == before {
                bail!("nothing passed the proxy in front of {store}: the fault did not happen");
            }
            proxy.set(Mode::Pass, 0);
            let label = format!("projection=\"{projection}\"");
            let applied = || async {
                let name = "millrace_projection_records_applied_total";
                world.metric("order-0", name, &[&label]).await
            };
            let (mut first, healed) = (None, Instant::now());
            loop {
                match (applied().await, first) {
                    (Some(now), None) => first = Some(now),
                    (Some(now), Some(first)) if now > first => break,
                    _ => {}
                }
                if healed.elapsed() > secs(60) {
                    let what = format!(
                        "{projection} still waits for a dead connection to {store} after 60 s"
                    );
                    world.report('H', Damage::Late, what);
                    break;
                }
                sleep(Duration::from_millis(200)).await;
            }
            world.wait_for_commands(50).await
        })
        .await?;
    }
    Ok(())
}

/// Services must start and decide while their stores are down, and project later. PostgreSQL keeps
/// running, because the native stack's registry stores the schemas in it, without which no service
/// starts.
pub(super) async fn all_away(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    const STORES: [&str; 2] = ["mongo", "redis"];
    for store in STORES {
        world.kill(store).await?;
    }
    world.restart_all(&first_services(), &[]).await?;
    world.wait_for_outcomes(100).await;
    for store in STORES {
        world.start(store, &[]).await?;
    }
    world.wait_for_commands(50).await
}

/// Its content must be rebuilt from the log.
pub(super) async fn redis_emptied(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    world.stores.empty_redis().await?;
    world.wait_for_commands(50).await
}

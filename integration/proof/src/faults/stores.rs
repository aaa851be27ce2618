//! What happens to the stores, and between them and those who use them.

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

/// The store has committed and says so; nobody hears it, as it is killed.
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
        world.amid(100).await
    })
    .await
}

/// Every request and every answer waits; with the longer waits, past what is waited for it.
pub(super) async fn slow(world: &World, rng: &mut StdRng, store: &str) -> anyhow::Result<()> {
    let by = Duration::from_millis(rng.random_range(50..700));
    let proxy = &world.proxied(store)?.proxy;
    behind_proxy(world, store, &users(store), async {
        proxy.set(Mode::Delay(by), u64::MAX);
        sleep(secs(8)).await;
        world.amid(50).await
    })
    .await
}

/// Connections take everything and answer nothing, and the old ones still do when new ones work
/// again. What is projected has to go on before they would break by themselves.
pub(super) async fn black_hole(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    for (store, projection) in
        [("postgres", "outcomes"), ("mongo", "orders"), ("redis", "live-order")]
    {
        let proxy = &world.proxied(store)?.proxy;
        behind_proxy(world, store, &users(store), async {
            let before = proxy.harmed();
            proxy.set(Mode::Swallow, 0);
            sleep(secs(3)).await;
            if proxy.harmed() == before {
                bail!("nothing passed the proxy before {store}: the fault did not happen");
            }
            proxy.set(Mode::Pass, 0);
            let label = format!("projection=\"{projection}\"");
            let applied = || async {
                let name = "millrace_projection_records_applied_total";
                world.metric("order-0", name, &[&label]).await.unwrap_or_default()
            };
            let (first, healed) = (applied().await, Instant::now());
            while applied().await <= first {
                if healed.elapsed() > secs(60) {
                    let what = format!(
                        "{projection} still waits for a dead connection to {store} after 60 s"
                    );
                    world.report('H', Damage::Late, what);
                    break;
                }
                sleep(Duration::from_millis(200)).await;
            }
            world.amid(50).await
        })
        .await?;
    }
    Ok(())
}

/// Services that start decide although their stores are away; what they project follows. PostgreSQL
/// runs on: the native stack's registry keeps the schemas in it, without which no service starts.
pub(super) async fn all_away(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    const STORES: [&str; 2] = ["mongo", "redis"];
    for store in STORES {
        world.kill(store).await?;
    }
    world.all_again(&first_services(), &[]).await?;
    world.amid(100).await?;
    for store in STORES {
        world.start(store, &[]).await?;
    }
    world.amid(50).await
}

/// What it held is built anew from the log.
pub(super) async fn redis_emptied(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    world.stores.empty_redis().await?;
    world.amid(50).await
}

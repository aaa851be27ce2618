//! What happens to the stores, and between them and those who use them.

use std::time::Duration;

use anyhow::bail;
use rand::{Rng, rngs::StdRng};
use tokio::time::sleep;

use super::{behind_proxy, secs};
use crate::{proxy::Mode, world::World};

/// Who uses a store. The gateways read; one of them is enough to be seen to live through it.
fn users(store: &str) -> &'static [&'static str] {
    match store {
        "mongo" => &["order-0", "notification-0", "gateway-0"],
        _ => &["user-0", "order-0", "notification-0", "gateway-0"],
    }
}

pub(super) async fn killed(world: &World, rng: &mut StdRng, store: &str) -> anyhow::Result<()> {
    world.kill(store).await?;
    sleep(Duration::from_millis(rng.random_range(0..3000))).await;
    world.start(store, &[]).await
}

/// The store has committed and says so; nobody hears it, as it is killed.
pub(super) async fn killed_unanswered(world: &World, rng: &mut StdRng, store: &str) -> anyhow::Result<()> {
    let away = Duration::from_millis(rng.random_range(0..3000));
    let proxy = &world.proxied(store)?.proxy;
    behind_proxy(world, store, users(store), async {
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
    behind_proxy(world, store, users(store), async {
        proxy.set(Mode::Delay(by), u64::MAX);
        sleep(secs(8)).await;
        world.amid(50).await
    })
    .await
}

/// What it held is built anew from the log.
pub(super) async fn redis_emptied(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    world.stores.empty_redis().await?;
    world.amid(50).await
}

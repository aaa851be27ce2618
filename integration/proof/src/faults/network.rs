//! What happens between a service and the broker.

use std::time::Duration;

use anyhow::bail;
use rand::{Rng, rngs::StdRng};
use tokio::time::sleep;

use super::{behind_proxy, secs};
use crate::{proxy::Mode, world::World};

pub(super) async fn connections_cut(world: &World, rng: &mut StdRng, _: &str) -> anyhow::Result<()> {
    let pauses: Vec<_> = (0..5).map(|_| Duration::from_millis(rng.random_range(200..1500))).collect();
    let proxy = &world.proxied("broker")?.proxy;
    behind_proxy(world, "broker", &["order-0"], async {
        for pause in pauses {
            proxy.cut();
            sleep(pause).await;
        }
        Ok(())
    })
    .await
}

pub(super) async fn slow_network(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    let proxy = &world.proxied("broker")?.proxy;
    behind_proxy(world, "broker", &["order-0"], async {
        proxy.set(Mode::Delay(Duration::from_millis(100)), u64::MAX);
        sleep(secs(5)).await;
        Ok(())
    })
    .await
}

pub(super) async fn end_answers_lost(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    end_harmed(world, Mode::DropAnswer, 3).await
}

pub(super) async fn end_late(world: &World, rng: &mut StdRng, _: &str) -> anyhow::Result<()> {
    end_harmed(world, Mode::LateEnd(Duration::from_millis(rng.random_range(20..400))), 5).await
}

async fn end_harmed(world: &World, mode: Mode, times: u64) -> anyhow::Result<()> {
    let proxy = &world.proxied("broker")?.proxy;
    behind_proxy(world, "broker", &["order-0"], async {
        let before = proxy.harmed();
        for _ in 0..times {
            let done = proxy.harmed();
            proxy.set(mode, 1);
            proxy.harms(done, secs(20)).await;
            world.amid(30).await?;
        }
        if proxy.harmed() == before {
            bail!("no end of a transaction passed the proxy: the fault did not happen");
        }
        sleep(secs(1)).await;
        Ok(())
    })
    .await
}

//! Faults of the connections between services and brokers.

use std::time::Duration;

use anyhow::bail;
use integration::stack::first_services;
use rand::{Rng, rngs::StdRng};
use tokio::time::sleep;

use super::{behind_proxy, secs};
use crate::{
    proxy::{Mode, TransactionRequest},
    world::World,
};

pub(super) async fn connections_cut(
    world: &World,
    rng: &mut StdRng,
    _: &str,
) -> anyhow::Result<()> {
    let pauses: Vec<_> =
        (0..5).map(|_| Duration::from_millis(rng.random_range(200..1500))).collect();
    let proxy = &world.proxied("broker")?.proxy;
    behind_proxy(world, "broker", &["order-0"], async {
        for pause in pauses {
            if proxy.cut() == 0 {
                bail!("no connection passed the proxy: the fault did not happen");
            }
            sleep(pause).await;
        }
        Ok(())
    })
    .await
}

pub(super) async fn slow_network(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    let proxy = &world.proxied("broker")?.proxy;
    behind_proxy(world, "broker", &["order-0"], async {
        let before = proxy.harmed();
        proxy.set(Mode::Delay(Duration::from_millis(100)), u64::MAX);
        sleep(secs(5)).await;
        if proxy.harmed() == before {
            bail!("nothing passed the proxy: the fault did not happen");
        }
        Ok(())
    })
    .await
}

pub(super) async fn end_answers_lost(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    harmed(world, Mode::DropAnswer, 3).await
}

pub(super) async fn end_late(world: &World, rng: &mut StdRng, _: &str) -> anyhow::Result<()> {
    late(world, rng, TransactionRequest::EndTxn).await
}

pub(super) async fn offsets_late(world: &World, rng: &mut StdRng, _: &str) -> anyhow::Result<()> {
    late(world, rng, TransactionRequest::TxnOffsetCommit).await
}

pub(super) async fn produce_late(world: &World, rng: &mut StdRng, _: &str) -> anyhow::Result<()> {
    late(world, rng, TransactionRequest::Produce).await
}

/// The client sends the request again over a new connection, and the first copy arrives soon after
/// the next transaction has begun.
async fn late(world: &World, rng: &mut StdRng, asked: TransactionRequest) -> anyhow::Result<()> {
    harmed(world, Mode::Late(asked, Duration::from_millis(rng.random_range(0..30))), 5).await
}

async fn harmed(world: &World, mode: Mode, times: u64) -> anyhow::Result<()> {
    let proxy = &world.proxied("broker")?.proxy;
    behind_proxy(world, "broker", &["order-0"], async {
        let before = proxy.harmed();
        for _ in 0..times {
            let done = proxy.harmed();
            proxy.set(mode, 1);
            proxy.harms(done, secs(20)).await;
            world.wait_for_commands(30).await?;
        }
        let harmed = proxy.harmed() - before;
        if harmed * 2 < usize::try_from(times)? {
            bail!("{mode:?} took effect {harmed} of {times} times: the fault did not happen");
        }
        sleep(secs(1)).await;
        Ok(())
    })
    .await
}

/// A dead bootstrap broker while services restart and restore their state: the list begins with
/// addresses at which nothing listens, and of several brokers one is killed.
pub(super) async fn dead_bootstrap(world: &World, rng: &mut StdRng, _: &str) -> anyhow::Result<()> {
    let services = first_services();
    let dead = [free_port()?, free_port()?].map(|port| format!("127.0.0.1:{port}")).join(",");
    let brokers = format!("{dead},{}", world.service_brokers);
    let several = world.cluster.as_ref().filter(|cluster| cluster.brokers() > 1);
    let killed = several.map(|_| ["broker", "broker-2", "broker-3"][rng.random_range(0..3)]);
    if let Some(name) = killed {
        world.kill(name).await?;
    }
    // They must become ready with this list, which `restart_all` reports if not.
    world.restart_all(&services, &[("MILLRACE_BROKERS", &brokers)]).await?;
    world.wait_for_commands(100).await?;
    if let Some(name) = killed {
        world.start(name, &[]).await?;
    }
    world.restart_all(&services, &[]).await
}

/// A port at which nothing listens.
fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

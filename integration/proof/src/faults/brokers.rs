//! Faults of one of three brokers, or of the leaders on them. Two of three always run and are in
//! sync, so nothing that was acknowledged may be lost, and services must continue to decide. Each
//! fault ends with all replicas in sync.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, bail};
use integration::{
    cluster::{Cluster, Coordinator},
    stack::first_services,
};
use rand::{Rng, rngs::StdRng};
use tokio::time::{Instant, sleep};

use super::{PAST_TIMEOUTS, secs};
use crate::{ledger::Damage, world::World};

/// How long replicas may take to be in sync again.
const IN_SYNC_MAX: Duration = Duration::from_secs(60);
/// How long services may decide nothing after the session of a lost broker has timed out.
const DECIDED_MAX: Duration = Duration::from_secs(60);
/// The number of moves in one run.
const MOVES: usize = 5;

/// The topics that the order processor reads and writes.
const TOPICS: [&str; 5] =
    ["order.commands", "order.followups", "order.events", "order.state", "order.outcomes"];

pub(super) async fn leader_killed(world: &World, rng: &mut StdRng, _: &str) -> anyhow::Result<()> {
    let leader = some_leader(world, rng).await?;
    lose(world, leader).await
}

pub(super) async fn leader_moved(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    for _ in 0..MOVES {
        cluster(world)?.move_leaders(|topic| !topic.starts_with("__")).await?;
        world.wait_for_outcomes(50).await;
    }
    Ok(())
}

/// Kills the group's coordinator, then that of the transactional id, which may be the same broker.
pub(super) async fn coordinator_killed(
    world: &World,
    _: &mut StdRng,
    _: &str,
) -> anyhow::Result<()> {
    for (kind, key) in [(Coordinator::Group, "order"), (Coordinator::Transaction, "order-0-0")] {
        let coordinator = cluster(world)?.coordinator(kind, key).await?;
        lose(world, coordinator).await?;
    }
    Ok(())
}

pub(super) async fn coordinator_moved(
    world: &World,
    _: &mut StdRng,
    _: &str,
) -> anyhow::Result<()> {
    for _ in 0..MOVES {
        let before = coordinators(world).await?;
        cluster(world)?.move_leaders(|topic| topic.starts_with("__")).await?;
        if coordinators(world).await? == before {
            bail!("the coordinators have not moved from {before:?}: the fault did not happen");
        }
        world.wait_for_outcomes(50).await;
    }
    Ok(())
}

async fn coordinators(world: &World) -> anyhow::Result<(i32, i32)> {
    let cluster = cluster(world)?;
    let group = cluster.coordinator(Coordinator::Group, "order").await?;
    Ok((group, cluster.coordinator(Coordinator::Transaction, "order-0-0").await?))
}

/// The broker accepts everything and answers nothing, for longer than its session and until
/// services decide without it.
pub(super) async fn one_paused(world: &World, rng: &mut StdRng, _: &str) -> anyhow::Result<()> {
    let name = broker(world, some_leader(world, rng).await?)?;
    world.pause(&name).await?;
    sleep(PAST_TIMEOUTS).await;
    let decided = commits_again(world, &format!("{name} is paused")).await;
    world.unpause(&name).await?;
    decided?;
    restore_leaders(world).await
}

/// The broker is cut off from the other brokers and the controllers, while clients still reach it
/// and may take it for the leader. In half of the runs it coordinates the order service's group.
pub(super) async fn one_cut_off(world: &World, rng: &mut StdRng, _: &str) -> anyhow::Result<()> {
    let leader = match rng.random_bool(0.5) {
        true => coordinators(world).await?.0,
        false => some_leader(world, rng).await?,
    };
    let link = numbered("link", cluster(world)?.position(leader)?);
    world.pause(&link).await?;
    let lost = fenced(world, leader).await;
    sleep(PAST_TIMEOUTS).await;
    let name = broker(world, leader)?;
    let decided = commits_again(world, &format!("{name} is cut off from the others")).await;
    world.unpause(&link).await?;
    lost?;
    decided?;
    restore_leaders(world).await
}

pub(super) async fn restarted_in_turn(
    world: &World,
    _: &mut StdRng,
    _: &str,
) -> anyhow::Result<()> {
    for position in 1..=cluster(world)?.brokers() {
        let name = numbered("broker", position);
        world.stop(&name).await?;
        world.wait_for_outcomes(50).await;
        world.start(&name, &[]).await?;
        // An operator would wait here too: two of three replicas have to be in sync.
        cluster(world)?.in_sync(IN_SYNC_MAX).await?;
        world.wait_for_commands(50).await?;
    }
    restore_leaders(world).await
}

/// Kills a broker, waits until services decide without it, and starts it again.
async fn lose(world: &World, id: i32) -> anyhow::Result<()> {
    let name = broker(world, id)?;
    world.kill(&name).await?;
    let decided = commits_again(world, &format!("{name} is dead")).await;
    world.start(&name, &[]).await?;
    decided?;
    restore_leaders(world).await
}

/// Waits until every service commits transactions again.
pub(super) async fn commits_again(world: &World, while_what: &str) -> anyhow::Result<()> {
    let (begun, services, mut before) = (Instant::now(), first_services(), Counts::new());
    loop {
        let mut now = Counts::new();
        for service in &services {
            now.extend(committed(world, service).await.map(|count| (service.clone(), count)));
        }
        for (service, count) in &now {
            before.entry(service.clone()).or_insert(*count);
        }
        let idle = idle(&services, &before, &now);
        if idle.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > DECIDED_MAX {
            let what = format!(
                "{idle:?} decide nothing, or do not answer, for {DECIDED_MAX:?} while {while_what}"
            );
            world.report('H', Damage::Late, what);
            return Ok(());
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// The number of transactions that each service has committed.
type Counts = BTreeMap<String, f64>;

async fn committed(world: &World, service: &str) -> Option<f64> {
    world.metric(service, "millrace_engine_transactions_committed_total", &[]).await
}

/// The services that have not committed several transactions since `before`, their first answer.
fn idle<'a>(services: &'a [String], before: &Counts, now: &Counts) -> Vec<&'a str> {
    let works = |name: &str| Some(*now.get(name)? >= before.get(name)? + 5.0);
    services.iter().map(String::as_str).filter(|name| works(name) != Some(true)).collect()
}

/// Waits until the other brokers lead all partitions of a broker.
async fn fenced(world: &World, id: i32) -> anyhow::Result<()> {
    let begun = Instant::now();
    // The broker itself would still name itself as the leader.
    let others = cluster(world)?.without(id);
    while others
        .partitions()
        .await?
        .iter()
        .any(|one| one.leader == Some(id) || one.in_sync.contains(&id))
    {
        if begun.elapsed() > secs(60) {
            bail!("broker {id} is cut off and still leads after 60 s: the fault did not happen");
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Waits until every replica is in sync, and makes the preferred replicas leaders again, which
/// Redpanda does by itself.
pub(super) async fn restore_leaders(world: &World) -> anyhow::Result<()> {
    let cluster = cluster(world)?;
    cluster.in_sync(IN_SYNC_MAX).await?;
    if world.system.redpanda { Ok(()) } else { cluster.lead_as_preferred().await }
}

pub(super) async fn some_leader(world: &World, rng: &mut StdRng) -> anyhow::Result<i32> {
    let topic = TOPICS[rng.random_range(0..TOPICS.len())];
    cluster(world)?.leader(topic, rng.random_range(0..4)).await
}

fn cluster(world: &World) -> anyhow::Result<&Cluster> {
    world.cluster.as_ref().context("the addresses of the brokers behind the gate are unknown")
}

/// The name of the part that is broker `id`.
pub(super) fn broker(world: &World, id: i32) -> anyhow::Result<String> {
    Ok(numbered("broker", cluster(world)?.position(id)?))
}

/// The name of a part of a broker; that of the first has no number.
fn numbered(name: &str, position: usize) -> String {
    if position == 1 { name.to_owned() } else { format!("{name}-{position}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_that_commits_nothing_is_idle_though_others_work() {
        let counts = |counts: &[(&str, f64)]| -> Counts {
            counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
        };
        let services = ["order-0", "user-0"].map(str::to_owned);
        let before = counts(&[("order-0", 10.0), ("user-0", 3.0)]);
        let idle_at = |now: &[(&str, f64)]| idle(&services, &before, &counts(now));
        assert_eq!(idle_at(&[("order-0", 15.0), ("user-0", 4.0)]), ["user-0"]);
        assert_eq!(idle_at(&[("user-0", 8.0)]), ["order-0"], "it does not answer");
        assert_eq!(idle_at(&[("order-0", 15.0), ("user-0", 8.0)]), [""; 0]);
        let never = idle(&services, &Counts::new(), &Counts::new());
        assert_eq!(never, services, "no service has ever answered");
    }
}

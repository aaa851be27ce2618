//! What happens to processes: killed where it was ordered, paused, replaced, doubled.

use std::time::{Duration, Instant};

use anyhow::bail;
use rand::{Rng, rngs::StdRng};
use tokio::time::sleep;

use super::{PAST_TIMEOUTS, secs, service};
use crate::{ledger::Damage, world::World};

/// The longest turn of a worker that takes over from another instance: far below the ten seconds
/// after which its own open transaction would be aborted.
const TAKEOVER_PAUSE_MAX: Duration = Duration::from_secs(3);

pub(super) async fn kill_at(
    world: &World,
    rng: &mut StdRng,
    place: &str,
    among: u32,
) -> anyhow::Result<()> {
    let name = &service(rng);
    let order = format!("{place}:{}", rng.random_range(1..=among));
    world.kill(name).await?;
    world.begin(name, &[("MILLRACE_FAULT", &order)]).await?;
    world.death_of(name).await?;
    world.start(name, &[]).await
}

pub(super) async fn during_restore(world: &World, rng: &mut StdRng, _: &str) -> anyhow::Result<()> {
    let name = "order-0";
    world.kill(name).await?;
    let order = format!("during-restore:{}", rng.random_range(1..=100));
    world.begin(name, &[("MILLRACE_FAULT", &order)]).await?;
    world.death_of(name).await?;
    world.start(name, &[]).await
}

pub(super) async fn in_rebalance(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    world.again("order-0", &[("MILLRACE_FAULT", "in-rebalance:1")]).await?;
    world.amid(50).await?;
    world.begin("order-1", &[]).await?;
    world.death_of("order-0").await?;
    world.start("order-0", &[]).await?;
    Ok(world.control.stop("order-1").await?)
}

pub(super) async fn abort(world: &World, rng: &mut StdRng, _: &str) -> anyhow::Result<()> {
    let name = &service(rng);
    let order = format!("abort:{}", rng.random_range(1..=20));
    world.again(name, &[("MILLRACE_FAULT", &order)]).await?;
    world.amid(200).await?;
    world.again(name, &[]).await
}

pub(super) async fn broker_killed(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    world.again("broker", &[]).await
}

pub(super) async fn broker_paused(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    world.control.signal("broker", "STOP").await?;
    sleep(PAST_TIMEOUTS * 2).await;
    Ok(world.control.signal("broker", "CONT").await?)
}

pub(super) async fn paused(world: &World, rng: &mut StdRng, name: &str) -> anyhow::Result<()> {
    world.control.signal(name, "STOP").await?;
    sleep(Duration::from_millis(rng.random_range(2000..6000))).await;
    Ok(world.control.signal(name, "CONT").await?)
}

/// The zombie's engine commits nothing: what it had begun is fenced. Its late write to PostgreSQL
/// is refused: the partition has another owner by then, who has moved its position on.
pub(super) async fn zombie(world: &World, rng: &mut StdRng, _: &str) -> anyhow::Result<()> {
    stop_and_replace(world, &format!("before-outcomes:{}:stop", rng.random_range(1..=20))).await?;
    world.control.signal("order-0", "CONT").await?;
    refused(world, "lost").await?;
    world.amid(100).await?;
    world.control.stop("order-1").await?;
    Ok(())
}

/// PostgreSQL ends the transaction of one that says nothing any more: otherwise its row would be
/// locked for as long as it is paused.
pub(super) async fn zombie_in_transaction(
    world: &World,
    rng: &mut StdRng,
    _: &str,
) -> anyhow::Result<()> {
    stop_and_replace(world, &format!("in-outcomes:{}:stop", rng.random_range(1..=20))).await?;
    world.control.signal("order-0", "CONT").await?;
    refused(world, "store").await?;
    world.amid(100).await?;
    world.control.stop("order-1").await?;
    Ok(())
}

/// Lets order-0 stop where it was ordered to, and waits until others have all of its work and are
/// past what it was about to write.
async fn stop_and_replace(world: &World, order: &str) -> anyhow::Result<()> {
    world.kill("order-0").await?;
    world.begin("order-0", &[("MILLRACE_FAULT", order)]).await?;
    world.stop_of("order-0").await?;
    let (stopped, left) = (Instant::now(), world.stores.outcomes_at().await?);
    world.begin("order-1", &[]).await?;
    sleep(PAST_TIMEOUTS).await;
    world.control.wait("order-1", secs(60)).await?;
    // Every partition of outcomes is written to all the time: one that stands still is the zombie's
    // still.
    loop {
        let moved = world.stores.outcomes_at().await?;
        if moved.len() == left.len() && moved.iter().zip(&left).all(|(now, left)| now > left) {
            break;
        }
        if stopped.elapsed() > secs(60) {
            let what = format!(
                "nobody has taken over from a service that is stopped: {left:?} became {moved:?}"
            );
            world.report('H', Damage::Late, what);
            return Ok(());
        }
        world.amid(10).await?;
    }
    world.amid(50).await
}

/// Waits until order-0 has counted a failure of that kind with outcomes. It can't do so before its
/// write has come back: if the write was not refused, PostgreSQL has noted that the position went
/// back.
async fn refused(world: &World, kind: &str) -> anyhow::Result<()> {
    let (woken, kind) = (Instant::now(), format!("kind=\"{kind}\""));
    loop {
        let labels = ["projection=\"outcomes\"", &kind];
        let refused = world.metric("order-0", "millrace_projection_errors_total", &labels).await;
        if refused.is_some_and(|times| times > 0.0) {
            return Ok(());
        }
        if woken.elapsed() > secs(30) {
            world.report(
                'E',
                Damage::Torn,
                "the late write of a service that was replaced was not refused",
            );
            return Ok(());
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// A process that has lost a worker or a projector ends by itself, with an error, and is never
/// taken for a healthy one.
pub(super) async fn thread_dies(world: &World, rng: &mut StdRng, _: &str) -> anyhow::Result<()> {
    for place in ["after-poll", "before-store"] {
        world.kill("order-0").await?;
        let order = format!("{place}:{}:panic", rng.random_range(1..=20));
        world.begin("order-0", &[("MILLRACE_FAULT", &order)]).await?;
        world.death_of("order-0").await?;
        let ended = world.control.part("order-0").await?.ended.unwrap_or_default();
        if ended == "ended with code 0" {
            let what = format!(
                "order-0 has lost a thread at {place} and ended as if all was well: {ended}"
            );
            world.report('H', Damage::Late, what);
        }
        world.start("order-0", &[]).await?;
        world.amid(50).await?;
    }
    Ok(())
}

/// The later of the two fences the earlier, which comes back and fences the later; the first to be
/// fenced three times in a row ends.
pub(super) async fn twins(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    world.begin("order-1", &[("MILLRACE_INSTANCE", "0")]).await?;
    let (begun, mut fenced) = (Instant::now(), false);
    while begun.elapsed() < secs(10) || (!fenced && begun.elapsed() < secs(60)) {
        for twin in ["order-0", "order-1"] {
            let labels = ["reason=\"fenced\""];
            let times =
                world.metric(twin, "millrace_engine_transactions_aborted_total", &labels).await;
            fenced |= times.is_some_and(|times| times > 0.0)
                || world.control.part(twin).await?.pid.is_none();
        }
        sleep(Duration::from_millis(100)).await;
    }
    if !fenced {
        bail!(
            "neither of two processes with one transactional id was fenced: the fault did not happen"
        );
    }
    world.kill("order-1").await?;
    world.again("order-0", &[]).await
}

/// An instance is killed with offsets staged in a transaction that nobody has decided, so the
/// partitions that the other takes over are undecided until the transaction times out. The
/// survivor's own work never pauses for long meanwhile.
pub(super) async fn takeover(world: &World, rng: &mut StdRng, _: &str) -> anyhow::Result<()> {
    let order = format!("after-offsets:{}", rng.random_range(1..=20));
    world.begin("order-1", &[("MILLRACE_FAULT", &order)]).await?;
    world.death_of("order-1").await?;
    let (killed, mut longest) = (Instant::now(), Duration::ZERO);
    while killed.elapsed() < PAST_TIMEOUTS * 2 {
        let ages = world.threads.ages("order-0").await.unwrap_or_default();
        let workers = ages.into_iter().filter(|(thread, _)| thread.starts_with("worker"));
        longest = workers.map(|(_, age)| age).fold(longest, Duration::max);
        sleep(Duration::from_millis(50)).await;
    }
    if longest > TAKEOVER_PAUSE_MAX {
        let what = format!("the survivor of a takeover has made no turn for {longest:.1?}");
        world.report('H', Damage::Late, what);
    }
    Ok(())
}

pub(super) async fn comings_and_goings(
    world: &World,
    _: &mut StdRng,
    _: &str,
) -> anyhow::Result<()> {
    let mut had_tasks = false;
    for _ in 0..8 {
        world.begin("order-1", &[]).await?;
        let come = Instant::now();
        while come.elapsed() < secs(2) {
            let tasks = world.metric("order-1", "millrace_engine_tasks", &[]).await;
            had_tasks |= tasks.is_some_and(|tasks| tasks > 0.0);
            sleep(Duration::from_millis(100)).await;
        }
        world.control.stop("order-1").await?;
        sleep(secs(2)).await;
    }
    if !had_tasks {
        bail!("the instance that came and went never had a task: the fault did not happen");
    }
    Ok(())
}

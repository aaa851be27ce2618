//! Faults of processes: killed at a fault point, paused, replaced, started twice.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use integration::stack::first_services;
use rand::{Rng, rngs::StdRng};
use tokio::time::sleep;

use super::{PAST_TIMEOUTS, secs, service};
use crate::{
    ledger::Damage,
    world::{PART_MAX, World},
};

/// The longest turn of a worker that takes over partitions: far below the ten seconds after which
/// its own open transaction would be aborted.
const TAKEOVER_PAUSE_MAX: Duration = Duration::from_secs(3);

pub(super) async fn kill_at(
    world: &World,
    rng: &mut StdRng,
    point: &str,
    among: u32,
) -> anyhow::Result<()> {
    let name = &service(rng);
    let order = format!("{point}:{}", rng.random_range(1..=among));
    world.kill(name).await?;
    world.spawn(name, &[("MILLRACE_FAULT", &order)]).await?;
    world.wait_for_death(name).await?;
    world.start(name, &[]).await
}

pub(super) async fn during_restore(world: &World, rng: &mut StdRng, _: &str) -> anyhow::Result<()> {
    let name = "order-0";
    // Then its changelog has more records than the fault needs.
    world.wait_for_commands(100).await?;
    world.kill(name).await?;
    let order = format!("during-restore:{}", rng.random_range(1..=100));
    world.spawn(name, &[("MILLRACE_FAULT", &order)]).await?;
    world.wait_for_death(name).await?;
    world.start(name, &[]).await
}

pub(super) async fn in_rebalance(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    world.restart("order-0", &[("MILLRACE_FAULT", "in-rebalance:1")]).await?;
    world.wait_for_commands(50).await?;
    world.spawn("order-1", &[]).await?;
    world.wait_for_death("order-0").await?;
    world.start("order-0", &[]).await?;
    world.stop("order-1").await
}

pub(super) async fn abort(world: &World, rng: &mut StdRng, _: &str) -> anyhow::Result<()> {
    let name = &service(rng);
    let order = format!("abort:{}", rng.random_range(1..=20));
    world.restart(name, &[("MILLRACE_FAULT", &order)]).await?;
    world.wait_for_commands(200).await?;
    // Not one that was fenced, or whose end is unknown.
    let aborted = ["reason=\"aborted\""];
    world.wait_for_count(name, "millrace_engine_transactions_aborted_total", &aborted).await?;
    world.restart(name, &[]).await
}

pub(super) async fn broker_killed(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    world.restart("broker", &[]).await
}

pub(super) async fn broker_paused(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    world.pause("broker").await?;
    sleep(PAST_TIMEOUTS * 2).await;
    world.unpause("broker").await
}

pub(super) async fn paused(world: &World, rng: &mut StdRng, name: &str) -> anyhow::Result<()> {
    world.pause(name).await?;
    sleep(Duration::from_millis(rng.random_range(2000..6000))).await;
    world.unpause(name).await
}

/// The only instance stops for longer than its session, and has to join its group again.
pub(super) async fn service_paused(world: &World, rng: &mut StdRng, _: &str) -> anyhow::Result<()> {
    let name = &service(rng);
    world.pause(name).await?;
    sleep(PAST_TIMEOUTS).await;
    world.unpause(name).await?;
    world.ready(name).await
}

pub(super) async fn servers_restarted(
    world: &World,
    _: &mut StdRng,
    _: &str,
) -> anyhow::Result<()> {
    for name in ["postgres", "mongo", "redis", "broker"] {
        world.stop(name).await?;
        world.start(name, &[]).await?;
        world.wait_for_commands(50).await?;
    }
    Ok(())
}

/// The zombie's engine commits nothing, because its transaction is fenced. Its late write to
/// PostgreSQL is refused, because the partition has another owner by then, which has moved the
/// position.
pub(super) async fn zombie(world: &World, rng: &mut StdRng, _: &str) -> anyhow::Result<()> {
    stop_and_replace(world, &format!("before-outcomes:{}:stop", rng.random_range(1..=20))).await?;
    world.control.signal("order-0", "CONT").await?;
    refused(world, "lost").await?;
    world.wait_for_commands(100).await?;
    world.stop("order-1").await
}

/// PostgreSQL ends the transaction of an idle client. Otherwise the row would be locked for as long
/// as the service is stopped.
pub(super) async fn zombie_in_transaction(
    world: &World,
    rng: &mut StdRng,
    _: &str,
) -> anyhow::Result<()> {
    stop_and_replace(world, &format!("in-outcomes:{}:stop", rng.random_range(1..=20))).await?;
    world.control.signal("order-0", "CONT").await?;
    refused(world, "store").await?;
    world.wait_for_commands(100).await?;
    world.stop("order-1").await
}

/// Stops order-0 at a fault point, and waits until another instance has all of its partitions and
/// has written past the record that order-0 was about to write.
async fn stop_and_replace(world: &World, order: &str) -> anyhow::Result<()> {
    world.kill("order-0").await?;
    world.spawn("order-0", &[("MILLRACE_FAULT", order)]).await?;
    world.wait_for_stop("order-0").await?;
    let (stopped, left) = (Instant::now(), world.stores.outcomes_at().await?);
    world.spawn("order-1", &[]).await?;
    sleep(PAST_TIMEOUTS).await;
    world.ready("order-1").await?;
    // Every partition of `order.outcomes` gets records all the time: a position that does not move
    // still belongs to the zombie.
    loop {
        let moved = world.stores.outcomes_at().await?;
        if moved.len() == left.len() && moved.iter().zip(&left).all(|(now, left)| now > left) {
            break;
        }
        if stopped.elapsed() > secs(60) {
            let what = format!(
                "no instance has taken over from a service that is stopped: {left:?} became {moved:?}"
            );
            world.report('H', Damage::Late, what);
            return Ok(());
        }
        world.wait_for_commands(10).await?;
    }
    world.wait_for_commands(50).await
}

/// Waits until order-0 has counted a failure of this kind of the projection `order-outcomes`, which
/// it does after its write has returned. If the write was not refused, PostgreSQL's trigger has
/// recorded a position that went back.
async fn refused(world: &World, kind: &str) -> anyhow::Result<()> {
    let (woken, kind) = (Instant::now(), format!("kind=\"{kind}\""));
    loop {
        let labels = ["projection=\"order-outcomes\"", &kind];
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

/// A process that has lost a worker or a projector ends by itself with an error, and never looks
/// healthy.
pub(super) async fn thread_dies(world: &World, rng: &mut StdRng, _: &str) -> anyhow::Result<()> {
    for point in ["after-poll", "before-store"] {
        world.kill("order-0").await?;
        let order = format!("{point}:{}:panic", rng.random_range(1..=20));
        world.spawn("order-0", &[("MILLRACE_FAULT", &order)]).await?;
        world.wait_for_death_within("order-0", PART_MAX).await?;
        let ended = world.control.part("order-0").await?.ended.unwrap_or_default();
        if !ended.starts_with("ended with code") {
            bail!("order-0 was to end with a code and {ended}: the fault did not happen");
        }
        if ended == "ended with code 0" {
            let what =
                format!("order-0 has lost a thread at {point} and ended with success: {ended}");
            world.report('H', Damage::Late, what);
        }
        world.start("order-0", &[]).await?;
        world.wait_for_commands(50).await?;
    }
    Ok(())
}

/// The later process fences the earlier one, which restarts its session and fences the later one.
/// The first that is fenced three times in a row ends.
pub(super) async fn twins(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    // Other faults may have cost the first process sessions too.
    let before = losses(world, "order-0").await.context("order-0 does not answer")?;
    world.spawn("order-1", &[("MILLRACE_INSTANCE", "0")]).await?;
    world.may_end("order-0");
    world.may_end("order-1");
    // The member of the group may be fenced, and no transaction; then both processes lose sessions.
    let twins = [("order-0", before), ("order-1", [0.0; 2])];
    let (begun, mut rebuilt, mut fenced) = (Instant::now(), [false; 2], false);
    while begun.elapsed() < secs(10) || (!fenced && begun.elapsed() < secs(60)) {
        for ((twin, before), rebuilt) in twins.iter().zip(&mut rebuilt) {
            let Some([sessions, transactions]) = losses(world, twin).await else { continue };
            *rebuilt |= sessions > before[0];
            fenced |= transactions > before[1];
        }
        fenced |= rebuilt == [true; 2];
        sleep(Duration::from_millis(100)).await;
    }
    if !fenced {
        bail!(
            "neither of two processes with one transactional id was fenced: the fault did not happen"
        );
    }
    world.kill("order-1").await?;
    world.restart("order-0", &[]).await
}

/// How many sessions a process has given up, for any reason, and how many of its transactions
/// another process has fenced.
async fn losses(world: &World, name: &str) -> Option<[f64; 2]> {
    let sessions = world.metric(name, "millrace_engine_rebuilds_total", &[]).await?;
    let (aborted, fenced) = ("millrace_engine_transactions_aborted_total", ["reason=\"fenced\""]);
    Some([sessions, world.metric(name, aborted, &fenced).await?])
}

/// An instance is killed with offsets staged in a pending transaction, so the other instance takes
/// over partitions with unstable offsets until the transaction times out. Its own work must not
/// pause for long meanwhile.
pub(super) async fn takeover(world: &World, rng: &mut StdRng, _: &str) -> anyhow::Result<()> {
    let order = format!("after-offsets:{}", rng.random_range(1..=20));
    world.spawn("order-1", &[("MILLRACE_FAULT", &order)]).await?;
    world.wait_for_death("order-1").await?;
    let (killed, mut longest) = (Instant::now(), Duration::ZERO);
    // Since when order-0 has not reported the age of a worker's turn.
    let mut silent_since = killed;
    while killed.elapsed() < PAST_TIMEOUTS * 2 {
        let ages = world.threads.ages("order-0").await.unwrap_or_default();
        let workers = ages.into_iter().filter(|(thread, _)| thread.starts_with("worker"));
        if let Some(oldest) = workers.map(|(_, age)| age).max() {
            (longest, silent_since) = (longest.max(oldest), Instant::now());
        }
        longest = longest.max(silent_since.elapsed());
        sleep(Duration::from_millis(50)).await;
    }
    if longest > TAKEOVER_PAUSE_MAX {
        let what = format!("the survivor of a takeover was in one turn for {longest:.1?}");
        world.report('H', Damage::Late, what);
    }
    Ok(())
}

pub(super) async fn comings_and_goings(
    world: &World,
    _: &mut StdRng,
    _: &str,
) -> anyhow::Result<()> {
    for round in 0..8 {
        world.spawn("order-1", &[]).await?;
        let come = Instant::now();
        // Every second time it leaves wherever it is then, the other times once it has a task.
        if round % 2 == 0 {
            sleep(secs(2)).await;
        } else {
            let tasks = || world.metric("order-1", "millrace_engine_tasks", &[]);
            while tasks().await.is_none_or(|tasks| tasks == 0.0) {
                if come.elapsed() > PART_MAX {
                    bail!("order-1 had no task within {PART_MAX:?}: the fault did not happen");
                }
                sleep(Duration::from_millis(100)).await;
            }
        }
        world.stop("order-1").await?;
        sleep(secs(2)).await;
    }
    Ok(())
}

pub(super) async fn all_restarted(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    world.restart_all(&first_services(), &[]).await?;
    // What they have restored must tell them that these are decided.
    world.load.earlier_again(200).await;
    Ok(())
}

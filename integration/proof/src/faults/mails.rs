//! A slow mail server, while mails pile up and instances start and stop: each mail must be sent
//! once. The waits of this fault take at most six minutes, besides starts and stops.

use std::time::Duration;

use anyhow::bail;
use rand::rngs::StdRng;
use tokio::time::{Instant, sleep};

use super::secs;
use crate::{ledger::Damage, world::World};

/// The number of mails that must be waiting.
const PENDING: usize = 500;
/// How long the server takes for each mail.
const DELAY: Duration = Duration::from_secs(3);
/// How long they wait: longer than the two minutes after which earlier versions requested a mail
/// again. Once the server is quick, they must be sent in less time than that.
const BEHIND: Duration = Duration::from_secs(150);
/// How long the mails may take to pile up.
const WITHIN: Duration = Duration::from_secs(60);

pub(super) async fn mail_slow(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    world.mail.forget();
    world.mail.delay(DELAY);
    let judged = pile_up(world).await;
    world.mail.delay(Duration::ZERO);
    judged?;
    let begun = Instant::now();
    let mut pile = world.stores.mails_waiting().await?;
    let all = pile.len();
    // The load continues, so other mails wait at any time.
    while !pile.is_empty() {
        if begun.elapsed() > BEHIND {
            let what = format!("{} of {all} late mails still wait after {BEHIND:?}", pile.len());
            world.report('H', Damage::Late, what);
            break;
        }
        sleep(secs(1)).await;
        let waiting = world.stores.mails_waiting().await?;
        pile.retain(|mail| waiting.contains(mail));
    }
    let repeated = world.mail.repeated();
    if !repeated.is_empty() {
        let (times, taken) = (repeated.len(), world.mail.taken());
        world.report(
            'A',
            Damage::Doubled,
            format!("{times} of {taken} mails were sent more than once"),
        );
    }
    Ok(())
}

async fn pile_up(world: &World) -> anyhow::Result<()> {
    world.start("notification-1", &[]).await?;
    let begun = Instant::now();
    while world.stores.mails_waiting().await?.len() < PENDING {
        if begun.elapsed() > WITHIN {
            bail!(
                "fewer than {PENDING} mails were waiting after {WITHIN:?}: the fault did not happen"
            );
        }
        sleep(secs(1)).await;
    }
    // An instance that stops in order hands over its partitions in the middle of its work.
    world.stop("notification-1").await?;
    sleep(secs(5)).await;
    world.start("notification-1", &[]).await?;
    sleep(BEHIND).await;
    world.wait_for_commands(50).await
}

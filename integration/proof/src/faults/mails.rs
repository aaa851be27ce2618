//! A mail server that is slow while mails pile up and instances come and go: each mail is sent
//! once. Its waits add up to 130 s at most, starts and stops of an instance apart.

use std::time::Duration;

use anyhow::bail;
use rand::rngs::StdRng;
use tokio::time::{Instant, sleep};

use super::secs;
use crate::{ledger::Damage, world::World};

/// How many mails have to be waiting.
const PENDING: u64 = 500;
/// How long the server takes over each.
const DELAY: Duration = Duration::from_secs(3);
/// How long it may take until so many wait, and until most of them are sent.
const WITHIN: Duration = Duration::from_secs(60);

pub(super) async fn mail_slow(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    world.mail.forget();
    world.mail.delay(DELAY);
    let judged = pile_up(world).await;
    world.mail.delay(Duration::ZERO);
    judged?;
    let begun = Instant::now();
    // Commands go on, so some are always on their way.
    while world.stores.mails_requested().await? > PENDING / 2 {
        if begun.elapsed() > WITHIN {
            let what = format!("the mails that had piled up are not sent after {WITHIN:?}");
            world.report('H', Damage::Late, what);
            break;
        }
        sleep(secs(1)).await;
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
    while world.stores.mails_requested().await? < PENDING {
        if begun.elapsed() > WITHIN {
            bail!(
                "fewer than {PENDING} mails were waiting after {WITHIN:?}: the fault did not happen"
            );
        }
        sleep(secs(1)).await;
    }
    // An instance that leaves in order gives its partitions away in the middle of the work.
    world.control.stop("notification-1").await?;
    sleep(secs(5)).await;
    world.start("notification-1", &[]).await?;
    sleep(secs(5)).await;
    world.amid(50).await
}

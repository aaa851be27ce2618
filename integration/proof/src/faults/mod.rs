//! The faults. Each happens in the middle of a stream of commands and leaves a system behind in which
//! everything runs. None judges what came of it.

mod brokers;
mod clock;
mod disk;
mod list;
mod mails;
mod network;
mod processes;
mod records;
mod stores;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use integration::stack::first_services;
use rand::Rng;
use rand::rngs::StdRng;

use crate::ledger::Damage;
use crate::proxy::Mode;
use crate::world::World;

pub use list::ALL;

/// Longer than a session and a transaction may be away.
const PAST_TIMEOUTS: Duration = Duration::from_secs(13);

type Happening<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + 'a>>;

/// One fault.
pub struct Fault {
    /// Its name on the command line.
    pub name: &'static str,
    /// What happens, in a line.
    pub what: &'static str,
    /// How often it runs in the full suite.
    pub runs: u32,
    /// Whether it is in the short part, which `integration/test` runs.
    pub short: bool,
    /// How many brokers it needs.
    pub brokers: usize,
    /// Why it can't be run here, if it can't.
    pub cannot: fn() -> Option<&'static str>,
    happen: for<'a> fn(&'a World, &'a mut StdRng, &'a str) -> Happening<'a>,
}

/// Faults that reach into the processes of the native stack: their memory, files, clock or state.
const NATIVE_ONLY: [&str; 6] = [
    "zombie",
    "zombie-in-transaction",
    "broker-disk-full",
    "postgres-disk-full",
    "clock-off",
    "clock-ahead",
];

/// Faults that harm connections to the broker, through the proxy before it.
const BEHIND_BROKER_PROXY: [&str; 6] = [
    "connections-cut",
    "slow-network",
    "end-answers-lost",
    "end-late",
    "offsets-late",
    "produce-late",
];

impl Fault {
    /// Why it cannot be made to happen here; `None` where it can.
    pub fn why_not(&self, world: &World) -> Option<&'static str> {
        match world.control.is_compose() {
            true if NATIVE_ONLY.contains(&self.name) => {
                Some("it needs the processes or files of the native stack, not containers")
            }
            true if self.brokers > 1 => {
                Some("it asks three brokers past the gate, which containers have not")
            }
            true if self.name == "registry-killed" => {
                Some("the registry is part of the broker's container")
            }
            _ if BEHIND_BROKER_PROXY.contains(&self.name) && world.proxied("broker").is_err() => {
                Some("no proxy stands before several brokers in containers")
            }
            _ => (self.cannot)(),
        }
    }

    /// Lets it happen.
    pub async fn happen(&self, world: &World, rng: &mut StdRng, sku: &str) -> anyhow::Result<()> {
        (self.happen)(world, rng, sku).await
    }
}

/// The first instance of a service by chance: every second time of the order service, which does the
/// most.
fn service(rng: &mut StdRng) -> String {
    let mut names = first_services();
    names.resize_with(2 * (names.len() - 1), || "order-0".to_owned());
    names.swap_remove(rng.random_range(0..names.len()))
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Runs `services` behind the proxy before `server` while `harm` is done.
async fn behind_proxy<F: Future<Output = anyhow::Result<()>>>(
    world: &World,
    server: &str,
    services: &[impl AsRef<str>],
    harm: F,
) -> anyhow::Result<()> {
    let proxied = world.proxied(server)?;
    let (variable, value) = &proxied.through;
    world.all_again(services, &[(variable, value)]).await?;
    world.amid(50).await?;
    let harmed = harm.await;
    proxied.proxy.set(Mode::Pass, 0);
    harmed?;
    for service in services.iter().map(AsRef::as_ref) {
        if world.control.part(service).await?.pid.is_none() {
            let what = format!("{service} has ended by itself over what happened to {server}");
            world.report('H', Damage::Late, what);
        }
    }
    world.all_again(services, &[]).await
}

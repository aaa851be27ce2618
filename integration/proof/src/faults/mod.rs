//! The faults. Each happens in the middle of a stream of commands and leaves a system behind in
//! which everything runs. None judges what came of it.

mod brokers;
mod clock;
mod cut_off;
mod disk;
#[macro_use]
mod macros;
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

use crate::proxy::Mode;
use crate::system::System;
use crate::world::World;

pub use list::{AFTERWARDS, ALL};

/// Longer than the timeouts of a session and of a transaction.
const PAST_TIMEOUTS: Duration = Duration::from_secs(13);

type FaultFuture<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + 'a>>;

/// The kind of stack that a fault needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// Any.
    Any,
    /// The native stack; why containers will not do.
    Native(&'static str),
    /// Containers, which an engine can take off their network.
    Containers,
}

/// One fault.
pub struct Fault {
    /// Its name on the command line.
    pub name: &'static str,
    /// What happens, in one line.
    pub what: &'static str,
    /// The number of runs in the full suite.
    pub runs: u32,
    /// Whether it belongs to the short part, which `integration/test` runs.
    pub short: bool,
    /// The number of brokers that it needs.
    pub brokers: usize,
    /// The kind of stack that it needs.
    pub stack: Stack,
    /// Returns why it can't run on this machine, or `None`.
    pub cannot: fn() -> Option<&'static str>,
    happen: for<'a> fn(&'a World, &'a mut StdRng, &'a str) -> FaultFuture<'a>,
}

/// Faults of connections to the broker, by the proxy in front of it.
const BEHIND_BROKER_PROXY: [&str; 6] = [
    "connections-cut",
    "slow-network",
    "end-answers-lost",
    "end-late",
    "offsets-late",
    "produce-late",
];

/// Faults that send the brokers requests which Redpanda does not have.
const BY_KAFKA_REQUESTS: [&str; 3] = ["leader-moved", "coordinator-moved", "clock-ahead"];

impl Fault {
    /// Returns why it can't happen on this system, or `None` if it can.
    pub fn why_not(&self, system: &System) -> Option<&'static str> {
        match self.stack {
            Stack::Native(why) if system.containers => Some(why),
            Stack::Containers if !system.containers => {
                Some("only a container can be taken off its network")
            }
            _ if BY_KAFKA_REQUESTS.contains(&self.name) && system.redpanda => {
                Some("it needs requests that Redpanda does not have")
            }
            _ if BEHIND_BROKER_PROXY.contains(&self.name) && !system.broker_proxy => {
                Some("the brokers have no proxy")
            }
            _ => (self.cannot)(),
        }
    }

    /// Makes it happen.
    pub async fn happen(&self, world: &World, rng: &mut StdRng, sku: &str) -> anyhow::Result<()> {
        (self.happen)(world, rng, sku).await
    }
}

/// The first instance of a service by chance: every second time of the order service, which does
/// the most.
fn service(rng: &mut StdRng) -> String {
    let mut names = first_services();
    names.resize_with(2 * (names.len() - 1), || "order-0".to_owned());
    names.swap_remove(rng.random_range(0..names.len()))
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Restarts `services` so that they use the proxy in front of `server`, runs `harm`, and restarts
/// them as before.
async fn behind_proxy<F: Future<Output = anyhow::Result<()>>>(
    world: &World,
    server: &str,
    services: &[impl AsRef<str>],
    harm: F,
) -> anyhow::Result<()> {
    let proxied = world.proxied(server)?;
    let (variable, value) = &proxied.through;
    world.restart_all(services, &[(variable, value)]).await?;
    world.wait_for_commands(50).await?;
    let harmed = harm.await;
    proxied.proxy.set(Mode::Pass, 0);
    harmed?;
    // It reports those that have ended by themselves.
    world.restart_all(services, &[]).await
}

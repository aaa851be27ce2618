//! The suite: one round after the other, each with commands, a fault among them, a quiet system,
//! and judgement.

mod judgement;
mod mutant;
mod table;

use std::collections::HashSet;
use std::io::{Write as _, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use integration::stack::first_services;
use rand::SeedableRng;
use rand::rngs::StdRng;
use schemas::{Record as _, Verdict, notification, order, stock, user};

use crate::faults::{AFTERWARDS, Fault};
use crate::ledger::{Damage, Ledger, Violation};
use crate::reader::LiveReader;
use crate::world::World;
pub use mutant::Mutant;
use table::Row;

/// The number of commands that are acknowledged before and after the fault.
const AROUND: usize = 100;

/// The number of orders that must be confirmed in each round.
const CONFIRMED_MIN: usize = 10;

/// The commands that the load sends so often that some of each must be accepted.
const FREQUENT: [&str; 7] = [
    order::PlaceOrder::SCHEMA.name,
    order::CancelOrder::SCHEMA.name,
    stock::ReceiveStock::SCHEMA.name,
    user::RegisterUser::SCHEMA.name,
    user::StartSession::SCHEMA.name,
    user::ChangeEmail::SCHEMA.name,
    notification::MarkRead::SCHEMA.name,
];

/// The options of a run.
pub struct Options {
    /// The number of runs of each fault, if not its usual one.
    pub runs: Option<u32>,
    /// The random seed.
    pub seed: u64,
    /// Commands a second.
    pub rate: u32,
    /// The mutant that must be caught.
    pub mutant: Option<Mutant>,
    /// The folder for histories.
    pub out: PathBuf,
}

/// The suite on one running system.
pub struct Suite {
    options: Options,
    world: World,
    ledger: Ledger,
    reader: LiveReader,
}

impl Suite {
    /// Opens the world and starts the readers.
    pub async fn open(options: Options) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&options.out)?;
        let mutant = options.mutant.map(|mutant| mutant.name);
        let world = World::open(options.out.clone(), mutant).await?;
        let reader = LiveReader::start(&world.brokers, &world.out)?;
        Ok(Self { options, world, ledger: Ledger::default(), reader })
    }

    /// Runs the faults and prints the table.
    pub async fn run(mut self, faults: &[&Fault]) -> anyhow::Result<ExitCode> {
        integration::say!("seed {}, {} commands a second", self.options.seed, self.options.rate);
        if self.options.mutant.is_some() {
            for service in first_services() {
                self.world.restart(&service, &[]).await?;
            }
        }
        let (begun, mut rows) = (Instant::now(), Vec::new());
        for fault in faults {
            let mut row = Row {
                fault: fault.name,
                not_run: fault.why_not(&self.world.system),
                ..Row::default()
            };
            let runs =
                if row.not_run.is_some() { 0 } else { self.options.runs.unwrap_or(fault.runs) };
            for run in 0..runs {
                announce(begun, fault.name, run, runs);
                self.round(fault, run, &mut row).await?;
                row.runs += 1;
            }
            rows.push(row);
        }
        // What it finds belongs to the last fault.
        let last = rows.iter_mut().rfind(|row| row.runs > 0);
        if let Some(row) = last.filter(|_| self.options.mutant.is_none()) {
            announce(begun, AFTERWARDS.name, 0, 1);
            self.round(&AFTERWARDS, 0, row).await?;
            row.report(self.never_accepted());
        }
        self.tell(&rows)
    }

    async fn round(&mut self, fault: &Fault, run: u32, row: &mut Row) -> anyhow::Result<()> {
        let seed = self.options.seed ^ hash(fault.name) ^ u64::from(run);
        let mut rng = StdRng::seed_from_u64(seed);
        let world = &self.world;
        let (before, confirmed_before) = (world.load.acknowledged(), self.confirmed());
        // Commands of earlier rounds do not count in this one.
        let earlier: HashSet<uuid::Uuid> = self.ledger.commands.keys().copied().collect();
        let name = format!("{}-{run}-{}", fault.name, seed % 100_000);
        let skus = world.load.products(&name).await?;
        let customers = world.load.customers(&name).await?;
        let (watch, threads) = (world.stores.watch(), world.threads.watch());
        let load = world.load.clone().run(skus.clone(), customers, self.options.rate, seed);
        let load = tokio::spawn(load);
        let happened = async {
            world.wait_for_commands(AROUND).await?;
            fault.happen(world, &mut rng, &skus[0]).await?;
            anyhow::Ok(())
        }
        .await;
        let (mended, mut stalled) = (Instant::now(), None);
        match (happened, self.options.mutant) {
            (Err(error), Some(mutant)) => stalled = Some(mutant.stalled(error)?),
            (Err(error), None) => return Err(error),
            (Ok(()), None) => {
                world.mend().await?;
                world.wait_for_commands(AROUND).await?;
            }
            // What a mutant has broken stays as it is.
            (Ok(()), Some(_)) => {}
        }
        world.load.stop();
        load.await?;
        let mut violations = self.judge(mended).await?;
        violations.extend(stalled);
        let recovered = mended.elapsed();
        self.world.notice_ends().await?;
        violations.extend(self.world.reported());
        let confirmed = self.confirmed() - confirmed_before;
        if confirmed < CONFIRMED_MIN && self.options.mutant.is_none() {
            let what = format!("{confirmed} orders were confirmed, not {CONFIRMED_MIN} or more");
            violations.push(Violation::new('A', Damage::Lost, what));
        }
        violations.extend(watch.end().await?);
        violations.extend(threads.end());
        let acknowledged = self.world.load.acknowledged() - before;
        row.acknowledged += acknowledged;
        row.recovery_s = row.recovery_s.max(recovered.as_secs_f64());
        row.longest_s = row.longest_s.max(self.longest(&earlier));
        let damage = violations.len();
        integration::say!(
            "{acknowledged:>6} commands, {confirmed} orders confirmed, quiet after {:.1} s, \
             {damage} violations",
            recovered.as_secs_f64()
        );
        row.report(violations);
        Ok(())
    }

    /// A for the kinds of commands that the load sends often: each was accepted at least once.
    fn never_accepted(&self) -> Vec<Violation> {
        let outcomes = self.ledger.outcomes.values().flat_map(|seen| &seen.outcomes);
        let accepted: HashSet<&str> = outcomes
            .filter(|outcome| outcome.verdict == Verdict::Accepted)
            .map(|outcome| outcome.command_type.as_str())
            .collect();
        let missing = FREQUENT.iter().filter(|kind| !accepted.contains(*kind));
        missing
            .map(|kind| {
                Violation::new('A', Damage::Lost, format!("no {kind} was accepted in all rounds"))
            })
            .collect()
    }

    /// The number of orders that have ever been confirmed.
    fn confirmed(&self) -> usize {
        let events = self.ledger.folds.orders.events.values().flatten();
        events.filter(|event| matches!(event, order::Event::OrderConfirmed(_))).count()
    }
}

/// Prints the beginning of a round's line.
fn announce(begun: Instant, name: &str, run: u32, runs: u32) {
    let at_s = begun.elapsed().as_secs();
    drop(write!(stdout(), "{at_s:>5} s  {name:<22} {:>2}/{runs}  ", run + 1));
}

/// FNV-1a, which mixes the fault's name into the seed.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

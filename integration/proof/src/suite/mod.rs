//! The suite: one round after the other, each with commands, a fault among them, a quiet system,
//! and judgement.

mod judgement;
mod table;

use std::collections::HashSet;
use std::io::{Write as _, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use integration::stack::first_services;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::faults::Fault;
use crate::ledger::{Damage, Ledger};
use crate::reader::LiveReader;
use crate::world::World;
use table::Row;

/// The number of commands that are acknowledged before and after the fault.
const AROUND: usize = 100;

/// The number of violations that are printed for each round.
const SHOWN: usize = 8;

/// The options of a run.
pub struct Options {
    /// The number of runs of each fault, if not its usual one.
    pub runs: Option<u32>,
    /// The random seed.
    pub seed: u64,
    /// Commands a second.
    pub rate: u32,
    /// The mutant that must be caught.
    pub mutant: Option<&'static str>,
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
        let world = World::open(options.out.clone(), options.mutant).await?;
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
                let at_s = begun.elapsed().as_secs();
                drop(write!(stdout(), "{at_s:>5} s  {:<22} {:>2}/{runs}  ", fault.name, run + 1));
                self.round(fault, run, &mut row).await?;
            }
            rows.push(row);
        }
        self.tell(&rows)
    }

    async fn round(&mut self, fault: &Fault, run: u32, row: &mut Row) -> anyhow::Result<()> {
        let seed = self.options.seed ^ hash(fault.name) ^ u64::from(run);
        let mut rng = StdRng::seed_from_u64(seed);
        let world = &self.world;
        let before = world.load.acknowledged();
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
        let mended = Instant::now();
        if self.options.mutant.is_none() {
            happened?;
            world.mend().await?;
            world.wait_for_commands(AROUND).await?;
        }
        world.load.stop();
        load.await?;
        let mut violations = self.judge(mended).await?;
        let recovered = mended.elapsed();
        self.world.notice_ends().await?;
        violations.extend(self.world.reported());
        violations.extend(watch.end().await?);
        violations.extend(threads.end());
        row.runs += 1;
        let acknowledged = self.world.load.acknowledged() - before;
        row.acknowledged += acknowledged;
        row.recovery_s = row.recovery_s.max(recovered.as_secs_f64());
        row.longest_s = row.longest_s.max(self.longest(&earlier));
        let damage = violations.len();
        integration::say!(
            "{acknowledged:>6} commands, quiet after {:.1} s, {damage} violations",
            recovered.as_secs_f64()
        );
        for violation in violations.iter().take(SHOWN) {
            integration::say!(
                "         {} {:?}: {}",
                violation.invariant,
                violation.damage,
                violation.what
            );
        }
        row.violations.extend(violations);
        let count =
            |damage| row.violations.iter().filter(|violation| violation.damage == damage).count();
        (row.lost, row.doubled, row.torn, row.late) =
            (count(Damage::Lost), count(Damage::Doubled), count(Damage::Torn), count(Damage::Late));
        Ok(())
    }
}

/// FNV-1a, which mixes the fault's name into the seed.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

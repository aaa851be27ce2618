//! One round after the other: commands, a fault amid them, quiet, and judgement; and the table of
//! all of them.

use std::{
    collections::{BTreeSet, HashSet},
    io::{Write as _, stdout},
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::StdRng};
use redpanda::log::TopicPartition;
use serde::Serialize;

use crate::{
    faults::Fault,
    judge,
    ledger::{Damage, Ledger, Violation},
    reader::LiveReader,
    threads::QUIET_TURN_MAX,
    world::World,
};

/// H: within this long after the fault has ended, everything that was acknowledged is done, told
/// and projected.
const RECOVERY_MAX: Duration = Duration::from_secs(120);
/// A planted bug has shown itself within this long, or is not seen.
const CONTROL_MAX: Duration = Duration::from_secs(25);
/// How long the reader may take to see what was just read from the log.
const READER_MAX: Duration = Duration::from_secs(3);
/// How often it is told what is waited for.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// How many commands are under way before and after the fault.
const AROUND: usize = 100;
/// How many violations are shown of each round.
const SHOWN: usize = 8;

/// What was asked for.
pub struct Options {
    /// How often each fault happens; else as often as it should.
    pub runs: Option<u32>,
    /// What chance begins with.
    pub seed: u64,
    /// Commands a second.
    pub rate: u32,
    /// The bug that must be caught.
    pub plant: Option<&'static str>,
    /// Where histories go.
    pub out: PathBuf,
}

/// What came of all runs of one fault.
#[derive(Default, Serialize)]
struct Row {
    fault: &'static str,
    runs: u32,
    acknowledged: usize,
    lost: usize,
    doubled: usize,
    torn: usize,
    late: usize,
    /// The longest that any command waited for its outcome, in seconds, by the broker's clock.
    longest_s: f64,
    /// How long after the fault's end everything was done and projected, in seconds; the longest of
    /// the runs.
    recovery_s: f64,
    not_run: Option<&'static str>,
    violations: Vec<Violation>,
}

/// The suite on one running system.
pub struct Suite {
    options: Options,
    world: World,
    ledger: Ledger,
    reader: LiveReader,
}

impl Suite {
    /// Prepares to run.
    pub async fn open(options: Options) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&options.out)?;
        let world = World::open(options.out.clone(), options.plant).await?;
        let reader = LiveReader::start(&world.brokers, &world.out)?;
        Ok(Self { options, world, ledger: Ledger::default(), reader })
    }

    /// Runs the faults and tells what came of them.
    pub async fn run(mut self, faults: &[&Fault]) -> anyhow::Result<ExitCode> {
        integration::say!("seed {}, {} commands a second", self.options.seed, self.options.rate);
        if self.options.plant.is_some() {
            for service in ["user-0", "order-0", "notification-0"] {
                self.world.again(service, &[]).await?;
            }
        }
        let (begun, mut rows) = (Instant::now(), Vec::new());
        for fault in faults {
            let mut row =
                Row { fault: fault.name, not_run: fault.why_not(&self.world), ..Row::default() };
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
        // What was sent earlier is none of this round's.
        let earlier: HashSet<uuid::Uuid> = self.ledger.commands.keys().copied().collect();
        let name = format!("{}-{run}-{}", fault.name, seed % 100_000);
        let skus = world.load.products(&name).await?;
        let customers = world.load.customers(&name).await?;
        let (watch, threads) = (world.stores.watch(), world.threads.watch());
        let load = world.load.clone().run(skus.clone(), customers, self.options.rate, seed);
        let load = tokio::spawn(load);
        let happened = async {
            world.amid(AROUND).await?;
            fault.happen(world, &mut rng, &skus[0]).await?;
            anyhow::Ok(())
        }
        .await;
        let mended = Instant::now();
        if self.options.plant.is_none() {
            happened?;
            world.mend().await?;
            world.amid(AROUND).await?;
        }
        world.load.stop();
        load.await?;
        let mut violations = self.judge(mended).await?;
        let recovered = mended.elapsed();
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

    /// Judges until nothing is broken any more, or it has been for too long.
    async fn judge(&mut self, since: Instant) -> anyhow::Result<Vec<Violation>> {
        let patience = if self.options.plant.is_some() { CONTROL_MAX } else { RECOVERY_MAX };
        let mut told = Instant::now();
        loop {
            let broken = self.look().await;
            let late = since.elapsed() > patience;
            match broken {
                Ok(broken) if broken.is_empty() => return Ok(broken),
                Ok(mut broken) if late => {
                    broken.sort();
                    broken.dedup();
                    self.ledger.broken.clear();
                    return Ok(broken);
                }
                Err(error) if late => {
                    let what = format!(
                        "could not be judged {} s after the fault: {error:#}",
                        patience.as_secs()
                    );
                    return Ok(vec![Violation::new('H', Damage::Late, what)]);
                }
                not_yet => {
                    if told.elapsed() > TELL_EVERY {
                        told = Instant::now();
                        let (count, first) = match not_yet {
                            Ok(broken) => (
                                broken.len(),
                                broken.first().map_or(String::new(), |one| one.what.clone()),
                            ),
                            Err(error) => (1, format!("{error:#}")),
                        };
                        let at_s = since.elapsed().as_secs();
                        drop(write!(
                            stdout(),
                            "\n         {at_s} s: {count} to come, such as {first}\n  "
                        ));
                    }
                    tokio::time::sleep(Duration::from_millis(300)).await;
                }
            }
        }
    }

    async fn look(&mut self) -> anyhow::Result<Vec<Violation>> {
        let (world, ledger) = (&self.world, &mut self.ledger);
        let broken = tokio::task::block_in_place(|| -> anyhow::Result<_> {
            // What was read by then stands in the log that is read after.
            let seen = self.reader.seen();
            ledger.read_on(&world.brokers, &world.codec)?;
            let mut broken = judge::topics(ledger, &world.codec, &world.load.history());
            broken.extend(judge::live_reader(ledger, &seen));
            // Some notifications are written for minutes, so what has just been appended is waited
            // for.
            let (asked, mut unread) = (Instant::now(), judge::unread(ledger, &seen));
            while !unread.is_empty() && asked.elapsed() < READER_MAX {
                std::thread::sleep(Duration::from_millis(100));
                unread = judge::unread(ledger, &self.reader.seen());
            }
            broken.extend(unread);
            broken.extend(open_transactions(&world.brokers)?);
            Ok(broken)
        })?;
        if broken.is_empty() || self.options.plant.is_some() {
            let mut broken = broken;
            broken.extend(world.stores.compare(ledger).await?);
            broken.extend(world.threads.stuck(QUIET_TURN_MAX).await);
            return Ok(broken);
        }
        Ok(broken)
    }

    /// The longest that a command waited for its outcome, in seconds.
    fn longest(&self, earlier: &HashSet<uuid::Uuid>) -> f64 {
        let waited = |(id, told): (&uuid::Uuid, &crate::ledger::Told)| {
            let sent = self.ledger.commands.get(id).filter(|_| !earlier.contains(id))?;
            Some(told.at_ms - sent.at_ms)
        };
        let longest = self.ledger.outcomes.iter().filter_map(waited).max().unwrap_or(0);
        std::time::Duration::from_millis(u64::try_from(longest).unwrap_or(0)).as_secs_f64()
    }

    fn tell(&self, rows: &[Row]) -> anyhow::Result<ExitCode> {
        integration::say!(
            "\n| fault | runs | acknowledged | lost | doubled | torn | longest wait s | recovery s |"
        );
        integration::say!("| --- | --- | --- | --- | --- | --- | --- | --- |");
        for row in rows {
            match row.not_run {
                Some(why) => integration::say!("| {} | not run: {why} | | | | | | |", row.fault),
                None => integration::say!(
                    "| {} | {} | {} | {} | {} | {} | {:.1} | {:.1} |",
                    row.fault,
                    row.runs,
                    row.acknowledged,
                    row.lost,
                    row.doubled,
                    row.torn,
                    row.longest_s,
                    row.recovery_s
                ),
            }
        }
        let file = self.world.out.join("table.json");
        std::fs::write(&file, serde_json::to_string_pretty(&rows)?)?;
        integration::say!("\nhistories and this table as JSON: {}", self.world.out.display());
        let violated: BTreeSet<char> = rows
            .iter()
            .flat_map(|row| &row.violations)
            .map(|violation| violation.invariant)
            .collect();
        let letters: String = violated.iter().flat_map(|letter| [*letter, ' ']).collect();
        let fine = match self.options.plant {
            None => {
                integration::say!(
                    "{}",
                    if violated.is_empty() {
                        "no invariant was violated".to_owned()
                    } else {
                        format!("violated: {letters}")
                    }
                );
                violated.is_empty()
            }
            Some(bug) if violated.is_empty() => {
                integration::say!("the planted bug {bug} was NOT caught");
                false
            }
            Some(bug) => {
                integration::say!("the planted bug {bug} was caught by {letters}");
                true
            }
        };
        Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// G: no transaction is left open, so the last stable offset reaches the end.
fn open_transactions(brokers: &str) -> anyhow::Result<Vec<Violation>> {
    let places: Vec<TopicPartition> = redpanda::topics::all()
        .iter()
        .filter(|topic| !topic.name.ends_with(".commands"))
        .flat_map(|topic| {
            (0..topic.partitions).map(|partition| TopicPartition::new(&*topic.name, partition))
        })
        .collect();
    let ends = redpanda::scan::ends(brokers, &places)?;
    let open = places.iter().zip(ends).filter(|(_, (stable, end))| stable != end);
    Ok(open
        .map(|(place, (stable, end))| {
            Violation::new('G', Damage::Late, format!("{place}: stable up to {stable} of {end}"))
        })
        .collect())
}

/// FNV-1a: a name's share of the seed.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

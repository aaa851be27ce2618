//! `faults`: breaks the running system in every listed way and judges the result from the topics
//! and the stores. `integration/faults` runs it under a stack. It exits with 1 on any violation,
//! and with 2 if a fault did not happen.
#![forbid(unsafe_code)]

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Parser;

use proof::{
    faults::{ALL, Fault, Stack},
    load,
    suite::{Mutant, Options, Suite},
    system::System,
};

/// The mutants.
const CONTROLS: [Control; 10] = [
    stalls(control("offsets-early", "before-commit", 'H')),
    control("offsets-twice", "abort", 'A'),
    control("no-dedupe", "a-hundred-times", 'A'),
    control("keep-overlay", "abort", 'A'),
    control("position-apart", "before-store", 'E'),
    stalls(control("same-epoch", "end-late", 'D')),
    control("no-fence", "zombie", 'E'),
    control("read-uncommitted", "aborted-input", 'B'),
    control("aborted-ranges", "abort", 'A'),
    control("marker-record", "after-begin", 'B'),
];

/// A run with a mutant.
#[derive(Clone, Copy)]
struct Control {
    mutant: Mutant,
    /// The fault that must reveal it.
    fault: &'static str,
}

const fn control(name: &'static str, fault: &'static str, violates: char) -> Control {
    Control { mutant: Mutant { name, violates, stalls: &[] }, fault }
}

/// The same for a mutant whose service may refuse to work with what the mutant has done, so that
/// the fault can't end. What counts for H is that it says so: its group's offsets are not those of
/// its changelog, or count transactions that the changelog lacks.
const fn stalls(control: Control) -> Control {
    let stalls = &["the group has committed", "the group's offsets count"];
    Control { mutant: Mutant { stalls, ..control.mutant }, ..control }
}

/// Breaks the running system in every listed way, and judges the result
#[derive(Debug, Parser)]
#[command(name = "faults", version)]
struct Arguments {
    /// The names of the faults to run; see --list
    names: Vec<String>,
    /// Run all faults, each its usual number of times
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Run the faults of the short part, each once
    #[arg(long, conflicts_with_all = ["names", "all"])]
    short: bool,
    /// Print the faults and the mutants, and exit
    #[arg(long)]
    list: bool,
    /// Print the names of the chosen faults that this system can have, and exit; say of the others
    /// why not
    #[arg(long, conflicts_with = "list")]
    plan: bool,
    /// Of the chosen faults, run only this one
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// The number of runs of each fault
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    runs: Option<u32>,
    /// The random seed; that of an earlier run repeats its choices
    #[arg(long)]
    seed: Option<u64>,
    /// Commands a second
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=5000))]
    rate: u32,
    /// A mutant that must be caught (the services must be built with it)
    #[arg(long)]
    control: Option<String>,
    /// The folder for histories
    #[arg(long, default_value = ".millrace/faults", value_name = "DIR")]
    out: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Arguments = match integration::options() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    redpanda::tls::install_provider();
    if arguments.list {
        for fault in ALL {
            let short = if fault.short { ", short" } else { "" };
            let brokers = if fault.brokers > 1 { ", needs three brokers" } else { "" };
            let stack = match fault.stack {
                Stack::Any => "",
                Stack::Native(_) => ", not on containers",
                Stack::Containers => ", needs containers",
            };
            integration::say!(
                "{:<22} {} ({} runs{short}{brokers}{stack})",
                fault.name,
                fault.what,
                fault.runs
            );
        }
        for Control { mutant, fault } in CONTROLS {
            integration::say!(
                "--control {:<18} revealed by {fault}, which then violates {}",
                mutant.name,
                mutant.violates
            );
        }
        return ExitCode::SUCCESS;
    }
    match run(arguments).await {
        Ok(code) => code,
        Err(error) => {
            integration::tell!("error: {}", schemas::chain(&*error));
            ExitCode::from(2)
        }
    }
}

/// Chooses the faults that the arguments ask for, on a stack with this number of brokers.
fn choose(
    arguments: &Arguments,
    control: Option<Control>,
    brokers: usize,
) -> anyhow::Result<Vec<&'static Fault>> {
    let fits = |fault: &&Fault| fault.brokers <= brokers;
    let chosen: Vec<&Fault> = match control {
        Some(control) => ALL.iter().filter(|known| known.name == control.fault).collect(),
        None if arguments.all => ALL.iter().filter(fits).collect(),
        // A fault that needs one broker runs on a stack with one.
        None if arguments.short => {
            ALL.iter().filter(|fault| fault.short && fault.brokers == brokers).collect()
        }
        None => {
            let find = |name: &String| {
                let found = ALL.iter().find(|fault| fault.name == name);
                found.ok_or_else(|| anyhow::anyhow!("no fault is called {name}; see --list"))
            };
            arguments.names.iter().map(find).collect::<Result<_, _>>()?
        }
    };
    if chosen.is_empty() {
        anyhow::bail!("expected names of faults, --short or --all; --list prints the names");
    }
    if let Some(fault) = chosen.iter().find(|fault| !fits(fault)) {
        anyhow::bail!("{} needs three brokers: run integration/faults --brokers 3", fault.name);
    }
    match &arguments.only {
        None => Ok(chosen),
        Some(only) => {
            let found = chosen.into_iter().find(|fault| fault.name == only);
            Ok(vec![found.with_context(|| format!("{only} is not one of the chosen faults"))?])
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let control = match &arguments.control {
        Some(name) => {
            let found = CONTROLS.into_iter().find(|control| control.mutant.name == name);
            let known = CONTROLS.map(|control| control.mutant.name).join(", ");
            Some(found.with_context(|| format!("no mutant is called {name}; there are {known}"))?)
        }
        None => None,
    };
    let system = System::from_env();
    let chosen = choose(&arguments, control, system.brokers)?;
    if arguments.plan {
        for fault in chosen {
            match fault.why_not(&system) {
                None => integration::say!("{}", fault.name),
                Some(why) => integration::tell!("| {} | not run: {why} | | | | | | |", fault.name),
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    let runs = match (arguments.runs, arguments.short || control.is_some()) {
        (Some(runs), _) => Some(runs),
        (None, true) => Some(1),
        (None, false) => None,
    };
    let options = Options {
        runs,
        seed: arguments.seed.unwrap_or_else(load::any_seed),
        rate: arguments.rate,
        mutant: control.map(|control| control.mutant),
        out: arguments.out,
    };
    Suite::open(options).await?.run(&chosen).await
}

#[cfg(test)]
mod tests {
    use integration::stack::ControlError;

    use super::*;

    fn chosen(words: &[&str], brokers: usize) -> anyhow::Result<Vec<&'static Fault>> {
        let words = std::iter::once("faults").chain(words.iter().copied());
        choose(&Arguments::try_parse_from(words).expect("arguments"), None, brokers)
    }

    #[test]
    fn error_of_the_suite_names_each_cause_once() {
        let source = std::io::ErrorKind::NotFound.into();
        let silent = ControlError::Silent { path: "control".to_owned(), source };
        let error = anyhow::Error::from(silent).context("killing order-0");
        assert_eq!(
            schemas::chain(&*error),
            "killing order-0: no stack answers at control (does one run?): entity not found"
        );
    }

    #[test]
    fn fault_that_needs_three_brokers_is_an_error_on_one_and_left_out_of_all() {
        let error =
            chosen(&["abort", "leader-killed"], 1).err().expect("it needs three").to_string();
        assert!(error.contains("leader-killed needs three brokers"), "{error}");
        assert_eq!(chosen(&["abort", "leader-killed"], 3).expect("three are there").len(), 2);

        let needs_three =
            |faults: Vec<&Fault>| faults.iter().filter(|fault| fault.brokers == 3).count();
        assert_eq!(needs_three(chosen(&["--all"], 1).expect("faults")), 0);
        assert!(needs_three(chosen(&["--all"], 3).expect("faults")) > 0);
        assert!(chosen(&["--short"], 3).expect("faults").iter().all(|fault| fault.brokers == 3));
    }

    #[test]
    fn only_one_of_the_chosen_faults_runs_if_it_is_named() {
        let names = |words: &[&str]| -> Vec<_> {
            chosen(words, 1).expect("faults").iter().map(|fault| fault.name).collect()
        };
        assert_eq!(names(&["--all", "--only", "abort"]), ["abort"]);
        assert!(chosen(&["twins", "--only", "abort"], 1).is_err(), "it was not chosen");
    }

    #[test]
    fn containers_have_other_faults_than_the_native_stack() {
        let system = System { containers: true, redpanda: false, brokers: 1, broker_proxy: true };
        let (native, redpanda) =
            (System { containers: false, ..system }, System { redpanda: true, ..system });
        let runs = |name: &str, system: &System| {
            let fault = ALL.iter().find(|fault| fault.name == name).expect("it is listed");
            fault.why_not(system).is_none()
        };
        assert!(runs("clock-off", &native) && !runs("clock-off", &system));
        assert!(runs("broker-off-network", &system) && !runs("broker-off-network", &native));
        assert!(runs("leader-moved", &system) && !runs("leader-moved", &redpanda));
        assert!(!runs("end-late", &System { broker_proxy: false, ..system }));
    }

    #[test]
    fn every_mutant_names_a_fault() {
        for Control { mutant, fault } in CONTROLS {
            let known = ALL.iter().any(|known| known.name == fault);
            assert!(known, "{} is revealed by {fault}", mutant.name);
        }
    }
}

//! Short forms of the entries in the list of faults: one for each group of faults.

macro_rules! fault {
    ($name:literal, $what:literal, $runs:literal, $short:literal, $happen:expr) => {
        Fault {
            name: $name,
            what: $what,
            runs: $runs,
            short: $short,
            brokers: 1,
            stack: Stack::Any,
            cannot: || None,
            happen: |world, rng, sku| Box::pin($happen(world, rng, sku)),
        }
    };
}

macro_rules! kill_at {
    ($point:literal, $among:literal, $what:literal, $short:literal) => {
        fault!($point, $what, 5, $short, |world, rng, _| kill_at(world, rng, $point, $among))
    };
}

macro_rules! store {
    ($name:literal, $what:literal, $runs:literal, $happen:expr, $server:literal) => {
        fault!($name, $what, $runs, false, |world, rng, _| $happen(world, rng, $server))
    };
}

macro_rules! of_three {
    ($name:literal, $what:literal, $runs:literal, $short:literal, $happen:expr) => {
        Fault { brokers: 3, ..fault!($name, $what, $runs, $short, $happen) }
    };
}

macro_rules! cut_off {
    ($name:literal, $what:literal, $happen:expr) => {
        Fault { stack: Stack::Containers, ..fault!($name, $what, 2, false, $happen) }
    };
}

macro_rules! native {
    ($why:literal, $fault:expr) => {
        Fault { stack: Stack::Native($why), ..$fault }
    };
}

macro_rules! disk_full {
    ($name:literal, $what:literal, $happen:expr) => {
        Fault {
            cannot: disk::cannot,
            ..fault!($name, $what, 1, false, |world, _, _| $happen(world))
        }
    };
}

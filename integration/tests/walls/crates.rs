//! What each crate may depend on.

use std::collections::{BTreeMap, BTreeSet};

use crate::workspace::{cargo, dependencies, packages};

/// The crates of this workspace that each crate may use. Dependencies point one way: schemas <-
/// redpanda <- pipeline, gateway <- integration.
const CRATES: &[(&str, &[&str])] = &[
    ("schemas", &[]),
    ("redpanda", &["schemas"]),
    ("schemas-cli", &["schemas", "redpanda"]),
    ("domain", &["schemas"]),
    ("engine", &["schemas", "redpanda", "domain"]),
    ("projections", &["schemas", "redpanda"]),
    ("services", &["schemas", "redpanda", "domain", "engine", "projections"]),
    ("gateway", &["schemas", "redpanda", "projections"]),
    ("millrace-cli", &[]),
    (
        "integration",
        &["schemas", "redpanda", "domain", "engine", "projections", "services", "gateway"],
    ),
    ("proof", &["schemas", "redpanda", "domain", "projections", "integration"]),
    ("speed", &["schemas", "redpanda", "domain", "engine", "integration"]),
];

/// The only crate that may name a Kafka client, and contain `unsafe` code in one file.
pub(crate) const LOG: &str = "redpanda";

/// The beginnings of the names of Kafka clients.
const KAFKA_CLIENTS: [&str; 6] = ["rdkafka", "rskafka", "krafka", "kafka", "kafka-rust", "samsa"];

/// Kafka's wire format without a client: it opens no connection. Only the gate of the native stack
/// uses it.
const KAFKA_CODEC: &str = "kafka-protocol";

/// Every crate in the domain's dependency tree. None of them opens a file or a socket, starts a
/// thread or reads a clock for the domain.
const DOMAIN_TREE: [&str; 46] = [
    "adler2",
    "aliasable",
    "apache-avro",
    "bigdecimal",
    "block-buffer",
    "bon",
    "cfg-if",
    "chacha20",
    "cpufeatures",
    "crypto-common",
    "digest",
    "domain",
    "equivalent",
    "foldhash",
    "getrandom",
    "hashbrown",
    "hybrid-array",
    "indexmap",
    "itoa",
    "libc",
    "libm",
    "log",
    "memchr",
    "miniz_oxide",
    "num-bigint",
    "num-integer",
    "num-traits",
    "ouroboros",
    "rand",
    "rand_core",
    "regex-lite",
    "schemas",
    "serde",
    "serde_bytes",
    "serde_core",
    "serde_json",
    "sha1_smol",
    "static_assertions",
    "strum",
    "thiserror",
    "typenum",
    "uuid",
    "zmij",
    // Crates of the same tree as older toolchains resolve it.
    "generic-array",
    "ryu",
    "sha1",
];

#[test]
fn the_workspace_has_these_crates_and_dependencies_point_one_way() {
    let packages = packages();
    let crates: BTreeMap<&str, &[&str]> = CRATES.iter().copied().collect();

    assert_eq!(crates.keys().copied().collect::<Vec<_>>(), packages.keys().collect::<Vec<_>>());
    for (name, package) in &packages {
        let allowed = crates[name.as_str()];
        let used = dependencies(package).into_iter().filter(|used| crates.contains_key(used));
        let wrong: Vec<_> = used.filter(|used| !allowed.contains(used)).collect();
        assert!(wrong.is_empty(), "{name} may not use {wrong:?}");
    }
}

#[test]
fn no_crate_but_redpanda_names_a_kafka_client() {
    let is_client = |name: &&str| KAFKA_CLIENTS.iter().any(|client| name.starts_with(client));
    for (name, package) in packages() {
        let mut clients: Vec<_> = dependencies(&package).into_iter().filter(is_client).collect();
        if name == "integration" {
            clients.retain(|client| *client != KAFKA_CODEC);
        }
        if name == LOG {
            assert_eq!(vec!["rdkafka", "rdkafka-sys", "rskafka"], clients);
        } else {
            assert!(
                clients.is_empty(),
                "{name} names {clients:?}; only {LOG} may name a Kafka client"
            );
        }
    }
}

#[test]
fn nothing_that_can_block_is_in_the_domains_tree() {
    let tree = cargo(&[
        "tree",
        "-p",
        "domain",
        "-e",
        "normal,no-proc-macro",
        "--prefix",
        "none",
        "-f",
        "{p}",
    ]);
    let tree: BTreeSet<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    let unknown: Vec<_> = tree.iter().filter(|name| !DOMAIN_TREE.contains(name)).collect();

    assert!(tree.contains("schemas"), "cargo tree shows no tree: {tree:?}");
    assert!(
        unknown.is_empty(),
        "new in the domain's tree: {unknown:?}; may they block, or read a clock?"
    );
}

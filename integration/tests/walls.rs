//! The walls of the house: which crate may use which, who may name a Kafka client, what the domain
//! is made of, where `unsafe` may stand, and what lies at the top. Needs no stack and starts
//! nothing but cargo. To move a wall, change `DESIGN` first and the lists here with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What each crate of the house may use of the house. Dependencies point one way: schemas <-
/// redpanda <- pipeline, gateway <- integration.
const HOUSE: &[(&str, &[&str])] = &[
    ("schemas", &[]),
    ("redpanda", &["schemas"]),
    ("schemas-cli", &["schemas", "redpanda"]),
    ("domain", &["schemas"]),
    ("engine", &["schemas", "redpanda", "domain"]),
    ("projections", &["schemas", "redpanda"]),
    ("services", &["schemas", "redpanda", "domain", "engine", "projections"]),
    ("gateway", &["schemas", "redpanda", "projections"]),
    (
        "integration",
        &["schemas", "redpanda", "domain", "engine", "projections", "services", "gateway"],
    ),
    ("proof", &["schemas", "redpanda", "domain", "integration"]),
    ("speed", &["schemas", "redpanda", "domain", "engine", "integration"]),
];

/// The one crate that may name a Kafka client, and hold `unsafe` code in one file.
const LOG: &str = "redpanda";

/// How Kafka clients are called, or begin.
const KAFKA_CLIENTS: [&str; 6] = ["rdkafka", "rskafka", "krafka", "kafka", "kafka-rust", "samsa"];

/// Kafka's wire format alone: it opens no connection. Only the gate of the native stack reads it.
const KAFKA_CODEC: &str = "kafka-protocol";

/// Every crate that code of the domain can reach. None opens a file or a socket, starts a thread or
/// reads a clock for it.
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
    // Of older toolchains' resolutions of the same tree.
    "generic-array",
    "ryu",
    "sha1",
];

/// What stands at the top besides dotfiles.
const TOP: [&str; 12] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "compose.yaml",
    "gateway",
    "grafana",
    "integration",
    "pipeline",
    "redpanda",
    "rust-toolchain.toml",
    "schemas",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the checkout").to_owned()
}

fn cargo(arguments: &[&str]) -> String {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let output =
        command.args(arguments).arg("--offline").current_dir(root()).output().expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {} failed:\n{errors}", arguments.join(" "));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The manifests of the house by crate name.
fn packages() -> BTreeMap<String, Value> {
    let metadata = cargo(&["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages").clone();
    packages.into_iter().map(|package| (text(&package["name"]).to_owned(), package)).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// The names that a manifest depends on, of any kind.
fn dependencies(package: &Value) -> BTreeSet<&str> {
    let listed = package["dependencies"].as_array().expect("dependencies");
    listed.iter().map(|dependency| text(&dependency["name"])).collect()
}

/// The Rust files below `dir`.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for path in
            std::fs::read_dir(&dir).expect("a folder").map(|entry| entry.expect("an entry").path())
        {
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The code of a file, without what stands behind `//`.
fn code(path: &Path) -> String {
    read(path)
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_house_has_these_crates_and_dependencies_point_one_way() {
    let packages = packages();
    let house: BTreeMap<&str, &[&str]> = HOUSE.iter().copied().collect();

    assert_eq!(house.keys().copied().collect::<Vec<_>>(), packages.keys().collect::<Vec<_>>());
    for (name, package) in &packages {
        let allowed = house[name.as_str()];
        let used = dependencies(package).into_iter().filter(|used| house.contains_key(used));
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

#[test]
fn the_domain_reads_no_clock_and_does_no_io() {
    const OUTSIDE: [&str; 9] = [
        "std::fs",
        "std::io",
        "std::net",
        "std::process",
        "std::thread",
        "std::time::Instant",
        "SystemTime",
        "new_v4",
        "now_v7",
    ];
    for path in sources(&root().join("pipeline/domain/src")) {
        // Tests may make ids as they like.
        let text = code(&path);
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for word in OUTSIDE {
            assert!(!text.contains(word), "{} uses {word}", path.display());
        }
    }
}

#[test]
fn unsafe_code_is_forbidden_everywhere_but_in_one_folder() {
    for (name, package) in packages() {
        for target in package["targets"].as_array().expect("targets") {
            let kind = text(&target["kind"][0]);
            if !["lib", "bin"].contains(&kind) {
                continue;
            }
            let path = Path::new(text(&target["src_path"]));
            let root = code(path);
            if name == LOG && kind == "lib" {
                assert!(
                    root.contains("#![deny(unsafe_code)]"),
                    "{} does not deny it",
                    path.display()
                );
            } else {
                assert!(
                    root.contains("#![forbid(unsafe_code)]"),
                    "{} does not forbid it",
                    path.display()
                );
            }
        }
    }

    let log = root().join("redpanda/src");
    let audited = log.join("raw");
    let allowing = |path: &&PathBuf| {
        let text = code(path);
        // Written apart, or this file would find itself.
        text.contains(concat!("allow", "(unsafe_code)")) || text.contains(concat!("unsafe", " {"))
    };
    let files = sources(&log);
    let found: Vec<_> =
        files.iter().filter(allowing).filter(|path| !path.starts_with(&audited)).collect();
    assert!(found.is_empty(), "unsafe code outside of raw: {found:?}");
}

/// Redpanda may lose offsets that a transaction has staged when a plain commit of the same group
/// meets them (redpanda#31483). Only the benchmark of delivery at least once and a planted bug make
/// one.
#[test]
fn no_group_of_a_transaction_gets_a_plain_offset_commit() {
    let log = root().join("redpanda/src");
    for path in sources(&log) {
        let text = code(&path);
        let plain = text.matches("CommitMode::").count();
        let allowed = path.ends_with("src/session/plain_commit.rs");
        assert_eq!(plain, usize::from(allowed), "{} commits offsets", path.display());
        for wrong in [r#""enable.auto.commit", "true""#, "commit_message", "commit_consumer_state"]
        {
            assert!(!text.contains(wrong), "{} has {wrong}", path.display());
        }
        let consumer = text.contains("group.id");
        assert!(
            !consumer || text.contains(r#""enable.auto.commit", "false""#),
            "{}",
            path.display()
        );
    }
    for folder in ["pipeline", "gateway", "schemas"] {
        for path in sources(&root().join(folder)) {
            assert!(
                !code(&path).contains("AtLeastOnce"),
                "{} delivers at least once",
                path.display()
            );
        }
    }
}

#[test]
fn nothing_else_stands_at_the_top() {
    let entries = std::fs::read_dir(root()).expect("the checkout");
    let names =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    // `target` is cargo's, and ignored.
    let known =
        |name: &String| name.starts_with('.') || name == "target" || TOP.contains(&name.as_str());
    let unknown: Vec<_> = names.filter(|name| !known(name)).collect();

    assert!(unknown.is_empty(), "at the top of the checkout, but not in the design: {unknown:?}");
}

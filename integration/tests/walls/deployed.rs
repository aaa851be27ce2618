//! What a deployed binary is built with: no fault points, mutants or modes of the benchmarks. The
//! scripts and the image's recipe are read for the packages and features that they build.

use crate::workspace::{cargo, read, root};

/// The features that no deployed build may have.
const NEVER: [&str; 4] = ["faults", "mutants", "benchmarks", "soak"];

/// The features of NEVER that a build of the packages that `selection` names has, with the crate.
fn found(selection: &[&str]) -> Vec<String> {
    let words = ["tree", "-e", "no-dev", "--prefix", "none", "-f", "{lib} {f}"];
    let tree = cargo(&[&words[..], selection].concat());
    let mut found: Vec<_> = tree
        .lines()
        .filter_map(|line| line.trim_end_matches(" (*)").split_once(' '))
        .flat_map(|(name, features)| features.split(',').map(move |feature| (name, feature)))
        .filter(|(name, _)| ["redpanda", "engine", "projections", "services"].contains(name))
        .filter(|(_, feature)| NEVER.contains(feature))
        .map(|(name, feature)| format!("{name}/{feature}"))
        .collect();
    found.sort();
    found.dedup();
    found
}

#[test]
fn what_up_builds_has_no_fault_points_and_no_modes_of_the_benchmarks() {
    let script = read(&root().join("integration/lib.sh"));
    let (_, selection) = script.split_once("selection=(--workspace --exclude").expect("a build");
    let (selection, _) = selection.split_once(')').expect("its end");
    let selection = format!("--workspace --exclude{selection}");
    let selection: Vec<_> = selection.split_whitespace().collect();
    assert_eq!(found(&selection), [""; 0]);
    let up = read(&root().join("integration/up"));
    assert!(up.contains("\nbuild_deployed ") && !up.contains("\nbuild "), "{up}");
}

#[test]
fn image_has_no_fault_points_and_no_modes_of_the_benchmarks() {
    let recipe = read(&root().join("integration/Dockerfile"));
    let build = recipe.lines().find(|line| line.contains("cargo build")).expect("a build");
    let words: Vec<_> = build.split_whitespace().collect();
    let packages = words.windows(2).filter(|pair| pair[0] == "-p").flatten();
    assert_eq!(found(&packages.copied().collect::<Vec<_>>()), [""; 0]);
    // Features are an argument of the recipe, and only the fault suite on containers has one.
    assert!(recipe.contains("\nARG FEATURES=\n"), "{recipe}");
    assert!(!read(&root().join("compose.yaml")).contains("FEATURES"));
}

#[test]
fn build_of_the_whole_workspace_has_the_fault_points_of_the_fault_suite() {
    let all = found(&["--workspace"]);
    for expected in ["redpanda/faults", "redpanda/benchmarks", "engine/benchmarks"] {
        assert!(all.iter().any(|one| one == expected), "{expected} is not in {all:?}");
    }
    assert!(!all.iter().any(|one| one.contains("mutants")), "{all:?}");
}

/// TLS is rustls with ring; librdkafka alone uses OpenSSL. Access tokens are Ed25519 only, so no
/// other algorithm of signatures is needed.
#[test]
fn no_second_tls_or_crypto_provider_is_compiled() {
    const SECOND: [&str; 7] =
        ["aws-lc-rs", "aws-lc-sys", "native-tls", "openssl", "rsa", "p256", "p384"];
    let tree = cargo(&["tree", "--workspace", "--prefix", "none", "-f", "{p}"]);
    let crates = tree.lines().filter_map(|line| line.split(' ').next());
    let crates: std::collections::BTreeSet<_> = crates.collect();
    assert!(crates.contains("ring") && crates.contains("ed25519-dalek"), "{crates:?}");
    for second in SECOND {
        assert!(!crates.contains(second), "{second}: `cargo tree -i {second}` says who needs it");
    }
}

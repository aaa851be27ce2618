//! What the sources of a crate may contain.

use std::path::{Path, PathBuf};

use crate::crates::LOG;
use crate::workspace::{code, packages, root, sources, text};

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
        // Tests may create random ids.
        let text = code(&path);
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for word in OUTSIDE {
            assert!(!text.contains(word), "{} uses {word}", path.display());
        }
    }
}

#[test]
fn unsafe_code_is_forbidden_everywhere_but_in_the_folder_raw() {
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

/// Redpanda may lose offsets that a transaction has staged if the same group commits offsets
/// without a transaction (redpanda#31483). Only the benchmark of at-least-once delivery and a
/// mutant do that.
#[test]
fn no_group_of_a_transaction_gets_a_plain_offset_commit() {
    let log = root().join("redpanda/src");
    let mut plain_commits = 0;
    for path in sources(&log) {
        let text = code(&path);
        // Unit tests commit to mock brokers.
        let is_test = path.components().any(|part| part.as_os_str() == "tests");
        let plain = if is_test { 0 } else { text.matches("CommitMode::").count() };
        let is_allowed = path.ends_with("src/session/plain_commit.rs");
        assert!(plain == 0 || is_allowed, "{} commits offsets", path.display());
        plain_commits += plain;
        for wrong in [r#""enable.auto.commit", "true""#, "commit_message", "commit_consumer_state"]
        {
            assert!(!text.contains(wrong), "{} has {wrong}", path.display());
        }
        let consumer = text.contains(r#".set("group.id""#);
        assert!(
            !consumer || text.contains(r#""enable.auto.commit", "false""#),
            "{}",
            path.display()
        );
    }
    assert_eq!(plain_commits, 1, "at-least-once delivery and a mutant share it");
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

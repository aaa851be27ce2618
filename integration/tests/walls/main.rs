//! The boundaries between the crates: which crate may use which, which may name a Kafka client,
//! which crates the domain is made of, where `unsafe` may be, and what is at the top of the
//! repository. Needs no stack and starts nothing but cargo. To move a boundary, change the design
//! first, then these lists.

mod contents;
mod crates;
mod deployed;
mod errors;
mod workspace;

use crate::workspace::root;

/// The files and folders at the top of the repository, besides dotfiles.
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

#[test]
fn nothing_else_is_at_the_top() {
    let entries = std::fs::read_dir(root()).expect("the checkout");
    let names =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    // `target` is cargo's, and ignored.
    let known =
        |name: &String| name.starts_with('.') || name == "target" || TOP.contains(&name.as_str());
    let unknown: Vec<_> = names.filter(|name| !known(name)).collect();

    assert!(unknown.is_empty(), "at the top of the repository, but not in the design: {unknown:?}");
}

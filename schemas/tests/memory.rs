//! The memory that a codec keeps of schemas from outside. In a process of its own, because it looks
//! at the memory of the whole process.
#![cfg(target_os = "linux")]

use std::fs;

use schemas::{Codec, CodecError};

/// The most memory that the refused schemas may leave behind. All of them together take four times
/// as much.
const GROWTH_BYTES_MAX: usize = 8 << 20;

/// The memory of this process that is not shared and in use.
fn resident_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}

#[test]
fn schema_that_is_no_record_leaves_nothing_behind() {
    let symbols: Vec<String> = (0..2_000).map(|index| format!(r#""SYMBOL_{index:06}""#)).collect();
    let schema = format!(r#"{{"type":"enum","name":"E","symbols":[{}]}}"#, symbols.join(","));
    let codec = Codec::local();
    let learn = || {
        let learnt = codec.learn(9999, &schema);
        assert!(matches!(learnt, Err(CodecError::Unresolvable { .. })), "{learnt:?}");
    };
    // The first ones fill what the process keeps for all.
    (0..20).for_each(|_| learn());
    let before = resident_bytes();

    // A record with such an id asks for its schema, and the next one asks again.
    (0..300).for_each(|_| learn());

    let growth = resident_bytes().saturating_sub(before);
    assert!(growth < GROWTH_BYTES_MAX, "{growth} bytes more after 300 refused schemas");
}

//! `bench system` on the native stack: one short step at a low rate. What was answered must be
//! right; no time is asserted.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

const RATE: u64 = 10;
const SECONDS: u64 = 3;

#[test]
#[ignore = "needs the stack"]
fn low_rate_is_done_in_full_and_what_was_answered_is_right() {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("system.json");
    let mut bench = Command::new(env!("CARGO_BIN_EXE_bench"));
    bench.args(["system", "--mix", "lines", "--users", "2", "--products", "3"]);
    bench.args(["--warm-up", "0", "--first-warm-up", "0"]);
    bench.args(["--rates", &RATE.to_string(), "--seconds", &SECONDS.to_string(), "--out"]);
    let ended = bench.arg(&out).output().expect("bench starts");
    let said = String::from_utf8_lossy(&ended.stdout);
    let errors = String::from_utf8_lossy(&ended.stderr);
    // It fails if the log, the read models and the stock do not agree with the answers.
    assert!(ended.status.success(), "{said}{errors}");

    let text = std::fs::read_to_string(&out).expect("a result");
    let result: Value = serde_json::from_str(&text).expect("JSON");
    let step = &result["systems"][0]["steps"][0];
    assert_eq!(step["statuses"]["201"], RATE * SECONDS, "{said}");
    for (what, at_least) in [
        ("/transactions_per_request", 0.0),
        ("/own_memory_mb", 1.0),
        ("/cpu_ms_per_request/order-0", 0.0),
        // The command, and at least an event of each hop.
        ("/topics_per_request/order.commands/records", 0.9),
        ("/topics_per_request/order.events/records", 2.9),
        ("/topics_per_request/stock.events/records", 2.9),
        ("/hops_p50_p99_ms/notified/1", 0.0),
    ] {
        let value = step.pointer(what).and_then(Value::as_f64);
        assert!(value.is_some_and(|value| value > at_least), "{what}: {value:?} of {step:#}");
    }
}

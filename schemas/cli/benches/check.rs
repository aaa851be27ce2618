//! The time of `schemas check` for 500 schemas with 20 released versions each, including the files.
//!
//! `cargo bench -p schemas-cli`.

use std::{fs, path::Path, process::Command, time::Instant};

const SCHEMAS: usize = 500;
const VERSIONS: usize = 20;
const RUNS: usize = 5;

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path());
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let start = Instant::now();
        let output = Command::new(env!("CARGO_BIN_EXE_schemas"))
            .args(["check", "--folder"])
            .arg(folder.path())
            .output()
            .expect("the command runs");
        times.push(start.elapsed());
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let expected =
            format!("{SCHEMAS} schemas against {} released versions: fine\n", SCHEMAS * VERSIONS);
        assert_eq!(printed, expected, "{}", String::from_utf8_lossy(&output.stderr));
    }
    times.sort();
    let (best, worst) = (times[0].as_secs_f64(), times[RUNS - 1].as_secs_f64());
    println!(
        "{SCHEMAS} schemas, {VERSIONS} versions each, both directions: {best:.2} s to {worst:.2} s in {RUNS} runs"
    );
}

fn write(folder: &Path) {
    for number in 0..SCHEMAS {
        let released = folder.join(format!("released/bench{number}.Order"));
        fs::create_dir_all(&released).expect("a folder");
        for version in 1..=VERSIONS {
            fs::write(released.join(format!("{version}.avsc")), schema(number, version))
                .expect("written");
        }
        let working = folder.join(format!("avro/{number}"));
        fs::create_dir_all(&working).expect("a folder");
        fs::write(working.join("Order.avsc"), schema(number, VERSIONS + 1)).expect("written");
    }
}

/// An order with lines, and one more optional field in every version.
fn schema(number: usize, version: usize) -> String {
    let added: String = (0..version)
        .map(|field| format!(r#", {{ "name": "added_{field}", "type": ["null", "string"], "default": null, "doc": "New." }}"#))
        .collect();
    format!(
        r#"{{
  "type": "record", "name": "Order", "namespace": "bench{number}", "doc": "An order.",
  "fields": [
    {{ "name": "id", "type": {{ "type": "string", "logicalType": "uuid" }}, "doc": "Which." }},
    {{ "name": "placed_at", "type": {{ "type": "long", "logicalType": "timestamp-millis" }}, "doc": "When." }},
    {{ "name": "state", "type": {{ "type": "enum", "name": "State", "symbols": ["OPEN", "PAID", "SENT"], "default": "OPEN", "doc": "How far." }}, "doc": "How far." }},
    {{ "name": "lines", "doc": "What.", "type": {{ "type": "array", "items": {{
      "type": "record", "name": "Line", "doc": "One product.", "fields": [
        {{ "name": "sku", "type": "string", "doc": "Which." }},
        {{ "name": "quantity", "type": "int", "doc": "How many." }},
        {{ "name": "price", "type": ["null", {{ "type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2 }}], "default": null, "doc": "How much." }}
      ] }} }} }}{added}
  ]
}}
"#
    )
}

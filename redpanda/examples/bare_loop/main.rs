//! The shortest loop that does the work of `integration/bench` by hand: it shows what a transaction
//! costs without an engine. It restores nothing, survives no failure and moves no partition.
//!
//! `run` is the loop; the other commands create and delete topics and write inputs for all
//! contenders of the benchmark.

mod inputs;
mod producer;
mod records;
mod run;
mod topics;

use std::time::Duration;

const PARTITIONS: i32 = 4;
/// The deadline of one request.
const REQUEST_MAX: Duration = Duration::from_secs(30);

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["fresh", brokers, ref topics @ ..] => topics::fresh(brokers, topics),
        ["delete", brokers, ref topics @ ..] => topics::delete(brokers, topics),
        ["fill", brokers, topic, records, keys, body] => {
            inputs::fill(brokers, topic, records.parse()?, keys.parse()?, body.parse()?)
        }
        ["pace", brokers, topic, rate, seconds, keys, body] => inputs::pace(
            brokers,
            topic,
            rate.parse()?,
            seconds.parse()?,
            keys.parse()?,
            body.parse()?,
        ),
        ["run", brokers, name, topic, out, commit_ms] => {
            run::run(brokers, name, topic, out, Duration::from_millis(commit_ms.parse()?))
        }
        _ => Err("expected: fresh BROKERS TOPIC..., delete BROKERS TOPIC..., \
                  fill BROKERS TOPIC RECORDS KEYS BODY, pace BROKERS TOPIC RATE SECONDS KEYS BODY, \
                  or run BROKERS NAME INPUTS OUTPUTS COMMIT_MS"
            .into()),
    }
}

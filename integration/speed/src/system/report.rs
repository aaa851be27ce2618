//! The result as tables for people and as JSON for programs.

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::{Measured, Options, Run, log::HOPS, subject::System};
use crate::table::{rows, save};

const PERCENTILES: [f64; 3] = [50.0, 90.0, 99.0];

/// Prints the result and saves it.
///
/// # Errors
/// If it cannot be saved.
pub(super) fn report(options: &Options, runs: &[Run]) -> anyhow::Result<()> {
    let mut table = vec![head()];
    for run in runs {
        table.extend(run.steps.iter().map(|measured| row(run.system, measured)));
    }
    integration::say!("\n{}", rows(&table));
    integration::say!(
        "CPU, records, kB and transactions are for each request that was done; records \
         (transaction markers included) and kB are those of all topics.\n"
    );
    for run in runs.iter().filter(|run| run.system == System::Millrace) {
        let mut table = vec![waits_head()];
        table.extend(run.steps.iter().map(waits_row));
        integration::say!("{}", rows(&table));
        integration::say!(
            "The gateway's waits are means; a hop's time is from the one before it, p50 / p99, by \
             the broker's clock.\n"
        );
    }
    for run in runs {
        let limit = options.p99_ms_max;
        let capacity = match run.capacity {
            Some(rate) => format!("{rate}/s within {limit} ms at p99"),
            None => format!("no step stayed within {limit} ms at p99"),
        };
        integration::say!("{}: capacity: {capacity}", run.system.name());
        integration::say!("{}: {}", run.system.name(), run.checked);
    }
    let runs: Vec<_> = runs.iter().map(run_as_json).collect();
    let result = json!({
        "mix": format!("{:?}", options.workload.mix).to_lowercase(),
        "seconds": options.seconds,
        "systems": runs,
    });
    save(&options.out, &result)
}

fn head() -> Vec<String> {
    let names = "system,offered/s,done/s,p50 ms,p90 ms,p99 ms,statuses,CPU ms: own,broker,stores,\
                 own MB,records,kB,transactions";
    names.split(',').map(str::to_owned).collect()
}

/// A step's row of the table that compares systems.
pub(super) fn row(system: System, measured: &Measured) -> Vec<String> {
    let (step, seen) = (&measured.step, &measured.seen);
    let done = step.done().max(1) as f64;
    let mut row = vec![system.name().to_owned(), measured.rate.to_string()];
    row.push(format!("{:.0}", step.done() as f64 / step.seconds));
    row.extend(percentiles(&step.latencies).map(|value| format!("{value:.0}")));
    let statuses = step.statuses.iter().map(|(status, count)| format!("{status}: {count}"));
    row.push(statuses.collect::<Vec<_>>().join(", "));
    row.extend(seen.cpu_ms().map(|value| format!("{:.2}", value / done)));
    row.push(format!("{:.0}", seen.own_memory_mb()));
    let stored = seen.stored();
    row.push(format!("{:.1}", stored.records as f64 / done));
    row.push(format!("{:.1}", stored.bytes as f64 / 1000.0 / done));
    row.push(format!("{:.2}", seen.transactions() / done));
    row
}

fn waits_head() -> Vec<String> {
    let gateway = ["offered/s", "write ms", "outcome ms", "read model ms"].map(str::to_owned);
    let hops = HOPS.map(|hop| format!("{hop} ms"));
    let records = ["records in", "records out"].map(str::to_owned);
    gateway.into_iter().chain(hops).chain(records).collect()
}

/// A step's row of the table that shows where an order's time goes in Millrace.
fn waits_row(measured: &Measured) -> Vec<String> {
    let done = measured.step.done().max(1) as f64;
    let mut row = vec![measured.rate.to_string()];
    row.extend(measured.seen.waits_ms().map(|value| format!("{value:.0}")));
    row.extend(measured.hops_ms.iter().map(|[p50, p99]| format!("{p50} / {p99}")));
    row.extend(measured.seen.records().map(|value| format!("{:.1}", value / done)));
    row
}

fn run_as_json(run: &Run) -> Value {
    json!({
        "system": run.system.name(),
        "capacity": run.capacity,
        "checked": run.checked,
        "steps": run.steps.iter().map(step_as_json).collect::<Vec<_>>(),
    })
}

fn step_as_json(measured: &Measured) -> Value {
    let (step, seen) = (&measured.step, &measured.seen);
    let done = step.done().max(1) as f64;
    let per_request = |value: f64| value / done;
    let topics = seen.topics.iter().filter(|(_, grown)| grown.records != 0 || grown.bytes != 0);
    let topics = topics.map(|(topic, grown)| {
        let (records, bytes) = (grown.records as f64, grown.bytes as f64);
        (topic.clone(), json!({ "records": per_request(records), "bytes": per_request(bytes) }))
    });
    let cpu = seen.processes_ms().map(|(name, ms)| (name.to_owned(), Value::from(per_request(ms))));
    let hops = HOPS.iter().zip(&measured.hops_ms);
    json!({
        "offered": measured.rate,
        "sent": step.sent,
        "done": step.done(),
        "done_per_second": step.done() as f64 / step.seconds,
        "percentiles_ms": PERCENTILES.iter().zip(percentiles(&step.latencies)).collect::<Vec<_>>(),
        "statuses": step.statuses,
        "waits_ms": seen.waits_ms(),
        "hops_p50_p99_ms": hops.map(|(hop, ms)| ((*hop).to_owned(), json!(ms)))
            .collect::<serde_json::Map<_, _>>(),
        "own_memory_mb": seen.own_memory_mb(),
        "cpu_ms_per_request": cpu.collect::<serde_json::Map<_, _>>(),
        "records_in_out_per_request": seen.records().map(per_request),
        "transactions_per_request": per_request(seen.transactions()),
        "topics_per_request": topics.collect::<serde_json::Map<_, _>>(),
    })
}

fn percentiles(latencies: &Histogram<u64>) -> [f64; 3] {
    PERCENTILES.map(|percentile| latencies.value_at_percentile(percentile) as f64 / 1000.0)
}

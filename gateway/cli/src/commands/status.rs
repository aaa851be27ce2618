//! Whether the system works: the gateway, the processors' and read models' figures, and what is
//! parked or dead.

use serde_json::{Value, json};

use super::{dead, pages::List, parked};
use crate::{
    client::{Client, Request},
    failure::Failure,
    report::Report,
    text::{
        table::{self, Column, aligned},
        value::{count, items, text},
    },
};

/// One of the pipeline's figures.
struct Figure {
    /// Its name in the answer.
    name: &'static str,
    /// What people read.
    text: &'static str,
    unit: &'static str,
    decimals: usize,
}

impl Figure {
    const fn whole(name: &'static str, text: &'static str) -> Self {
        Self { name, text, unit: "", decimals: 0 }
    }

    const fn tenths(name: &'static str, text: &'static str, unit: &'static str) -> Self {
        Self { name, text, unit, decimals: 1 }
    }
}

/// The pipeline's figures.
const FIGURES: &[Figure] = &[
    Figure::whole("tasks_active", "active tasks"),
    Figure::whole("tasks_restoring", "tasks being restored"),
    Figure::whole("restore_remaining_records", "records left to restore"),
    Figure::whole("tasks_stuck", "stuck tasks"),
    Figure::whole("lag_records", "waiting records"),
    Figure::tenths("lag_s", "the oldest waits at most", " s"),
    Figure::tenths("read_models_behind_s", "slowest read model is behind", " s"),
    Figure::tenths("commands_per_s", "commands", "/s"),
    Figure::tenths("outcomes_per_s", "outcomes", "/s"),
    Figure::tenths("transactions_per_s", "transactions", "/s"),
    Figure::whole("parked_records", "parked records"),
    Figure::whole("dead_letters_last_hour", "dead letters of the last hour"),
];

/// Each processor: its tasks by state, what restores have still to read, the records that wait for
/// it, and since when the oldest one does at most.
const PROCESSORS: &[Column] = &[
    ("PROCESSOR", |it| text(it, "name")),
    ("ACTIVE", |it| figure(it, "tasks_active", "", 0)),
    ("RESTORING", |it| figure(it, "tasks_restoring", "", 0)),
    ("LEFT TO RESTORE", |it| figure(it, "restore_remaining_records", "", 0)),
    ("STUCK", |it| figure(it, "tasks_stuck", "", 0)),
    ("LAG RECORDS", |it| figure(it, "lag_records", "", 0)),
    ("LAG", |it| figure(it, "lag_s", " s", 1)),
];

/// Each projection: its position, the age of the oldest record that it lacks, the delay of the last
/// one that it has applied, and its stopped partitions.
const PROJECTIONS: &[Column] = &[
    ("PROJECTION", |it| text(it, "name")),
    ("POSITION", |it| figure(it, "position", "", 0)),
    ("LAG", |it| figure(it, "lag_s", " s", 1)),
    ("DELAY", |it| figure(it, "delay_s", " s", 2)),
    ("STOPPED", |it| figure(it, "partitions_stopped", "", 0)),
];

/// Reads and shows it.
pub(super) async fn run(client: &mut Client) -> Result<Report, Failure> {
    let gateway = match client.send_as_anybody(Request::get("/readyz")).await {
        Ok(_) => "ready",
        Err(failure) if failure.status() == Some(503) => "not ready",
        Err(failure) => return Err(failure),
    };
    // The rest is known without Prometheus.
    let (pipeline, note) = match client.send(Request::get("/v1/pipeline")).await {
        Ok(answer) => (answer.body, None),
        Err(failure) if failure.status() == Some(503) => {
            (Value::Null, Some(format!("The pipeline's figures are missing: {failure}")))
        }
        Err(failure) => return Err(failure),
    };
    let parked = counted(&parked::first_page(client).await?);
    let dead_letters = counted(&dead::first_page(client).await?);
    let value = json!({
        "url": client.url().as_str(),
        "gateway": gateway,
        "pipeline": pipeline,
        "parked_keys": parked,
        "dead_letters": dead_letters,
    });
    let lines = lines(&value);
    Ok(Report::done(value, lines).noting(note))
}

/// How long a list is, as far as one page shows it.
fn counted(list: &List) -> Value {
    json!({ "count": list.items.len(), "is_cut": list.next.is_some() })
}

fn lines(status: &Value) -> Vec<String> {
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let gateway = format!("{} ({})", text(status, "gateway"), url(status));
    let mut rows = vec![row("gateway", gateway)];
    for Figure { name, text, unit, decimals } in FIGURES {
        rows.push(row(text, figure(&status["pipeline"], name, unit, *decimals)));
    }
    for (name, text) in [("parked_keys", "parked keys"), ("dead_letters", "dead letters kept")] {
        let list = &status[name];
        let more = if list["is_cut"] == true { " or more" } else { "" };
        rows.push(row(text, format!("{}{more}", count(list, "count"))));
    }
    let mut lines = aligned(rows);
    for (name, columns) in [("processors", PROCESSORS), ("projections", PROJECTIONS)] {
        let parts = items(&status["pipeline"], name);
        if !parts.is_empty() {
            lines.push(String::new());
            lines.extend(table::list(columns, parts, ""));
        }
    }
    lines
}

/// A figure with its unit, or a dash if nobody reports it.
fn figure(of: &Value, name: &str, unit: &str, decimals: usize) -> String {
    of[name].as_f64().map_or_else(|| "-".to_owned(), |it| format!("{it:.decimals$}{unit}"))
}

fn url(status: &Value) -> &str {
    status["url"].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_units_and_one_that_nobody_reports_is_a_dash() {
        let status = json!({
            "url": "http://localhost:3000/", "gateway": "ready",
            "pipeline": { "tasks_active": 12.0, "lag_s": 0.25, "outcomes_per_s": null },
            "parked_keys": { "count": 2, "is_cut": false },
            "dead_letters": { "count": 100, "is_cut": true },
        });
        let lines = lines(&status);
        let line = |name: &str| {
            let found = lines.iter().find_map(|line| line.strip_prefix(name));
            found.expect(name).trim().to_owned()
        };
        assert_eq!(line("gateway"), "ready (http://localhost:3000/)");
        assert_eq!((line("active tasks"), line("outcomes ")), ("12".into(), "-".into()));
        assert_eq!(line("the oldest waits at most"), "0.2 s");
        assert_eq!(line("parked keys"), "2");
        assert_eq!(line("dead letters kept"), "100 or more");
        assert!(!lines.iter().any(|line| line.contains("PROCESSOR")), "{lines:?}");
    }

    #[test]
    fn each_processor_and_projection_has_a_row_with_its_lag_in_seconds() {
        let status = json!({
            "parked_keys": { "count": 0, "is_cut": false },
            "dead_letters": { "count": 0, "is_cut": false },
            "pipeline": {
                "processors": [{
                    "name": "order", "tasks_active": 3.0, "tasks_restoring": 1.0,
                    "restore_remaining_records": 900.0, "tasks_stuck": 0.0, "lag_records": 7.0,
                    "lag_s": 2.5,
                }],
                "projections": [
                    {
                        "name": "orders", "position": 4100.0, "lag_s": 31.0, "delay_s": 0.034,
                        "partitions_stopped": 1,
                    },
                    { "name": "users", "lag_s": 0.0, "delay_s": null, "partitions_stopped": 0 },
                ],
            },
        });
        let lines = lines(&status);
        let tables: Vec<&str> =
            lines.iter().skip_while(|line| !line.is_empty()).map(|line| &**line).collect();
        assert_eq!(
            tables,
            [
                "",
                "PROCESSOR  ACTIVE  RESTORING  LEFT TO RESTORE  STUCK  LAG RECORDS  LAG",
                "order      3       1          900              0      7            2.5 s",
                "",
                "PROJECTION  POSITION  LAG     DELAY   STOPPED",
                "orders      4100      31.0 s  0.03 s  1",
                "users       -         0.0 s   -       0",
            ]
        );
    }
}

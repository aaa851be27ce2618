//! The pipeline's own figures, which Prometheus computes from the metrics of all services. They are
//! read once for all clients and only while somebody asks. This module keeps no history.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::Url;
use schemas::chain;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::Mutex;

/// How long figures are kept: Prometheus itself scrapes every five seconds.
pub const MAX_AGE: Duration = Duration::from_secs(5);
/// The deadline of a request to Prometheus.
const REQUEST_MAX: Duration = Duration::from_secs(2);

/// The figures, and how Prometheus computes them.
const FIGURES: &[(&str, &str)] = &[
    ("commands_per_s", "sum(rate(millrace_gateway_commands_total{result=\"written\"}[1m]))"),
    ("outcomes_per_s", "sum(rate(millrace_engine_outcomes_total[1m]))"),
    ("transactions_per_s", "sum(rate(millrace_engine_transactions_committed_total[1m]))"),
    ("lag_records", "sum(millrace_engine_lag_records)"),
    ("lag_s", "max(processor:millrace_engine_lag_seconds:max)"),
    ("read_models_behind_s", "max(millrace_projection_delay_seconds)"),
    ("parked_records", "sum(millrace_engine_records_parked)"),
    ("dead_letters_last_hour", "sum(increase(millrace_engine_dead_letters_total[1h]))"),
    ("tasks_active", "sum(millrace_engine_tasks{stage=\"active\"})"),
    ("tasks_restoring", "sum(millrace_engine_tasks{stage=\"restoring\"})"),
    ("tasks_stuck", "sum(millrace_engine_tasks{stage=\"stuck\"})"),
    ("restore_remaining_records", "sum(millrace_engine_restore_remaining_records)"),
];

/// Figures of each part of one kind.
struct Parts {
    /// The name of the list in the answer.
    list: &'static str,
    /// The label that names a part.
    label: &'static str,
    /// The figures, and how Prometheus computes them.
    figures: &'static [(&'static str, &'static str)],
}

/// The figures of each processor and projection.
const PARTS: &[Parts] = &[
    Parts {
        list: "processors",
        label: "processor",
        figures: &[
            ("lag_records", "sum by (processor) (millrace_engine_lag_records)"),
            ("lag_s", "processor:millrace_engine_lag_seconds:max"),
            ("tasks_active", "sum by (processor) (millrace_engine_tasks{stage=\"active\"})"),
            ("tasks_restoring", "sum by (processor) (millrace_engine_tasks{stage=\"restoring\"})"),
            ("tasks_stuck", "sum by (processor) (millrace_engine_tasks{stage=\"stuck\"})"),
            (
                "restore_remaining_records",
                "sum by (processor) (millrace_engine_restore_remaining_records)",
            ),
        ],
    },
    Parts {
        list: "projections",
        label: "projection",
        figures: &[
            ("position", "sum by (projection) (millrace_projection_position)"),
            ("lag_s", "max by (projection) (millrace_projection_lag_seconds)"),
            ("delay_s", "max by (projection) (millrace_projection_delay_seconds)"),
            ("partitions_stopped", "sum by (projection) (millrace_projection_partitions_waiting)"),
        ],
    },
];

/// Reads the pipeline's figures from Prometheus, if there is one.
#[derive(Default)]
pub struct Pipeline {
    source: Option<(reqwest::Client, Url)>,
    /// The last answer and its time; `None` in it if Prometheus could not be read.
    last: Mutex<Option<(Instant, Option<Arc<str>>)>>,
}

/// An answer of Prometheus's API: see "Instant queries" in its documentation of the HTTP API.
#[derive(Deserialize)]
struct Response {
    data: Vector,
}

#[derive(Deserialize)]
struct Vector {
    result: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    metric: Labels,
    value: (f64, String),
}

/// The labels of a sample. The one called `figure` is the name of a figure, with the list before it
/// if it is one of [`PARTS`].
type Labels = BTreeMap<String, String>;

impl Pipeline {
    /// Reads from the Prometheus at `url`.
    ///
    /// # Errors
    /// If the client can't be created.
    pub fn at(url: &Url) -> reqwest::Result<Self> {
        redpanda::tls::install_provider();
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(REQUEST_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let mut query = url.clone();
        query.set_path(&format!("{}/api/v1/query", url.path().trim_end_matches('/')));
        query.query_pairs_mut().append_pair("query", &expression());
        Ok(Self { source: Some((client, query)), last: Mutex::default() })
    }

    /// Whether there is a Prometheus to read from.
    pub fn is_configured(&self) -> bool {
        self.source.is_some()
    }

    /// The figures as JSON, at most [`MAX_AGE`] old; a figure that no service reports is `null`.
    /// Returns `None` if Prometheus can't be read.
    pub async fn read(&self) -> Option<Arc<str>> {
        let (client, query) = self.source.as_ref()?;
        let mut last = self.last.lock().await;
        if let Some((at, figures)) = &*last
            && at.elapsed() < MAX_AGE
        {
            return figures.clone();
        }
        let request = client.get(query.clone()).send();
        let response = async { request.await?.error_for_status()?.json::<Response>().await };
        let figures = match response.await {
            Ok(response) => Some(json(response).into()),
            Err(error) => {
                let error = chain(&error.without_url());
                tracing::warn!(error, "the pipeline's figures can't be read from Prometheus");
                None
            }
        };
        *last = Some((Instant::now(), figures.clone()));
        figures
    }
}

/// One expression for all figures, each with its name as a label.
fn expression() -> String {
    let named = |name: &str, expression: &str| {
        format!("label_replace({expression}, \"figure\", \"{name}\", \"\", \"\")")
    };
    let whole = FIGURES.iter().map(|(name, expression)| named(name, expression));
    let of_parts = PARTS.iter().flat_map(|Parts { list, figures, .. }| {
        figures.iter().map(move |(name, expression)| named(&format!("{list}.{name}"), expression))
    });
    whole.chain(of_parts).collect::<Vec<_>>().join(" or ")
}

fn json(response: Response) -> String {
    let mut found: BTreeMap<String, Vec<(Labels, Value)>> = BTreeMap::new();
    for Sample { metric, value: (_, text) } in response.data.result {
        // "NaN" is no number in JSON.
        let value = text.parse::<f64>().ok().into();
        let figure = metric.get("figure").cloned().unwrap_or_default();
        found.entry(figure).or_default().push((metric, value));
    }
    let mut answer = Map::new();
    for (name, _) in FIGURES {
        let value = found.get(*name).and_then(|samples| samples.first());
        answer.insert((*name).to_owned(), value.map_or(Value::Null, |(_, value)| value.clone()));
    }
    for kind in PARTS {
        answer.insert(kind.list.to_owned(), kind.json(&found));
    }
    Value::Object(answer).to_string()
}

impl Parts {
    /// The parts by name, each with all its figures; one that no service reports is `null`.
    fn json(&self, found: &BTreeMap<String, Vec<(Labels, Value)>>) -> Value {
        let mut parts: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
        for (figure, _) in self.figures {
            for (labels, value) in
                found.get(&format!("{}.{figure}", self.list)).into_iter().flatten()
            {
                let Some(name) = labels.get(self.label) else { continue };
                let part = parts.entry(name).or_insert_with(|| {
                    let none = |(figure, _): &(&str, &str)| ((*figure).to_owned(), Value::Null);
                    let name = ("name".to_owned(), name.clone().into());
                    [name].into_iter().chain(self.figures.iter().map(none)).collect()
                });
                part.insert((*figure).to_owned(), value.clone());
            }
        }
        parts.into_values().map(Value::Object).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn figure_that_is_no_number_or_that_no_service_reports_is_null() {
        let response = json!({ "status": "success", "data": { "resultType": "vector", "result": [
            { "metric": { "figure": "lag_records" }, "value": [1795815920.478, "12"] },
            { "metric": { "figure": "outcomes_per_s" }, "value": [1795815920.478, "NaN"] },
            { "metric": { "figure": "unknown" }, "value": [1795815920.478, "1"] },
        ] } });
        let figures = super::json(serde_json::from_value(response).expect("an answer"));
        let figures: Value = serde_json::from_str(&figures).expect("JSON");
        assert_eq!(figures["lag_records"], json!(12.0));
        assert_eq!(figures["outcomes_per_s"], Value::Null);
        assert_eq!(figures["parked_records"], Value::Null);
        assert_eq!(figures.as_object().map(Map::len), Some(FIGURES.len() + PARTS.len()));
        assert_eq!((&figures["processors"], &figures["projections"]), (&json!([]), &json!([])));
    }

    #[test]
    fn each_processor_and_projection_has_its_figures_by_name() {
        let sample = |figure, label: &str, name, value| {
            let labels = BTreeMap::from([("figure", figure), (label, name)]);
            json!({ "metric": labels, "value": [1.5, value] })
        };
        let response = json!({ "data": { "result": [
            sample("processors.lag_s", "processor", "user", "0"),
            sample("processors.lag_s", "processor", "order", "2.5"),
            sample("processors.lag_records", "processor", "order", "7"),
            sample("processors.tasks_active", "processor", "order", "3"),
            sample("processors.tasks_restoring", "processor", "order", "1"),
            sample("processors.tasks_stuck", "processor", "order", "0"),
            sample("processors.restore_remaining_records", "processor", "order", "900"),
            sample("projections.position", "projection", "orders", "4100"),
            sample("projections.delay_s", "projection", "orders", "0.03"),
            sample("projections.lag_s", "processor", "orders", "0.03"),
        ] } });
        let figures = super::json(serde_json::from_value(response).expect("an answer"));
        let figures: Value = serde_json::from_str(&figures).expect("JSON");
        let processors = json!([
            {
                "name": "order", "lag_records": 7.0, "lag_s": 2.5, "tasks_active": 3.0,
                "tasks_restoring": 1.0, "tasks_stuck": 0.0, "restore_remaining_records": 900.0,
            },
            {
                "name": "user", "lag_records": null, "lag_s": 0.0, "tasks_active": null,
                "tasks_restoring": null, "tasks_stuck": null, "restore_remaining_records": null,
            },
        ]);
        assert_eq!(figures["processors"], processors);
        let orders = json!({
            "name": "orders", "position": 4100.0, "lag_s": null, "delay_s": 0.03,
            "partitions_stopped": null,
        });
        assert_eq!(figures["projections"], json!([orders]));
    }

    #[tokio::test]
    async fn without_prometheus_there_are_no_figures() {
        assert_eq!(Pipeline::default().read().await, None);
        let nowhere = Pipeline::at(&"http://127.0.0.1:1/".parse().expect("a URL"));
        assert_eq!(nowhere.expect("a client").read().await, None);
    }
}

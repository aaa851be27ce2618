//! The pipeline's own figures, which Prometheus computes from the metrics of all services. They are
//! read once for all clients and only while somebody asks. This module keeps no history.

use std::{
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

#[derive(Deserialize)]
struct Labels {
    figure: String,
}

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
    let named = |(name, expression): &(&str, &str)| {
        format!("label_replace({expression}, \"figure\", \"{name}\", \"\", \"\")")
    };
    FIGURES.iter().map(named).collect::<Vec<_>>().join(" or ")
}

fn json(response: Response) -> String {
    let mut figures: Map<String, Value> =
        FIGURES.iter().map(|(name, _)| ((*name).to_owned(), Value::Null)).collect();
    for Sample { metric, value: (_, text) } in response.data.result {
        if let Some(figure) = figures.get_mut(&metric.figure) {
            // "NaN" is no number in JSON.
            *figure = text.parse::<f64>().ok().into();
        }
    }
    Value::Object(figures).to_string()
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
        assert_eq!(figures.as_object().map(Map::len), Some(FIGURES.len()));
    }

    #[tokio::test]
    async fn without_prometheus_there_are_no_figures() {
        assert_eq!(Pipeline::default().read().await, None);
        let nowhere = Pipeline::at(&"http://127.0.0.1:1/".parse().expect("a URL"));
        assert_eq!(nowhere.expect("a client").read().await, None);
    }
}

//! The pipeline's own figures: who sees them, and that one read serves all clients.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use gateway::pipeline::Pipeline;
use serde_json::{Value, json};
use warp::Filter as _;

use crate::{statistics::events, support::*};

const PATH: &str = "/v1/pipeline";
const STREAM: &str = "/v1/statistics/stream";

/// A Prometheus that answers every query with a lag of 12 records, and the number of its answers.
async fn prometheus() -> (Pipeline, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let answer = warp::path!("api" / "v1" / "query").map(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        let sample = json!({ "metric": { "figure": "lag_records" }, "value": [1.5, "12"] });
        warp::reply::json(&json!({ "status": "success", "data": { "result": [sample] } }))
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(warp::serve(answer).incoming(listener).run());
    (Pipeline::at(&url.parse().unwrap()).unwrap(), asked)
}

#[tokio::test]
async fn only_admins_read_figures_and_one_read_serves_all() {
    let (pipeline, asked) = prometheus().await;
    let gateway = watched(pipeline);
    let user = gateway.user("ada@example.org").await;
    assert_problem(&gateway.get(PATH, None).await, 401, "unauthorized");
    assert_problem(&gateway.get(PATH, Some(&user)).await, 403, "forbidden");

    for _ in 0..5 {
        let response = gateway.get(PATH, Some(&gateway.admin())).await;
        assert_eq!(header(&response, "cache-control"), "no-store");
        let figures = json(&response);
        assert_eq!(
            (&figures["lag_records"], &figures["parked_records"]),
            (&json!(12.0), &json!(null))
        );
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn without_prometheus_the_problem_says_what_to_set() {
    let gateway = gateway();
    let response = gateway.get(PATH, Some(&gateway.admin())).await;
    assert_problem(&response, 503, "unavailable");
    let detail = json(&response)["detail"].to_string();
    assert!(detail.contains("MILLRACE_PROMETHEUS_URL"), "{detail}");
}

/// The names and data of the pipeline's events in a stream that ends after the first answer.
async fn streamed(gateway: &Gateway, asked: &AtomicUsize) -> Vec<Value> {
    let admin = gateway.admin();
    let end = async {
        while asked.load(Ordering::Relaxed) == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        // The answer is handed to the client before the stream ends.
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        gateway.state.drain();
    };
    let (response, ()) = tokio::join!(gateway.get(STREAM, Some(&admin)), end);
    let figures = events(&response).into_iter().filter(|(name, _)| name == "pipeline");
    figures.map(|(_, data)| data).collect()
}

#[tokio::test]
async fn figures_are_events_of_the_stream_of_statistics() {
    let (pipeline, asked) = prometheus().await;
    let figures = streamed(&watched(pipeline), &asked).await;
    assert_eq!(figures.len(), 1);
    assert_eq!(figures[0]["lag_records"], json!(12.0));
}

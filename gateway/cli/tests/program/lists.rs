//! What is only read: lists, page by page, and the status.

use serde_json::{Value, json};

use crate::{gateway::Reply, logged_in, parked, problem, shop};

#[test]
fn list_is_read_page_by_page_up_to_the_limit_and_shows_nothing_that_a_terminal_interprets() {
    let gateway = shop(|seen| {
        let page: usize =
            seen.parameter("cursor").map_or(0, |cursor| cursor.parse().expect("mine"));
        let limit: usize = seen.parameter("limit").expect("a limit").parse().expect("a number");
        let items: Vec<_> = (0..limit).map(|row| parked(&format!("o-{page}-{row}"))).collect();
        Reply::json(200, &json!({ "items": items, "next": (page + 1).to_string() }))
    });
    let home = logged_in(&gateway);
    let before = gateway.seen().len();
    let shown = home.run(&["parked", "list", "--limit", "250"]).code(0);
    assert_eq!(gateway.seen().len(), before + 3);
    assert_eq!(shown.out.lines().count(), 251, "{}", shown.out);
    assert!(shown.out.contains(r"malformed \u{1b}[2J\u{9b}31m") && shown.out.contains("o-2-49"));
    assert!(shown.err.contains("--cursor '3'"), "{}", shown.err);
    assert!(!shown.out.contains(['\u{1b}', '\u{9b}']));

    let document = home.run(&["--json", "parked", "list", "--limit", "1"]).code(0);
    assert!(!document.out.contains(['\u{1b}', '\u{9b}']), "{}", document.out);
    assert_eq!(document.json(), json!({ "items": [parked("o-0-0")], "next": "1" }));
}

#[test]
fn status_is_shown_also_without_the_pipelines_figures() {
    let gateway = shop(|seen| match &*seen.path {
        "/readyz" => Reply::json(200, &json!({ "status": "ready" })),
        "/v1/pipeline" => problem(503, "unavailable", "Prometheus does not answer."),
        "/v1/operations/parked" => {
            Reply::json(200, &json!({ "items": [parked("o-1")], "next": null }))
        }
        _ => Reply::json(200, &json!({ "items": [], "next": null })),
    });
    let home = logged_in(&gateway);
    let status = home.run(&["--json", "status"]).code(0);
    assert!(status.err.contains("Prometheus does not answer."), "{status:?}");
    let status = status.json();
    assert_eq!((&status["gateway"], &status["pipeline"]), (&json!("ready"), &Value::Null));
    assert_eq!(status["parked_keys"], json!({ "count": 1, "is_cut": false }));
    assert_eq!(status["dead_letters"]["count"], 0);
}

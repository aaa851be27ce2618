//! Conditions (RFC 9110, section 13) of requests that are about no representation: the desk's
//! commands and their dry runs, and sessions.

use std::collections::BTreeSet;

use gateway::routes::ROUTES;

use super::*;

/// A request that succeeds: method, path, access token and body.
type Request = (&'static str, String, Option<String>, Value);

/// A desk, and one request for each route whose target has no representation, and for each dry run.
async fn requests() -> (Desk, Vec<Request>) {
    let desk = Desk::open();
    desk.bury();
    desk.park(1);
    desk.world().inner().desk.parked.push(parked("tea"));
    desk.world().inner().desk.records = vec![record(5, Some("broken"), json!({}))];
    let ada = desk.gateway.user("ada@example.org").await;
    let log_in = json!({ "email": "ada@example.org", "password": "correct horse" });
    let tokens = json(&desk.gateway.command("POST", "/v1/sessions", None, log_in.clone()).await);
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    let dry = |path: &str| format!("{path}?dry_run=true");
    let post = |(path, body): (String, Value)| ("POST", path, Some(desk.admin.clone()), body);
    let mut all: Vec<Request> = [
        (RETRY.into(), key_and_reason()),
        (DROP.into(), key_and_reason()),
        (EDIT.into(), edit()),
        (dry(EDIT), edit()),
        (RETRY_ALL.into(), of_one_error()),
        (dry(RETRY_ALL), of_one_error()),
        (DROP_ALL.into(), of_one_error()),
        (dry(DROP_ALL), of_one_error()),
        (REVEAL.into(), letter_and_reason("why")),
        (RESEND.into(), letter_and_reason("why")),
    ]
    .map(post)
    .into();
    all.extend([
        ("POST", "/v1/sessions".into(), None, log_in),
        ("POST", "/v1/sessions/refresh".into(), None, refresh),
        ("DELETE", "/v1/sessions/current".into(), Some(ada), json!({})),
    ]);
    (desk, all)
}

/// The writes of the table that compare their conditions with an aggregate, or with that nothing
/// exists yet, as the API describes them.
fn is_conditional(method: &str, path: &str) -> bool {
    let document: Value = serde_json::from_str(include_str!("../../../openapi.json")).unwrap();
    let operation = &document["paths"][path][method.to_lowercase()];
    let if_match = json!({ "$ref": "#/components/parameters/IfMatch" });
    let parameters = operation["parameters"].as_array();
    operation["responses"]["201"].is_object() || parameters.is_some_and(|it| it.contains(&if_match))
}

#[tokio::test]
async fn request_about_no_representation_meets_no_if_match_and_every_if_none_match() {
    let (desk, requests) = requests().await;
    let route =
        |(method, path, ..): &Request| (*method, path.split('?').next().unwrap().to_owned());
    let tried: BTreeSet<_> = requests.iter().map(route).collect();
    let writes = ROUTES.iter().filter(|it| it.method != "GET");
    let others = writes.filter(|it| !is_conditional(it.method, it.path));
    assert_eq!(tried, others.map(|it| (it.method, it.path.to_owned())).collect());
    let unmet = [("if-match", "*"), ("if-match", "\"1-x\"")];
    let met = [("if-none-match", "*"), ("if-none-match", "\"1-x\"")];
    for (method, path, token, body) in requests {
        let send = |token: Option<&str>, (name, condition): (&'static str, &'static str)| {
            let request = with(token, request(method, &path)).header(name, condition);
            desk.gateway.send(request.header("prefer", "wait=5").json(&body))
        };
        let before = desk.world().written();
        for condition in unmet {
            let refused = send(token.as_deref(), condition).await;
            assert_eq!(refused.status(), 412, "{path}: {:?}", refused.body());
            assert_problem(&refused, 412, "version_mismatch");
            if token.is_some() {
                // A request that fails without its conditions fails in the same way with them.
                assert_problem(&send(None, condition).await, 401, "unauthorized");
            }
        }
        assert_eq!(desk.world().written(), before, "{method} {path}");
        for condition in met {
            let done = send(token.as_deref(), condition).await;
            assert!(done.status().is_success(), "{method} {path}: {:?}", done.body());
            assert_ne!(done.status(), 202, "{method} {path}");
        }
        let is_dry_run = path.contains('?');
        assert_eq!(desk.world().written() == before, is_dry_run, "{method} {path}");
    }
}

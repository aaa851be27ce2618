//! Every failure is a problem; health and metrics; security headers.

use gateway::routes::ROUTES;
use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn unknown_path_is_404_and_unknown_method_405() {
    let gateway = gateway();
    for path in ["/nowhere", "/v1", "/v1/users/1", "/v1/orders/1/2/3", "/v1/products//"] {
        assert_problem(&gateway.get(path, None).await, 404, "not_found");
    }
    for (method, path, allowed) in [
        ("PUT", "/v1/users", "POST"),
        ("POST", "/v1/users/me", "GET, PATCH, DELETE"),
        ("DELETE", "/v1/products/rye", "GET"),
        ("POST", "/livez", "GET"),
        ("OPTIONS", "/", "GET"),
    ] {
        let response = gateway.send(request(method, path)).await;
        assert_problem(&response, 405, "method_not_allowed");
        assert_eq!(header(&response, "allow"), allowed);
    }
}

#[tokio::test]
async fn body_of_another_shape_gets_the_expected_one() {
    let gateway = gateway();
    let send = |kind: &'static str, body: String| {
        gateway.send(request("POST", "/v1/sessions").header("content-type", kind).body(body))
    };
    assert_problem(&send("text/plain", "{}".into()).await, 415, "unsupported_media_type");
    for body in [
        "",
        "{",
        "[]",
        "{}",
        r#"{"email": 1, "password": "x"}"#,
        r#"{"email": "a", "password": "x", "y": 1}"#,
    ] {
        let response = send("application/json; charset=utf-8", body.into()).await;
        assert_problem(&response, 400, "invalid_body");
        assert_eq!(json(&response)["expected"], r#"{"email": string, "password": string}"#);
    }
    let large = format!("\"{}\"", "x".repeat(64 * 1024));
    assert_problem(&send("application/json", large).await, 413, "too_large");
}

#[tokio::test]
async fn problem_never_repeats_a_password_of_the_body() {
    let gateway = gateway();
    for (password, secret) in [
        (json!(["correct horse"]), "correct horse"),
        (json!(12_345_678), "12345678"),
        (json!(1.5), "1.5"),
        (json!({ "correct horse": 1 }), "correct horse"),
    ] {
        let body = json!({ "email": "ada@example.org", "password": password });
        let response = gateway.send(request("POST", "/v1/sessions").json(&body)).await;
        assert_problem(&response, 400, "invalid_body");
        let problem = json(&response).to_string();
        assert!(!problem.contains(secret) && problem.contains("expected a string"), "{problem}");
    }
    let body = json!({ "email": "ada@example.org", "passwort": "correct horse" });
    let response = gateway.send(request("POST", "/v1/sessions").json(&body)).await;
    let problem = json(&response).to_string();
    assert!(problem.contains("unknown field `passwort`"), "{problem}");
}

#[tokio::test]
async fn list_returns_at_most_its_limit() {
    let gateway = gateway();
    gateway.product("a").await;
    gateway.product("b").await;
    let page = json(&gateway.get("/v1/products?limit=1", None).await);
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    assert_eq!(json(&gateway.get("/v1/products?cursor=a", None).await)["items"][0]["sku"], "b");
    for query in ["limit=0", "limit=101", "limit=x", "limit=1&limit=2", "cursor=%zz"] {
        assert_problem(
            &gateway.get(&format!("/v1/products?{query}"), None).await,
            400,
            "invalid_request",
        );
    }
}

#[tokio::test]
async fn cursor_of_no_page_is_400() {
    let gateway = gateway();
    let token = gateway.user("ada@example.org").await;
    for (path, wrong) in [
        ("/v1/products", ["", "a%20b", "a/b"]),
        ("/v1/orders", ["", "1700000000000", "1700000000000_x"]),
        ("/v1/notifications", ["", "1700000000000", "1700000000000_x"]),
    ] {
        for wrong in wrong {
            let response = gateway.get(&format!("{path}?cursor={wrong}"), Some(&token)).await;
            assert_problem(&response, 400, "invalid_request");
            assert_eq!(json(&response)["field"], "cursor");
        }
    }
    let given = "1700000000000_c0ffee00-0000-4000-8000-000000000000";
    for path in ["/v1/orders", "/v1/notifications"] {
        let response = gateway.get(&format!("{path}?cursor={given}"), Some(&token)).await;
        assert_eq!(response.status(), 200, "{path}");
    }
}

#[tokio::test]
async fn write_refuses_parameters_that_it_would_ignore() {
    let gateway = gateway();
    let admin = gateway.admin();
    let document: serde_json::Value =
        serde_json::from_str(include_str!("../../openapi.json")).unwrap();
    let mut with_dry_run = Vec::new();
    for route in ROUTES.iter().filter(|route| route.method != "GET") {
        let path = route.path.replace("{id}", "c0ffee00-0000-4000-8000-000000000000");
        let refused = async |name: &str| {
            let request = request(route.method, &format!("{path}?{name}=true"));
            let response = gateway.send(with(Some(&admin), request)).await;
            let is_field = || json(&response)["field"] == name;
            let is_refused = response.status() == 400 && is_field();
            if is_refused {
                assert_problem(&response, 400, "invalid_request");
                let detail = json(&response)["detail"].to_string();
                assert!(detail.contains("expected no"), "{detail}");
            }
            is_refused
        };
        let method = route.method.to_lowercase();
        let documented = &document["paths"][route.path][method]["parameters"];
        let documented = documented.as_array().cloned().unwrap_or_default();
        let is_documented = documented.iter().any(|it| it["name"] == "dry_run");
        assert!(refused("dryrun").await, "{} {path}", route.method);
        assert_eq!(refused("dry_run").await, !is_documented, "{} {path}", route.method);
        if is_documented {
            with_dry_run.push(route.path);
        }
    }
    let expected =
        ["edit", "retry-all", "drop-all"].map(|it| format!("/v1/operations/parked:{it}"));
    assert_eq!(with_dry_run, expected);
    assert_eq!(gateway.world.written(), 0);
}

#[tokio::test]
async fn read_without_its_store_is_503() {
    let gateway = gateway();
    gateway.world.inner().stores_down = true;
    let response = gateway.get("/v1/products", None).await;
    assert_problem(&response, 503, "unavailable");
    assert_eq!(header(&response, "retry-after"), "1");
}

#[tokio::test]
async fn public_readiness_names_no_cause() {
    let gateway = gateway();
    assert_eq!(gateway.get("/livez", None).await.status(), 200);
    assert_eq!(json(&gateway.get("/readyz", None).await), json!({ "status": "ready" }));
    gateway.world.inner().stores_down = true;
    let response = gateway.get("/readyz", None).await;
    assert_problem(&response, 503, "unavailable");
    assert!(!json(&response).to_string().contains("10.0.0.7"));
    gateway.world.inner().stores_down = false;
    gateway.state.drain();
    assert_eq!(gateway.get("/readyz", None).await.status(), 503);
    assert_eq!(gateway.get("/livez", None).await.status(), 200);
}

#[tokio::test]
async fn internal_listener_serves_causes_and_metrics() {
    let gateway = gateway();
    let registry = prometheus::Registry::new();
    let metrics = gateway::metrics::Metrics::new(&registry).unwrap();
    metrics.rate_limited.inc();
    let internal = gateway::routes::internal(&gateway.state, registry);
    gateway.world.inner().stores_down = true;

    let ready = request("GET", "/readyz").reply(&internal).await;
    assert_eq!(ready.status(), 503);
    assert_eq!(json(&ready)["parts"], json!({ "broker": "ok", "postgres": "down at 10.0.0.7" }));
    let metrics = request("GET", "/metrics").reply(&internal).await;
    assert!(
        String::from_utf8_lossy(metrics.body()).contains("millrace_gateway_rate_limited_total 1")
    );
    assert_problem(&gateway.get("/metrics", None).await, 404, "not_found");
    for (path, status, code) in
        [("/metrics", 405, "method_not_allowed"), ("/nowhere", 404, "not_found")]
    {
        let response = request("POST", path).reply(&internal).await;
        assert_problem(&response, status, code);
        assert_eq!(header(&response, "allow"), if status == 405 { "GET" } else { "" });
    }
}

#[tokio::test]
async fn every_response_has_security_headers() {
    let gateway = gateway();
    for path in ["/v1/products", "/nowhere", "/"] {
        let response = gateway.get(path, None).await;
        assert_eq!(header(&response, "x-content-type-options"), "nosniff");
        assert_eq!(header(&response, "x-frame-options"), "DENY");
        let policy = header(&response, "content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"));
    }
}

#[tokio::test]
async fn requests_are_counted_by_template_not_by_the_clients_text() {
    let gateway = gateway();
    gateway.get("/v1/products/rye", None).await;
    gateway.send(request("BREW", "/v1/products/rye")).await;
    gateway.get("/nowhere/1", None).await;
    let requests = &gateway.state.metrics.requests;
    assert_eq!(requests.with_label_values(&["/v1/products/{sku}", "GET", "404"]).get(), 1);
    assert_eq!(requests.with_label_values(&["/v1/products/{sku}", "other", "405"]).get(), 1);
    assert_eq!(requests.with_label_values(&["unknown", "other", "404"]).get(), 1);
}

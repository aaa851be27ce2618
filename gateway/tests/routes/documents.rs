//! What is checked in is what is served: the OpenAPI document, the page, and what the balancer says
//! of the routes.

use gateway::routes::TABLE;
use serde_json::{Value, json};

use crate::support::*;

fn document() -> Value {
    serde_json::from_str(include_str!("../../openapi.json")).expect("JSON")
}

#[test]
fn the_document_names_exactly_the_routes() {
    let document = document();
    let mut described = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("methods").keys().filter(|name| *name != "parameters")
        {
            described.push(format!("{} {path}", method.to_uppercase()));
        }
    }
    let mut served: Vec<_> = TABLE
        .iter()
        .flat_map(|(path, methods)| methods.iter().map(move |method| format!("{method} {path}")))
        .collect();
    described.sort();
    served.sort();
    assert_eq!(described, served);
}

#[test]
fn the_balancer_allows_the_methods_of_each_route() {
    let template = include_str!("../../nginx.conf.template");
    let (_, map) = template.split_once("map $request_uri $route_methods {\n").expect("the map");
    let (map, _) = map.split_once("    #").expect("the map's default");
    let line = |(path, methods): &(&str, &[&str])| {
        let path = path.replace('.', r"\.").replace("{sku}", "[^/?]+").replace("{id}", "[^/?]+");
        format!("    ~^{path}(\\?|$) '{}';\n", methods.join(", "))
    };
    assert_eq!(map, TABLE.iter().map(line).collect::<String>());
}

#[tokio::test]
async fn every_route_of_the_table_is_served() {
    let gateway = gateway();
    for (template, methods) in TABLE {
        let path = template
            .replace("{sku}", "rye")
            .replace("{id}", "c0ffee00-0000-4000-8000-000000000000");
        for method in *methods {
            let response = gateway.send(request(method, &path)).await;
            let code = serde_json::from_slice::<Value>(response.body()).unwrap_or_default()["code"]
                .clone();
            assert_ne!(response.status(), 405, "{method} {path}");
            // The thing may not be there; the route is.
            let missing = ["/v1/products/{sku}", "/v1/commands/{id}"].contains(template);
            assert!(missing || code != "not_found", "{method} {path}");
        }
    }
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    fn walk<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|value| walk(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let document = document();
    let mut references = Vec::new();
    walk(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("a local reference");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn every_operation_is_described_with_its_failures() {
    for (path, item) in document()["paths"].as_object().expect("paths") {
        for (method, operation) in
            item.as_object().expect("methods").iter().filter(|(name, _)| *name != "parameters")
        {
            let at = format!("{method} {path}");
            assert!(
                operation["summary"].is_string() && operation["operationId"].is_string(),
                "{at}"
            );
            let responses = operation["responses"].as_object().expect("responses");
            assert!(responses.keys().any(|status| status.starts_with('2')), "{at}");
            assert!(!path.starts_with("/v1") || responses.contains_key("429"), "{at}");
            assert_eq!(path.contains('{'), item["parameters"].is_array(), "{at}");
        }
    }
}

#[test]
fn what_an_operation_takes_tells_how_it_can_fail() {
    let document = document();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("methods") {
            let takes = |parameter: &str| {
                let reference = json!({ "$ref": format!("#/components/parameters/{parameter}") });
                operation["parameters"].as_array().is_some_and(|all| all.contains(&reference))
            };
            for (so, statuses) in [
                (method != "get" && method != "parameters", "500 503"),
                (takes("Prefer") && method != "get", "202"),
                (takes("IdempotencyKey"), "400 409 422"),
                (takes("IfMatch"), "412"),
                (takes("ReadAfter") || takes("Limit") || takes("Cursor"), "400 503"),
                (operation["requestBody"].is_object(), "400 408 413 415"),
                (operation["security"].is_array(), "401"),
            ] {
                for status in statuses.split(' ').filter(|_| so) {
                    assert!(
                        operation["responses"][status].is_object(),
                        "{method} {path}: {status}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn what_logging_out_answers_is_in_the_document() {
    let gateway = gateway();
    let token = gateway.someone("ada@example.org").await;
    let described = &document()["paths"]["/v1/sessions/current"]["delete"]["responses"];
    let log_out = || with(Some(&token), request("DELETE", "/v1/sessions/current"));
    let mut statuses =
        vec![gateway.send(log_out().header("idempotency-key", "no key")).await.status()];
    statuses.push(gateway.send(request("DELETE", "/v1/sessions/current")).await.status());
    for answer in [Answer::Refuse("not_found"), Answer::Fail, Answer::Unwritten] {
        gateway.world.answers(answer);
        statuses.push(gateway.send(log_out()).await.status());
    }
    assert_eq!(statuses, [204, 401, 204, 500, 503]);
    for status in statuses {
        assert!(described[status.as_str()].is_object(), "{status}");
    }
}

#[tokio::test]
async fn documents_are_served() {
    let gateway = gateway();
    assert_eq!(json(&gateway.get("/openapi.json", None).await), document());
    let keys = json(&gateway.get("/.well-known/jwks.json", None).await);
    assert_eq!((&keys["keys"][0]["kty"], &keys["keys"][0]["kid"]), (&json!("OKP"), &json!("1")));
    assert!(keys["keys"][0]["d"].is_null());
}

#[tokio::test]
async fn the_page_needs_nothing_from_elsewhere_and_runs_only_its_own_script() {
    let gateway = gateway();
    let response = gateway.get("/", None).await;
    let page = String::from_utf8_lossy(response.body()).into_owned();
    assert!(header(&response, "content-type").starts_with("text/html"));
    for foreign in ["src=", "href=\"http", "@import", " style=", " onclick", "innerHTML", "eval("] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert_eq!((page.matches("<script>").count(), page.matches("<style>").count()), (1, 1));
    assert_eq!(header(&response, "content-security-policy").matches("sha256-").count(), 2);
}

//! The OpenAPI document and the load balancer's list of methods agree with the table of routes, and
//! the gateway serves the documents and the page.

use std::collections::BTreeSet;

use gateway::routes::{ROUTES, Route};
use redpanda::topics;
use serde_json::{Value, json};

use crate::support::*;

/// An operation of the OpenAPI document.
struct Operation {
    method: String,
    path: String,
    /// The parameters of its path.
    path_parameters: BTreeSet<String>,
    content: Value,
}

impl Operation {
    /// The operation's statuses.
    fn responses(&self) -> &Value {
        &self.content["responses"]
    }

    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// A path that this operation takes.
    fn example_path(&self) -> String {
        example(&self.path)
    }
}

fn example(template: &str) -> String {
    template.replace("{sku}", "rye").replace("{id}", "c0ffee00-0000-4000-8000-000000000000")
}

fn document() -> Value {
    serde_json::from_str(include_str!("../../openapi.json")).expect("JSON")
}

fn operations() -> Vec<Operation> {
    let document = document();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        let parameters = item["parameters"].as_array().cloned().unwrap_or_default();
        let names = parameters.iter().filter(|parameter| parameter["in"] == "path");
        let path_parameters: BTreeSet<_> =
            names.map(|parameter| parameter["name"].as_str().expect("a name").to_owned()).collect();
        for (method, content) in item.as_object().expect("methods") {
            if method != "parameters" {
                operations.push(Operation {
                    method: method.to_uppercase(),
                    path: path.clone(),
                    path_parameters: path_parameters.clone(),
                    content: content.clone(),
                });
            }
        }
    }
    operations
}

fn operation(route: &Route) -> Operation {
    let same = |it: &Operation| it.method == route.method && it.path == route.path;
    let missing = || panic!("openapi.json lacks {} {}", route.method, route.path);
    operations().into_iter().find(same).unwrap_or_else(missing)
}

#[test]
fn document_describes_every_route_and_no_other() {
    let described: BTreeSet<_> = operations().iter().map(Operation::name).collect();
    let served: BTreeSet<_> =
        ROUTES.iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    assert_eq!(described, served);
}

#[test]
fn document_describes_what_the_table_says_of_each_route() {
    for route in ROUTES {
        let described = operation(route);
        let variables: BTreeSet<_> = route
            .path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .map(str::to_owned)
            .collect();
        assert_eq!(described.path_parameters, variables, "{}", described.name());
        let is_limited = described.responses()["429"].is_object();
        assert_eq!(is_limited, route.is_limited, "{}", described.name());
        // A request that is limited may find no slot.
        let sheds = described.responses()["503"].is_object();
        assert!(sheds || !route.is_limited, "{}", described.name());
    }
}

#[test]
fn routes_of_one_path_follow_each_other_and_differ() {
    let by_path: Vec<_> = ROUTES.chunk_by(|a, b| a.path == b.path).collect();
    let paths: BTreeSet<_> = by_path.iter().map(|routes| routes[0].path).collect();
    assert_eq!(paths.len(), by_path.len(), "the routes of one path must follow each other");
    for routes in by_path {
        let methods: BTreeSet<_> = routes.iter().map(|route| route.method).collect();
        assert_eq!(methods.len(), routes.len(), "{}", routes[0].path);
    }
}

#[test]
fn document_names_every_topic_of_which_records_may_be_parked() {
    let schema = document()["components"]["schemas"]["ParkedTopic"].clone();
    let named: BTreeSet<String> = serde_json::from_value(schema["enum"].clone()).expect("names");
    let is_parked = |name: &&str| topics::all().dead(name).is_some();
    let names = topics::all().iter().map(|topic| topic.name.as_str()).filter(is_parked);
    let expected: BTreeSet<String> = names.map(str::to_owned).collect();
    assert_eq!(named, expected, "left: ParkedTopic in openapi.json; right: topics.yaml");
}

#[test]
fn load_balancer_lists_the_methods_of_each_path() {
    let template = include_str!("../../nginx.conf.template");
    let (_, map) = template.split_once("map $request_uri $route_methods {\n").expect("the map");
    let (map, _) = map.split_once("    #").expect("the map's default");
    let line = |routes: &[Route]| {
        let path = routes[0].path.replace('.', r"\.");
        let path = path.replace("{sku}", "[^/?]+").replace("{id}", "[^/?]+");
        let methods: Vec<_> = routes.iter().map(|route| route.method).collect();
        format!("    ~^{path}(\\?|$) '{}';\n", methods.join(", "))
    };
    let expected: String = ROUTES.chunk_by(|a, b| a.path == b.path).map(line).collect();
    assert!(map == expected, "the map in nginx.conf.template must be:\n{expected}");
}

#[tokio::test]
async fn every_route_is_served() {
    let gateway = gateway();
    for route in ROUTES {
        let (method, path) = (route.method, example(route.path));
        let response = gateway.send(request(method, &path)).await;
        let code = serde_json::from_slice::<Value>(response.body()).unwrap_or_default();
        assert_ne!(response.status(), 405, "{method} {path}");
        // The resource may not exist; the route does.
        let may_be_missing = [
            "/v1/products/{sku}",
            "/v1/commands/{id}",
            "/v1/commands/{id}/trace",
            "/v1/records/{id}/trace",
            "/records/{id}",
        ]
        .contains(&route.path);
        assert!(may_be_missing || code["code"] != "not_found", "{method} {path}");
    }
}

#[tokio::test]
async fn operation_needs_a_token_exactly_when_the_document_says_so() {
    let gateway = gateway();
    for operation in operations() {
        let security = operation.content["security"].as_array().cloned().unwrap_or_default();
        let needs_token = !security.is_empty() && !security.contains(&json!({}));
        let send = |token| {
            let path = operation.example_path();
            gateway.send(with(token, request(&operation.method, &path)))
        };
        let without = send(None).await;
        let name = operation.name();
        if needs_token {
            assert_problem(&without, 401, "unauthorized");
            assert_problem(&send(Some("a.b.c")).await, 401, "invalid_token");
        } else {
            assert_ne!(without.status(), 401, "{name}");
        }
    }
}

#[test]
fn every_reference_of_the_document_resolves() {
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
fn every_operation_has_a_summary_an_id_and_a_success() {
    for operation in operations() {
        let (name, content) = (operation.name(), &operation.content);
        assert!(content["summary"].is_string() && content["operationId"].is_string(), "{name}");
        let responses = operation.responses().as_object().expect("responses");
        assert!(responses.keys().any(|status| status.starts_with('2')), "{name}");
        assert!(!operation.path.starts_with("/v1") || responses.contains_key("429"), "{name}");
    }
}

#[test]
fn operation_describes_the_failures_of_what_it_takes() {
    for operation in operations() {
        let takes = |parameter: &str| {
            let reference = json!({ "$ref": format!("#/components/parameters/{parameter}") });
            operation.content["parameters"].as_array().is_some_and(|all| all.contains(&reference))
        };
        let is_read = operation.method == "GET";
        for (applies, statuses) in [
            (!is_read, "412 500 503"),
            (takes("Prefer") && !is_read, "202"),
            (takes("IdempotencyKey"), "400 409 422"),
            (takes("IfMatch"), "412"),
            (takes("ReadAfter") || takes("Limit") || takes("Cursor"), "400 503"),
            (operation.content["requestBody"].is_object(), "400 408 413 415"),
            (operation.content["security"].is_array(), "401"),
        ] {
            for status in statuses.split(' ').filter(|_| applies) {
                let name = operation.name();
                assert!(operation.responses()[status].is_object(), "{name}: {status}");
            }
        }
    }
}

#[tokio::test]
async fn log_out_answers_only_with_described_statuses() {
    let gateway = gateway();
    let token = gateway.user("ada@example.org").await;
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
async fn each_page_is_one_response_and_runs_only_its_own_script() {
    let gateway = gateway();
    let trace = example("/commands/{id}");
    for path in ["/", "/dashboard", "/operations", &trace] {
        let response = gateway.get(path, None).await;
        let page = String::from_utf8_lossy(response.body()).into_owned();
        assert!(header(&response, "content-type").starts_with("text/html"));
        for foreign in
            ["src=", "href=\"http", "@import", " style=", " onclick", "innerHTML", "eval("]
        {
            assert!(!page.contains(foreign), "{path}: {foreign}");
        }
        assert_eq!((page.matches("<script>").count(), page.matches("<style>").count()), (1, 1));
        for part in [include_str!("../../page/logo.svg"), include_str!("../../page/log-in.html")] {
            assert_eq!(page.matches(part.trim_end()).count(), 1, "{path}: {part}");
        }
        assert_eq!(header(&response, "content-security-policy").matches("sha256-").count(), 2);
    }
}

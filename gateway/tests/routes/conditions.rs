//! Entity tags and conditions (RFC 9110, section 13), and what browsers may store.

use gateway::commands::Command;
use schemas::user;
use serde_json::json;
use warp::{http::Response, hyper::body::Bytes};

use crate::support::*;

fn tag(response: &Response<Bytes>) -> String {
    header(response, "etag").to_owned()
}

fn documented() -> serde_json::Value {
    serde_json::from_str(include_str!("../../openapi.json")).expect("JSON")
}

#[tokio::test]
async fn entity_tag_of_another_user_never_matches() {
    let gateway = gateway();
    let (ada, bob) = (gateway.user("ada@example.org").await, gateway.user("bob@example.org").await);
    let (hers, his) = (
        gateway.get("/v1/users/me", Some(&ada)).await,
        gateway.get("/v1/users/me", Some(&bob)).await,
    );
    assert_eq!(json(&hers)["version"], json(&his)["version"]);
    assert_ne!(tag(&hers), tag(&his));

    let me = |token: &str, known: &str| {
        with(Some(token), request("GET", "/v1/users/me")).header("if-none-match", known)
    };
    assert_eq!(gateway.send(me(&bob, &tag(&hers))).await.status(), 200);
    assert_eq!(gateway.send(me(&bob, &tag(&his))).await.status(), 304);
}

#[tokio::test]
async fn order_and_its_history_have_different_entity_tags() {
    let gateway = gateway();
    let ada = gateway.user("ada@example.org").await;
    let body = json!({ "lines": [{ "sku": "rye", "quantity": 1 }] });
    let placed = gateway.command("POST", "/v1/orders", Some(&ada), body).await;
    let path = header(&placed, "location").to_owned();
    let order = gateway.get(&path, Some(&ada)).await;
    assert_eq!(tag(&placed), tag(&order));
    assert_ne!(tag(&order), tag(&gateway.get(&format!("{path}/history"), Some(&ada)).await));
}

#[tokio::test]
async fn entity_tag_of_a_history_is_that_of_the_history_that_is_shown() {
    let gateway = gateway();
    let ada = gateway.user("ada@example.org").await;
    let body = json!({ "lines": [{ "sku": "rye", "quantity": 1 }] });
    let placed = gateway.command("POST", "/v1/orders", Some(&ada), body).await;
    let path = header(&placed, "location").to_owned();
    let cancelled = gateway.command("POST", &format!("{path}/cancel"), Some(&ada), json!({})).await;
    assert_eq!(cancelled.status(), 200);
    // given that the order was read before it was cancelled, and its history after that
    let id: uuid::Uuid = gateway.world.last().key.parse().expect("an id");
    gateway.world.inner().orders.get_mut(&id).expect("the order").version = 1;

    let history = gateway.get(&format!("{path}/history"), Some(&ada)).await;

    assert_eq!(json(&history)["items"].as_array().expect("a list").len(), 2);
    let expected = gateway.state.ids.entity_tag("order-history", &id.to_string(), 2);
    assert_eq!(tag(&history), expected);
}

#[tokio::test]
async fn response_that_needs_a_token_is_no_store() {
    let gateway = gateway();
    let ada = gateway.user("ada@example.org").await;
    let body = json!({ "lines": [{ "sku": "rye", "quantity": 1 }] });
    let order = header(&gateway.command("POST", "/v1/orders", Some(&ada), body).await, "location")
        .to_owned();
    let order = order.rsplit('/').next().unwrap().to_owned();
    let mut seen = 0;
    for (path, item) in documented()["paths"].as_object().expect("paths") {
        if !item["get"]["security"].is_array() {
            continue;
        }
        let response = gateway.get(&path.replace("{id}", &order), Some(&ada)).await;
        assert_eq!(header(&response, "cache-control"), "no-store", "{path}");
        let known = with(Some(&ada), request("GET", &path.replace("{id}", &order)));
        let response = gateway.send(known.header("if-none-match", "*")).await;
        assert_eq!(header(&response, "cache-control"), "no-store", "{path} {}", response.status());
        seen += 1;
    }
    assert!(seen >= 6, "the document names the routes that need a token: {seen}");
    gateway.product("rye").await;
    assert_eq!(
        header(&gateway.get("/v1/products/rye", Some(&ada)).await, "cache-control"),
        "no-cache"
    );
}

#[tokio::test]
async fn command_carries_the_version_of_its_if_match() {
    let gateway = gateway();
    let (ada, bob) = (gateway.user("ada@example.org").await, gateway.user("bob@example.org").await);
    let rename = |condition: &str| {
        with(Some(&ada), request("PATCH", "/v1/users/me"))
            .header("prefer", "wait=5")
            .header("if-match", condition)
            .json(&json!({ "name": "A." }))
    };
    let expected = || match gateway.world.last().command {
        Command::User(user::Command::ChangeName(command)) => command.expected_version,
        other => panic!("{other:?}"),
    };
    let first = tag(&gateway.get("/v1/users/me", Some(&ada)).await);
    let second = gateway.state.ids.entity_tag("user", &gateway.user_of(&ada).to_string(), 2);
    let bobs = tag(&gateway.get("/v1/users/me", Some(&bob)).await);

    // The aggregate compares a version that the read model does not hold yet.
    assert_eq!(gateway.send(rename(&second)).await.status(), 200);
    assert_eq!(expected(), Some(2));
    // Of several versions, the command carries the one that the read model holds.
    assert_eq!(gateway.send(rename(&format!("{first}, {second}, \"999\""))).await.status(), 200);
    assert_eq!(expected(), Some(2));
    assert_eq!(gateway.send(rename("*")).await.status(), 200);
    assert_eq!(expected(), None);
    let before = gateway.world.written();
    for wrong in [&bobs, &format!("W/{first}"), "\"1\"", "\"03\"", "1", "", first.trim_matches('"')]
    {
        assert_problem(&gateway.send(rename(wrong)).await, 412, "version_mismatch");
    }
    assert_eq!(gateway.world.written(), before);
    gateway.world.answers(Answer::Refuse("version_mismatch"));
    assert_problem(&gateway.send(rename(&first)).await, 412, "version_mismatch");
}

#[tokio::test]
async fn condition_of_a_command_without_a_version_is_compared_with_the_read_model() {
    let gateway = gateway();
    gateway.product("rye").await;
    let admin = gateway.admin();
    let receive = |name: &'static str, condition: &str| {
        with(Some(&admin), request("POST", "/v1/products/rye/stock"))
            .header("prefer", "wait=5")
            .header(name, condition)
            .json(&json!({ "quantity": 1 }))
    };
    let at = |version| gateway.state.ids.entity_tag("stock", "rye", version);
    assert_problem(&gateway.send(receive("if-match", &at(7))).await, 412, "version_mismatch");
    let either = format!("{}, {}", at(7), at(1));
    assert_eq!(gateway.send(receive("if-match", &either)).await.status(), 200);
    assert_problem(&gateway.send(receive("if-none-match", &at(2))).await, 412, "version_mismatch");
    assert_problem(&gateway.send(receive("if-none-match", "*")).await, 412, "version_mismatch");
    assert_eq!(gateway.send(receive("if-none-match", &at(1))).await.status(), 200);
}

#[tokio::test]
async fn creation_meets_no_if_match_and_if_none_match_any_only_once() {
    let gateway = gateway();
    let admin = gateway.admin();
    let add = |name: &'static str| {
        let body =
            json!({ "sku": "rye", "name": "Rye flour", "price_minor": 349, "currency": "EUR" });
        with(Some(&admin), request("POST", "/v1/products"))
            .header("prefer", "wait=5")
            .header(name, "*")
            .json(&body)
    };
    assert_problem(&gateway.send(add("if-match")).await, 412, "version_mismatch");
    assert_eq!(gateway.send(add("if-none-match")).await.status(), 201);
    assert_problem(&gateway.send(add("if-none-match")).await, 412, "version_mismatch");
}

#[tokio::test]
async fn condition_does_not_tell_whether_another_users_order_exists() {
    let gateway = gateway();
    let (ada, bob) = (gateway.user("ada@example.org").await, gateway.user("bob@example.org").await);
    let body = json!({ "lines": [{ "sku": "rye", "quantity": 1 }] });
    let placed = gateway.command("POST", "/v1/orders", Some(&ada), body).await;
    let cancel = |token: &str, path: &str| {
        with(Some(token), request("POST", &format!("{path}/cancel")))
            .header("prefer", "wait=5")
            .header("if-none-match", "*")
    };
    let path = header(&placed, "location").to_owned();
    assert_problem(&gateway.send(cancel(&ada, &path)).await, 412, "version_mismatch");
    // The condition is not looked at; the service decides that it is not his.
    gateway.world.answers(Answer::Refuse("not_found"));
    let hers = gateway.send(cancel(&bob, &path)).await;
    assert_problem(&hers, 404, "not_found");
}

#[tokio::test]
async fn repeat_is_answered_although_its_condition_fails_now() {
    let gateway = gateway();
    let ada = gateway.user("ada@example.org").await;
    let known = tag(&gateway.get("/v1/users/me", Some(&ada)).await);
    let rename = || {
        with(Some(&ada), request("PATCH", "/v1/users/me"))
            .header("prefer", "wait=5")
            .header("idempotency-key", "k-1")
            .header("if-match", &known)
            .json(&json!({ "name": "A." }))
    };
    let first = gateway.send(rename()).await;
    assert_eq!(first.status(), 200);
    assert_eq!(gateway.send(rename()).await.body(), first.body());
}

#[tokio::test]
async fn read_applies_if_match_and_if_none_match() {
    let gateway = gateway();
    gateway.product("rye").await;
    let known = tag(&gateway.get("/v1/products/rye", None).await);
    let read = |name: &'static str, condition: &str| {
        request("GET", "/v1/products/rye").header(name, condition)
    };

    let same = gateway.send(read("if-none-match", &format!("\"0\", W/{known}"))).await;
    assert_eq!((same.status().as_u16(), same.body().len()), (304, 0));
    assert_eq!((tag(&same), header(&same, "content-type")), (known.clone(), ""));
    assert_eq!(gateway.send(read("if-none-match", "\"1\"")).await.status(), 200);
    assert_eq!(gateway.send(read("if-match", &known)).await.status(), 200);
    assert_problem(&gateway.send(read("if-match", "\"1\"")).await, 412, "version_mismatch");
}

#[tokio::test]
async fn product_of_a_version_that_was_waited_for_is_not_read_from_a_store_that_is_behind() {
    let gateway = gateway();
    gateway.product("rye").await;
    let old = gateway.world.inner().products["rye"].clone();
    gateway.world.inner().hot.insert("rye".to_owned(), old);

    let path = "/v1/products/rye";
    let received = gateway
        .command("POST", &format!("{path}/stock"), Some(&gateway.admin()), json!({ "quantity": 7 }))
        .await;
    assert_eq!(received.status(), 200);
    assert_eq!(
        (&json(&received)["available"], &json(&received)["version"]),
        (&json!(7), &json!(2))
    );

    let read = gateway.send(request("GET", path).header("read-after", "stock/rye@2")).await;
    assert_eq!(header(&read, "read-after-satisfied"), "true");
    assert_eq!(
        (&json(&read)["available"], header(&read, "etag")),
        (&json!(7), header(&received, "etag"))
    );
    assert_eq!(json(&gateway.get(path, None).await)["available"], 0, "no version was asked for");
}

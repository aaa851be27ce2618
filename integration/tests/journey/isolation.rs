//! Isolation: resources of another user do not exist, and requests of admins are refused for
//! others.

use serde_json::{Value, json};

use crate::support::{Judge, SEEN_MAX, Send, eventually, system};

#[tokio::test]
#[ignore = "needs the stack"]
async fn resources_of_another_user_do_not_exist() {
    // Given Ada's order, its history, its notification and its command
    let system = system().await;
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 10).await;
    let (ada, bob) = (system.user("Ada").await, system.user("Bob").await);
    let taken = ada.client.place_order(&[(&sku, 1)]).answer().await;
    let command = taken.expect(202).header("location").expect("an address").to_owned();
    let order = eventually("accepted", SEEN_MAX, async || {
        let seen = ada.client.get(&command).answer().await;
        seen.body["links"]["result"]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| seen.body.to_string())
    })
    .await;
    let notification = eventually("a notification of the order", SEEN_MAX, async || {
        let inbox = ada.client.get("/v1/notifications").answer().await;
        let about = |one: &&Value| one["order_id"].as_str().is_some_and(|id| order.ends_with(id));
        let id =
            inbox.items().iter().find(about).and_then(|one| one["id"].as_str()).map(str::to_owned);
        id.ok_or_else(|| inbox.body.to_string())
    })
    .await;

    // When Bob asks for any of it, there is nothing; nor for someone without a name
    for path in [&command, &order, &format!("{order}/history")] {
        ada.client.get(path).answer().await.expect(200);
        bob.client.get(path).answer().await.problem(404, "not_found");
        system.visitor().get(path).answer().await.expect_one_of(&[401, 404]);
    }
    let cancel = bob.client.post(&format!("{order}/cancel"), &json!({})).wait(5).answer().await;
    cancel.problem(404, "not_found");
    let read = bob
        .client
        .post(&format!("/v1/notifications/{notification}/read"), &json!({}))
        .wait(5)
        .answer()
        .await;
    read.problem(404, "not_found");

    // And his own lists do not contain it
    let listed = bob.client.get("/v1/orders").answer().await;
    assert_eq!(0, listed.expect(200).items().len(), "{}", listed.body);
    let inbox = bob.client.get("/v1/notifications").answer().await;
    let id = order.rsplit('/').next().expect("an id");
    assert!(!inbox.expect(200).body.to_string().contains(id), "{}", inbox.body);

    // And Ada's resources have not changed
    let seen = ada.client.get(&order).answer().await;
    assert_eq!("confirmed", seen.string("status"));
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn products_need_an_admin_and_the_rest_needs_a_login() {
    let system = system().await;
    let ada = system.user("Ada").await;
    ada.client
        .add_product("anything", "Anything", 1)
        .wait(5)
        .answer()
        .await
        .problem(403, "forbidden");
    ada.client.receive_stock("anything", 1).wait(5).answer().await.problem(403, "forbidden");
    for path in ["/v1/users/me", "/v1/orders", "/v1/notifications", "/v1/stream"] {
        let answer = system.visitor().get(path).answer().await;
        answer.expect(401);
        assert!(answer.header("www-authenticate").is_some(), "{path}");
        system.visitor().with_token("e30.e30.e30").get(path).answer().await.expect(401);
    }
    // Public resources can be read.
    for path in
        ["/v1/products", "/livez", "/readyz", "/openapi.json", "/.well-known/jwks.json", "/"]
    {
        system.visitor().get(path).answer().await.expect(200);
    }
    // Metrics are not public.
    system.visitor().get("/metrics").answer().await.expect(404);
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn every_wrong_request_is_answered_by_a_problem() {
    let system = system().await;
    let ada = system.user("Ada").await;
    let is_problem = |answer: &integration::client::Answer| {
        assert_eq!(
            Some("application/problem+json"),
            answer.header("content-type"),
            "{}: {:?}",
            answer.what,
            answer
        );
        assert_eq!(
            Some(u64::from(answer.status)),
            answer.body["status"].as_u64(),
            "{}",
            answer.body
        );
    };
    let many: Vec<_> =
        (0..51).map(|n| json!({ "sku": format!("sku-{n}"), "quantity": 1 })).collect();
    for (body, status) in [
        ("{", 400),
        ("{}", 400),
        (r#"{"lines": []}"#, 400),
        (r#"{"lines": [{"sku": "a", "quantity": 0}]}"#, 400),
        (r#"{"lines": [{"sku": "a", "quantity": -1}]}"#, 400),
        (r#"{"lines": [{"sku": "a", "quantity": 1e30}]}"#, 400),
        (r#"{"lines": [{"sku": "a", "quantity": 1, "price_minor": 1}]}"#, 400),
        (&json!({ "lines": many }).to_string(), 400),
        (&format!(r#"{{"lines": "{}"}}"#, "x".repeat(70_000)), 413),
    ] {
        let answer =
            ada.client.request(reqwest::Method::POST, "/v1/orders").raw(body).answer().await;
        assert_eq!(status, answer.status, "{:.60}: {}", body, answer.body);
        is_problem(&answer);
    }
    let answer = ada.client.request(reqwest::Method::DELETE, "/v1/orders").answer().await;
    is_problem(answer.expect(405));
    assert!(answer.header("allow").is_some());
    is_problem(ada.client.get("/v1/nothing").answer().await.expect(404));
    is_problem(ada.client.get("/v1/orders/not-an-id").answer().await.expect(404));
}

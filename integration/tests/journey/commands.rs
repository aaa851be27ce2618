//! Commands over HTTP: pending ones, deduplication, idempotency keys and expected versions.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{Judge, PASSWORD, SEEN_MAX, Send, any, any_email, eventually, must, system};

#[tokio::test]
#[ignore = "needs the stack"]
async fn command_without_prefer_is_answered_202_and_its_status_ends_as_accepted() {
    // Given a user and something to order
    let system = system().await;
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 10).await;
    let (ada, bob) = (system.user("Ada").await, system.user("Bob").await);

    // When she orders without waiting
    let taken = ada.client.place_order(&[(&sku, 1)]).answer().await;

    // Then it is accepted, with the address of its status
    taken.expect(202);
    let location = taken.header("location").expect("an address").to_owned();
    assert!(location.starts_with("/v1/commands/"), "{location}");

    // And its status is pending at first, if not decided already, and accepted in the end, with a
    // link to the order
    let order = eventually("accepted", SEEN_MAX, async || {
        let command = ada.client.get(&location).answer().await;
        command.expect(200);
        match command.text("state") {
            Some("accepted") => {
                Ok(command.body["links"]["result"].as_str().expect("a link").to_owned())
            }
            Some("pending") => Err("pending".to_owned()),
            state => panic!("{state:?}: {}", command.body),
        }
    })
    .await;
    let order = eventually("the order", SEEN_MAX, async || {
        let order = ada.client.get(&order).answer().await;
        order.expect_code(200).cloned()
    })
    .await;
    assert_eq!("confirmed", order.string("status"));

    // And no other user can read it
    bob.client.get(&location).answer().await.problem(404, "not_found");
    system.visitor().get(&location).answer().await.expect_one_of(&[401, 404]);
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn ten_requests_at_once_under_one_key_make_one_order() {
    // Given a user and something to order
    let system = system().await;
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 100).await;
    let ada = system.user("Ada").await;
    let key = any();

    // When the same order is sent ten times at once under one key
    let send = |_| ada.client.place_order(&[(&sku, 3)]).key(&key).wait(10).answer();
    let answers = join_all((0..10).map(send)).await;

    // Then all answers name the same order
    let mut ids: Vec<_> =
        answers.iter().map(|answer| answer.expect(201).location_id().expect("an id")).collect();
    ids.dedup();
    assert_eq!(1, ids.len(), "{ids:?}");

    // And there is one order, of three pieces
    let listed = ada.client.get("/v1/orders").answer().await;
    assert_eq!(1, listed.items().len(), "{}", listed.body);
    let left = async || must(crate::orders::available(&ada.client, &sku).await == 97, "not 97");
    eventually("97 left", SEEN_MAX, left).await;

    // And later, too, the key returns the same order, and another request under it is refused
    let again = ada.client.place_order(&[(&sku, 3)]).key(&key).wait(10).answer().await;
    assert_eq!(ids[0], again.expect(201).location_id().expect("an id"));
    ada.client
        .place_order(&[(&sku, 4)])
        .key(&key)
        .wait(10)
        .answer()
        .await
        .problem(422, "idempotency_key_reused");
    let listed = ada.client.get("/v1/orders").answer().await;
    assert_eq!(1, listed.items().len(), "{}", listed.body);

    // And another user's key is another key
    let bob = system.user("Bob").await;
    let others = bob.client.place_order(&[(&sku, 1)]).key(&key).wait(10).answer().await;
    assert_ne!(ids[0], others.expect(201).location_id().expect("an id"));
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn refused_command_has_a_reason_and_a_repetition_has_the_same() {
    // Given a product without stock
    let system = system().await;
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 0).await;
    let ada = system.user("Ada").await;
    let key = any();

    // When it is ordered
    let refused = ada.client.place_order(&[(&sku, 1)]).key(&key).wait(10).answer().await;

    // Then the answer is the refusal, and so is the command's status
    refused.problem(409, "out_of_stock");
    let command = refused.body["links"]["self"].as_str().expect("a link").to_owned();
    let state = ada.client.get(&command).answer().await;
    assert_eq!(
        ("refused".to_owned(), "out_of_stock".to_owned()),
        (state.string("state"), state.string("code"))
    );

    // And a repetition is not decided again, even if there is stock now
    admin.receive_stock(&sku, 5).wait(10).answer().await.expect_one_of(&[200, 201]);
    ada.client
        .place_order(&[(&sku, 1)])
        .key(&key)
        .wait(10)
        .answer()
        .await
        .problem(409, "out_of_stock");
    ada.client.place_order(&[(&sku, 1)]).key(&any()).wait(10).answer().await.expect(201);
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn repeated_registration_is_the_same_user() {
    // Given a user who has registered and not got the answer
    let system = system().await;
    let (email, key) = (any_email("ada"), any());
    let register = |password: &str| {
        let visitor = system.visitor();
        let request = visitor.register(&email, password, "Ada").key(&key).wait(10);
        async move { request.answer().await }
    };
    register(PASSWORD).await.expect(201);

    // When the request is repeated, the user is registered once; with another password it is
    // another request
    register(PASSWORD).await.expect(201);
    register("another password").await.expect(422);
    system.log_in(&email, PASSWORD).await;

    // And without the key the address is taken
    let taken = system.visitor().register(&email, PASSWORD, "Ada").wait(10).answer().await;
    taken.problem(409, "address_taken");
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn command_with_a_stale_version_changes_nothing() {
    // Given an order whose version a client has read
    let system = system().await;
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 10).await;
    let ada = system.user("Ada").await;
    let id = ada.order(&[(&sku, 1)]).await;
    let order = ada.client.get(&format!("/v1/orders/{id}")).answer().await;
    let etag = order.expect(200).header("etag").expect("an ETag").to_owned();

    // When a client that has read another version cancels it
    let stale = ada.client.cancel_order(&id).header("if-match", "\"1\"").wait(5).answer().await;

    // Then nothing happens
    stale.problem(412, "version_mismatch");
    let order = ada.client.get(&format!("/v1/orders/{id}")).answer().await;
    assert_eq!("confirmed", order.string("status"));

    // When a client that has read this version cancels it, then it is cancelled
    ada.client.cancel_order(&id).header("if-match", &etag).wait(5).answer().await.expect(200);

    // And the same holds for a user's name
    let me = ada.client.get("/v1/users/me").answer().await;
    let etag = me.expect(200).header("etag").expect("an ETag").to_owned();
    let rename = |name: &str, version: &str| {
        let body = json!({ "name": name });
        ada.client
            .request(reqwest::Method::PATCH, "/v1/users/me")
            .json(&body)
            .header("if-match", version)
            .wait(5)
    };
    rename("Ada L.", &etag).answer().await.expect(200);
    rename("Ada M.", &etag).answer().await.problem(412, "version_mismatch");
    assert_eq!("Ada L.", ada.client.get("/v1/users/me").answer().await.string("name"));
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn list_can_be_read_after_a_version() {
    // Given an accepted order, and its outcome
    let system = system().await;
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 10).await;
    let ada = system.user("Ada").await;
    let taken = ada.client.place_order(&[(&sku, 1)]).answer().await;
    let location = taken.expect(202).header("location").expect("an address").to_owned();
    let aggregate = eventually("accepted", SEEN_MAX, async || {
        let command = ada.client.get(&location).answer().await;
        must(command.text("state") == Some("accepted"), &command.body)?;
        Ok(command.body["aggregate"].clone())
    })
    .await;

    // When the list is read after the version that the outcome names
    let version = aggregate["version"].as_i64().expect("a version");
    let id = aggregate["id"].as_str().expect("an id");
    let after = format!("order/{id}@{version}");
    let listed = ada.client.get("/v1/orders").header("read-after", &after).answer().await;

    // Then the order is in it
    assert_eq!(Some("true"), listed.expect(200).header("read-after-satisfied"));
    assert!(listed.items().iter().any(|order| order["id"].as_str() == Some(id)), "{}", listed.body);

    // And for a version that does not exist the answer waits, and then says that it is stale
    let after = format!("order/{id}@{}", version + 1000);
    let stale = ada.client.get("/v1/orders").header("read-after", &after).answer().await;
    assert_eq!(Some("false"), stale.expect(200).header("read-after-satisfied"));
    assert_eq!(Some(format!("order/{id}@{version}").as_str()), stale.header("read-after-held"));
}

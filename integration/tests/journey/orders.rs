//! Orders: confirmation, stock, history, notifications, cancellation and lists.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Judge, SEEN_MAX, Send, eventually, must, system};

/// The available pieces of a product.
pub(crate) async fn available(client: &integration::client::Client, sku: &str) -> i64 {
    let product = client.get(&format!("/v1/products/{sku}")).answer().await;
    product.expect(200);
    product.body["available"].as_i64().unwrap_or_else(|| panic!("no figure in {}", product.body))
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn order_is_confirmed_listed_notified_and_cancelled() {
    // Given a user, and ten pieces of a product for 3.49
    let system = system().await;
    let admin = system.admin().await;
    let sku = system.product(&admin, 349, 10).await;
    let ada = system.user("Ada").await;

    // When she orders three and waits
    let placed = ada.client.place_order(&[(&sku, 2), (&sku, 1)]).wait(5).answer().await;

    // Then it is confirmed at once, at the shop's price, with its lines merged
    placed.expect(201);
    let location = placed.header("location").expect("an address").to_owned();
    let id = placed.location_id().expect("an id").to_owned();
    assert_eq!(format!("/v1/orders/{id}"), location);
    assert!(placed.header("preference-applied").is_some_and(|applied| applied.starts_with("wait")));
    assert!(placed.header("etag").is_some());
    assert_eq!("confirmed", placed.string("status"));
    assert_eq!(
        (json!(1047), json!("EUR")),
        (placed.body["total_minor"].clone(), placed.body["currency"].clone())
    );
    assert_eq!(
        json!([{ "sku": sku, "quantity": 3, "unit_price_minor": 349 }]),
        placed.body["lines"]
    );

    // And the next request for the list contains it
    let listed = ada.client.get("/v1/orders").answer().await;
    listed.expect(200);
    assert_eq!(
        Some(id.as_str()),
        listed.items().first().and_then(|order| order["id"].as_str()),
        "{}",
        listed.body
    );
    println!("order answered in {:?}, listed in {:?}", placed.took, listed.took);

    // And seven pieces are available
    eventually("seven left", SEEN_MAX, async || {
        must(available(&ada.client, &sku).await == 7, "not seven")
    })
    .await;

    // And its history has both events
    let history = ada.client.get(&format!("{location}/history")).answer().await;
    history.expect(200);
    assert_eq!(
        vec!["OrderPlaced", "ReservationRecorded", "OrderConfirmed"],
        kinds(history.items())
    );

    // And she is notified
    let notified = async |kind: &str| {
        let inbox = ada.client.get("/v1/notifications").answer().await;
        let about = |one: &&Value| one["order_id"] == json!(id) && one["kind"] == json!(kind);
        inbox.items().iter().find(about).cloned().ok_or_else(|| inbox.body.to_string())
    };
    let notification =
        eventually("a notification", SEEN_MAX, async || notified("order_confirmed").await).await;
    assert_eq!(json!(false), notification["read"], "{notification}");
    let notification_id = notification["id"].as_str().expect("an id");
    ada.client
        .post(&format!("/v1/notifications/{notification_id}/read"), &json!({}))
        .wait(5)
        .answer()
        .await
        .expect(200);
    let read = notified("order_confirmed").await.expect("the notification");
    assert_eq!(json!(true), read["read"], "{read}");

    // When she cancels it
    let cancelled = ada.client.cancel_order(&id).wait(5).answer().await;

    // Then it is cancelled, all pieces are available again, and she is notified of that too
    cancelled.expect(200);
    let order = ada.client.get(&location).answer().await;
    assert_eq!("cancelled", order.string("status"));
    eventually("ten again", SEEN_MAX, async || {
        must(available(&ada.client, &sku).await == 10, "not ten")
    })
    .await;
    eventually("a notification of it", SEEN_MAX, async || notified("order_cancelled").await).await;
    let history = ada.client.get(&format!("{location}/history")).answer().await;
    assert_eq!(Some("OrderCancelled"), kinds(history.items()).last().copied());
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| {
            event["type"].as_str().unwrap_or_default().rsplit('.').next().unwrap_or_default()
        })
        .collect()
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn fifty_orders_race_for_ten_pieces() {
    // Given ten pieces of a product
    let system = system().await;
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 10).await;
    let ada = system.user("Ada").await;

    // When fifty orders of one piece are placed at once
    let placed =
        join_all((0..50).map(|_| ada.client.place_order(&[(&sku, 1)]).wait(20).answer())).await;

    // Then ten are confirmed, forty are refused, and no piece is left
    let confirmed = placed.iter().filter(|answer| answer.status == 201).count();
    let refused = placed.iter().filter(|answer| answer.status == 409).count();
    assert_eq!(
        (10, 40),
        (confirmed, refused),
        "{:?}",
        placed.iter().map(|answer| answer.status).collect::<Vec<_>>()
    );
    for answer in placed.iter().filter(|answer| answer.status == 409) {
        answer.problem(409, "out_of_stock");
    }
    eventually("none left", SEEN_MAX, async || {
        must(available(&admin, &sku).await == 0, "some left")
    })
    .await;
    let listed = async || {
        let listed = ada.client.get("/v1/orders?limit=100").answer().await;
        let count =
            |wanted| listed.items().iter().filter(|order| order["status"] == wanted).count();
        let found = (count("confirmed"), count("rejected"));
        must(found == (10, 40), format!("confirmed and rejected are {found:?}"))
    };
    eventually("ten and forty in the list", SEEN_MAX, listed).await;
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn order_of_several_lines_gets_all_or_nothing() {
    // Given much stock of one product and too little of another
    let system = system().await;
    let admin = system.admin().await;
    let (plenty, little) =
        (system.product(&admin, 100, 100).await, system.product(&admin, 100, 1).await);
    let ada = system.user("Ada").await;

    // When one order needs more of the second than there is
    let refused = ada.client.place_order(&[(&plenty, 5), (&little, 2)]).wait(10).answer().await;

    // Then it is refused, and its reservation is released
    refused.problem(409, "out_of_stock");
    let back = async || must(available(&ada.client, &plenty).await == 100, "still held");
    eventually("everything back", SEEN_MAX, back).await;
    assert_eq!(1, available(&ada.client, &little).await);

    // And an unknown product can't be ordered
    let unknown =
        ada.client.place_order(&[(&plenty, 1), ("no-such-thing", 1)]).wait(10).answer().await;
    unknown.problem(409, "unknown_product");
    eventually("everything back", SEEN_MAX, back).await;
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn orders_are_listed_newest_first_page_by_page() {
    // Given five orders
    let system = system().await;
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 100).await;
    let ada = system.user("Ada").await;
    let mut placed = Vec::new();
    for _ in 0..5 {
        placed.push(ada.order(&[(&sku, 1)]).await);
    }
    placed.reverse();

    // When they are read two at a time
    let mut read: Vec<String> = Vec::new();
    let mut next = Some("/v1/orders?limit=2".to_owned());
    while let Some(path) = next {
        let page = ada.client.get(&path).answer().await;
        page.expect(200);
        assert!(page.items().len() <= 2);
        read.extend(
            page.items().iter().map(|order| order["id"].as_str().expect("an id").to_owned()),
        );
        next =
            page.body["next"].as_str().map(|cursor| format!("/v1/orders?limit=2&cursor={cursor}"));
    }

    // Then each is listed once, newest first
    assert_eq!(placed, read);
}

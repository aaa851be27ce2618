//! Products, orders, notifications.

use gateway::{commands::Command, reads::Notification};
use schemas::{order, stock};
use serde_json::json;
use uuid::Uuid;

use crate::support::*;

#[tokio::test]
async fn admins_add_products_and_anyone_reads_them() {
    let gateway = gateway();
    let admin = gateway.admin();
    let body = json!({ "sku": "rye", "name": "Rye flour", "price_minor": 349, "currency": "EUR" });

    let added = gateway.command("POST", "/v1/products", Some(&admin), body).await;
    assert_eq!(added.status(), 201);
    assert_eq!(header(&added, "location"), "/v1/products/rye");
    let received = gateway
        .command("POST", "/v1/products/rye/stock", Some(&admin), json!({ "quantity": 7 }))
        .await;
    assert_eq!(received.status(), 200);
    assert!(header(&received, "etag").starts_with("\"2-"), "{received:?}");
    let Command::Stock(stock::Command::ReceiveStock(command)) = gateway.world.last().command else {
        panic!()
    };
    assert_eq!((command.sku.as_str(), command.quantity), ("rye", 7));

    assert_eq!(json(&gateway.get("/v1/products/rye", None).await)["available"], 7);
    assert_eq!(json(&gateway.get("/v1/products", None).await)["items"][0]["sku"], "rye");
    assert_problem(&gateway.get("/v1/products/spelt", None).await, 404, "not_found");
    assert_problem(&gateway.get("/v1/products/a%2Fb", None).await, 404, "not_found");
}

#[tokio::test]
async fn users_may_not_change_products() {
    let gateway = gateway();
    let token = gateway.user("ada@example.org").await;
    let before = gateway.world.written();
    let body = json!({ "sku": "rye", "name": "Rye flour", "price_minor": 349, "currency": "EUR" });
    assert_problem(
        &gateway.command("POST", "/v1/products", Some(&token), body).await,
        403,
        "forbidden",
    );
    let body = json!({ "quantity": 7 });
    assert_problem(
        &gateway.command("POST", "/v1/products/rye/stock", Some(&token), body).await,
        403,
        "forbidden",
    );
    assert_eq!(gateway.world.written(), before);
}

#[tokio::test]
async fn product_outside_its_bounds_is_400() {
    let gateway = gateway();
    let admin = gateway.admin();
    for (field, value) in [
        ("sku", json!("a/b")),
        ("name", json!("")),
        ("sku", json!("..")),
        ("price_minor", json!(-1)),
        ("price_minor", json!(1_000_000_001)),
        ("price_minor", json!(i64::MAX)),
        ("currency", json!("euro")),
    ] {
        let mut body =
            json!({ "sku": "rye", "name": "Rye flour", "price_minor": 349, "currency": "EUR" });
        body[field] = value;
        let response = gateway.command("POST", "/v1/products", Some(&admin), body).await;
        assert_problem(&response, 400, "invalid_request");
        assert_eq!(json(&response)["field"], field);
    }
    for quantity in [0, -1, 1_000_001] {
        let body = json!({ "quantity": quantity });
        let response = gateway.command("POST", "/v1/products/rye/stock", Some(&admin), body).await;
        assert_problem(&response, 400, "invalid_request");
    }
}

#[tokio::test]
async fn placed_order_is_returned_and_can_be_read_and_cancelled() {
    let gateway = gateway();
    let token = gateway.user("ada@example.org").await;
    let line = |sku: &str, quantity: i64| json!({ "sku": sku, "quantity": quantity });
    let lines = json!([line("rye", 1), line("oat", 2), line("rye", 3)]);

    let placed =
        gateway.command("POST", "/v1/orders", Some(&token), json!({ "lines": lines })).await;

    assert_eq!(placed.status(), 201);
    let Command::Order(order::Command::PlaceOrder(command)) = gateway.world.last().command else {
        panic!()
    };
    let lines: Vec<_> =
        command.lines.iter().map(|line| (line.sku.as_str(), line.quantity)).collect();
    assert_eq!(lines, [("oat", 2), ("rye", 4)]);
    assert_eq!(command.user_id, gateway.user_of(&token));
    let location = header(&placed, "location").to_owned();
    assert_eq!(location, format!("/v1/orders/{}", command.order_id));
    assert_eq!(json(&placed)["status"], "confirmed");
    assert_eq!(json(&gateway.get(&location, Some(&token)).await)["id"], json!(command.order_id));
    let listed = json(&gateway.get("/v1/orders", Some(&token)).await);
    assert_eq!(listed["items"][0]["id"], json!(command.order_id));
    let history = json(&gateway.get(&format!("{location}/history"), Some(&token)).await);
    assert_eq!(history["items"][0]["type"], "OrderPlaced");
    let cancelled =
        gateway.command("POST", &format!("{location}/cancel"), Some(&token), json!({})).await;
    assert_eq!(
        (cancelled.status().as_u16(), json(&cancelled)["status"].as_str()),
        (200, Some("cancelled"))
    );
}

#[tokio::test]
async fn deactivated_user_creates_nothing() {
    let gateway = gateway();
    let (ada, admin) = (gateway.user("ada@example.org").await, gateway.admin());
    let order = json!({ "lines": [{ "sku": "rye", "quantity": 1 }] });
    let product =
        json!({ "sku": "rye", "name": "Rye flour", "price_minor": 349, "currency": "EUR" });
    let password = json!({ "password": "correct horse" });
    assert_eq!(gateway.command("DELETE", "/v1/users/me", Some(&ada), password).await.status(), 204);
    gateway.world.inner().users.remove(&gateway.user_of(&admin));
    let before = gateway.world.written();

    for (path, token, body) in [
        ("/v1/orders", &ada, &order),
        ("/v1/products", &admin, &product),
        ("/v1/products/rye/stock", &admin, &json!({ "quantity": 1 })),
    ] {
        let response = gateway.command("POST", path, Some(token), body.clone()).await;
        assert_problem(&response, 401, "invalid_token");
    }
    assert_eq!(gateway.world.written(), before);
}

#[tokio::test]
async fn product_may_be_free_of_charge() {
    let gateway = gateway();
    let body = json!({ "sku": "gift", "name": "A gift", "price_minor": 0, "currency": "EUR" });
    let added = gateway.command("POST", "/v1/products", Some(&gateway.admin()), body).await;
    assert_eq!((added.status().as_u16(), &json(&added)["price_minor"]), (201, &json!(0)));
}

#[tokio::test]
async fn order_of_another_user_is_404() {
    let gateway = gateway();
    let ada = gateway.user("ada@example.org").await;
    let bob = gateway.user("bob@example.org").await;
    let body = json!({ "lines": [{ "sku": "rye", "quantity": 1 }] });
    let placed = gateway.command("POST", "/v1/orders", Some(&ada), body).await;
    let path = header(&placed, "location").to_owned();

    for path in [
        path.clone(),
        format!("{path}/history"),
        format!("/v1/orders/{}", Uuid::new_v4()),
        "/v1/orders/x".into(),
    ] {
        assert_problem(&gateway.get(&path, Some(&bob)).await, 404, "not_found");
    }
    assert_eq!(json(&gateway.get("/v1/orders", Some(&bob)).await)["items"], json!([]));
    gateway.world.answers(Answer::Refuse("not_found"));
    assert_problem(
        &gateway.command("POST", &format!("{path}/cancel"), Some(&bob), json!({})).await,
        404,
        "not_found",
    );
}

#[tokio::test]
async fn order_outside_its_bounds_is_400() {
    let gateway = gateway();
    let token = gateway.user("ada@example.org").await;
    let many: Vec<_> =
        (0..51).map(|index| json!({ "sku": format!("sku-{index}"), "quantity": 1 })).collect();
    for lines in [
        json!([]),
        json!(many),
        json!([{ "sku": "rye", "quantity": 0 }]),
        json!([{ "sku": "rye", "quantity": 600_000 }, { "sku": "rye", "quantity": 600_000 }]),
        json!([{ "sku": "", "quantity": 1 }]),
    ] {
        let response =
            gateway.command("POST", "/v1/orders", Some(&token), json!({ "lines": lines })).await;
        assert_problem(&response, 400, "invalid_request");
    }
    for body in [
        r#"[[["rye",1]]]"#,
        r#"{"lines":[["rye",1]]}"#,
        r#"{"lines":[{"sku":"rye","sku":"oat","quantity":1}]}"#,
        r#"{"lines":[],"lines":[{"sku":"rye","quantity":1}]}"#,
        r#"{"lines":[{"sku":"rye","quantity":1.5}]}"#,
    ] {
        let request = with(Some(&token), request("POST", "/v1/orders"))
            .header("content-type", "application/json");
        assert_problem(&gateway.send(request.body(body)).await, 400, "invalid_body");
    }
    let body = r#"{"lines":[{"sku":"rye","quantity":1.0}]}"#;
    let whole = with(Some(&token), request("POST", "/v1/orders"))
        .header("content-type", "application/json");
    assert_eq!(gateway.send(whole.body(body)).await.status(), 202);
    // A price never comes from the client.
    let priced = json!({ "lines": [{ "sku": "rye", "quantity": 1, "unit_price_minor": 1 }] });
    assert_problem(
        &gateway.command("POST", "/v1/orders", Some(&token), priced).await,
        400,
        "invalid_body",
    );
}

#[tokio::test]
async fn refusal_gets_the_status_of_its_code() {
    let gateway = gateway();
    let token = gateway.user("ada@example.org").await;
    for (code, status) in [
        ("out_of_stock", 409),
        ("unknown_product", 409),
        ("something_new", 409),
        ("version_mismatch", 412),
        ("not_found", 404),
    ] {
        gateway.world.answers(Answer::Refuse(code));
        let body = json!({ "lines": [{ "sku": "rye", "quantity": 1 }] });
        let response = gateway.command("POST", "/v1/orders", Some(&token), body).await;
        assert_problem(&response, status, code);
        assert_eq!(json(&response)["detail"], format!("because of {code}"));
    }
    gateway.world.answers(Answer::Fail);
    let body = json!({ "lines": [{ "sku": "rye", "quantity": 1 }] });
    assert_problem(&gateway.command("POST", "/v1/orders", Some(&token), body).await, 500, "failed");
}

#[tokio::test]
async fn refusal_waits_until_the_read_model_shows_it() {
    let gateway = gateway();
    let token = gateway.user("ada@example.org").await;
    gateway.world.answers(Answer::Refuse("out_of_stock"));
    let body = json!({ "lines": [{ "sku": "rye", "quantity": 1 }] });
    let refused = async {
        let response = gateway.command("POST", "/v1/orders", Some(&token), body).await;
        let key = gateway.world.last().key;
        let shown = gateway.world.inner().versions.contains_key(&("order".to_owned(), key));
        (response, shown)
    };
    let shows = async {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let key = gateway.world.last().key;
        gateway.world.inner().versions.insert(("order".into(), key), 1);
    };
    let ((response, shown), ()) = tokio::join!(refused, shows);
    assert_problem(&response, 409, "out_of_stock");
    assert!(shown, "the refusal came before the read model showed it");
}

#[tokio::test]
async fn inbox_holds_only_the_users_own_notifications() {
    let gateway = gateway();
    let ada = gateway.user("ada@example.org").await;
    let bob = gateway.user("bob@example.org").await;
    let id = Uuid::new_v4();
    let notification = Notification {
        id,
        user_id: gateway.user_of(&ada),
        kind: "order_confirmed".into(),
        title: "Confirmed".into(),
        body: "Your order is confirmed.".into(),
        order_id: None,
        read: false,
        raised_at: "2026-01-01T00:00:00.000Z".into(),
        mail: None,
        version: 1,
    };
    gateway.world.inner().notifications.insert(id, notification);

    let inbox = json(&gateway.get("/v1/notifications", Some(&ada)).await);
    assert_eq!((&inbox["items"][0]["id"], &inbox["unread"]), (&json!(id), &json!(1)));
    assert_eq!(json(&gateway.get("/v1/notifications", Some(&bob)).await)["items"], json!([]));
    let read = gateway
        .command("POST", &format!("/v1/notifications/{id}/read"), Some(&ada), json!({}))
        .await;
    assert_eq!((read.status().as_u16(), &json(&read)["read"]), (200, &json!(true)));
    assert_eq!(json(&gateway.get("/v1/notifications", Some(&ada)).await)["unread"], 0);
    gateway.world.answers(Answer::Refuse("not_found"));
    let path = format!("/v1/notifications/{id}/read");
    assert_problem(&gateway.command("POST", &path, Some(&bob), json!({})).await, 404, "not_found");
}

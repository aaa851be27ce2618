//! Commands while stores are away: what has been decided stays so, and is never answered as a
//! failure.

use serde_json::{Value, json};
use warp::{http::Response, hyper::body::Bytes};

use crate::support::*;

fn order() -> Value {
    json!({ "lines": [{ "sku": "rye", "quantity": 1 }] })
}

/// Asserts that a command is answered as accepted, without its result.
fn assert_accepted(gateway: &Gateway, response: &Response<Bytes>, what: &str) {
    assert_eq!(response.status(), 202, "{what}: {:?}", response.body());
    let location = format!("/v1/commands/{}", gateway.world.last().id);
    assert_eq!(header(response, "location"), location, "{what}");
    assert_eq!(json(response)["state"], "accepted", "{what}");
}

#[tokio::test]
async fn order_is_accepted_without_any_store() {
    let gateway = gateway();
    let token = gateway.user("ada@example.org").await;
    gateway.world.inner().stores_down = true;
    let place = with(Some(&token), request("POST", "/v1/orders")).json(&order());
    assert_eq!(gateway.send(place).await.status(), 202);
    // With a notice of the read model, only the order itself can't be read.
    for notices in [Notices::Outcomes, Notices::LostViews, Notices::All] {
        gateway.world.inner().notices = notices;
        let waited = gateway.command("POST", "/v1/orders", Some(&token), order()).await;
        assert_accepted(&gateway, &waited, &format!("{notices:?}"));
        assert_eq!(header(&waited, "preference-applied"), "wait=5");
    }
}

#[tokio::test]
async fn refusal_stays_one_without_any_store() {
    let gateway = gateway();
    let token = gateway.user("ada@example.org").await;
    gateway.world.inner().stores_down = true;
    for notices in [Notices::Outcomes, Notices::LostViews, Notices::All] {
        gateway.world.inner().notices = notices;
        gateway.world.answers(Answer::Refuse("out_of_stock"));
        let refused = gateway.command("POST", "/v1/orders", Some(&token), order()).await;
        assert_problem(&refused, 409, "out_of_stock");
        gateway.world.answers(Answer::Refuse("version_mismatch"));
        let body = json!({ "name": "A." });
        let refused = gateway.command("PATCH", "/v1/users/me", Some(&token), body).await;
        assert_problem(&refused, 412, "version_mismatch");
    }
}

#[tokio::test]
async fn accepted_command_is_202_when_its_result_cannot_be_read() {
    let registration =
        json!({ "email": "b@example.org", "password": "battery staple", "name": "B" });
    let product = json!({ "sku": "oat", "name": "Oats", "price_minor": 1, "currency": "EUR" });
    let email = json!({ "email": "c@example.org", "password": "correct horse" });
    let password = json!({ "current": "correct horse", "new": "battery staple" });
    let confirmed = json!({ "password": "correct horse" });
    let cases = [
        ("POST", "/v1/users", registration),
        ("PATCH", "/v1/users/me", json!({ "name": "A." })),
        ("PUT", "/v1/users/me/email", email),
        ("PUT", "/v1/users/me/password", password),
        ("DELETE", "/v1/users/me", confirmed),
        ("POST", "/v1/products", product),
        ("POST", "/v1/products/rye/stock", json!({ "quantity": 1 })),
        ("POST", "/v1/orders", order()),
        ("POST", "/v1/orders/{order}/cancel", json!({})),
    ];
    for notices in [Notices::Outcomes, Notices::All] {
        for (method, path, body) in cases.clone() {
            let gateway = gateway();
            gateway.product("rye").await;
            let token = gateway.user("ada@example.org").await;
            gateway.command("POST", "/v1/orders", Some(&token), order()).await;
            let path = path.replace("{order}", &gateway.world.last().key);
            let token = if path.contains("products") { gateway.admin() } else { token };
            {
                let mut inner = gateway.world.inner();
                (inner.notices, inner.stores_end) = (notices, true);
            }
            let response = gateway.command(method, &path, Some(&token), body).await;
            // A user who is deactivated is not shown, so nothing needs a store.
            if method == "DELETE" && matches!(notices, Notices::All) {
                assert_eq!(response.status(), 204);
                continue;
            }
            assert_accepted(&gateway, &response, &format!("{method} {path} {notices:?}"));
        }
    }
}

//! Repeats under the same `Idempotency-Key` while read models show the first request's effect and
//! its outcome is not stored yet.

use std::time::Duration;

use futures_util::FutureExt as _;
use gateway::reads::{Credential, Notification};
use serde_json::{Value, json};
use tokio::time::timeout;
use uuid::Uuid;
use warp::test::RequestBuilder;

use crate::support::*;

const NOTIFICATION: Uuid = Uuid::from_u128(7);

/// A write with a condition that holds only once: a header, and the type of the aggregate whose
/// entity tag it has, that many versions after the current one; or `*`.
struct Write {
    method: &'static str,
    path: &'static str,
    body: Value,
    condition: Option<(&'static str, &'static str, i64)>,
}

fn writes() -> Vec<Write> {
    let if_match = |aggregate| Some(("if-match", aggregate, 0));
    let if_none_match = |aggregate| Some(("if-none-match", aggregate, 1));
    let write = |method, path, body, condition| Write { method, path, body, condition };
    let product = json!({ "sku": "oat", "name": "Oats", "price_minor": 1, "currency": "EUR" });
    let user = json!({ "email": "b@example.org", "password": "battery staple", "name": "B" });
    let order = json!({ "lines": [{ "sku": "rye", "quantity": 1 }] });
    let email = json!({ "email": "c@example.org", "password": "correct horse" });
    let password = json!({ "current": "correct horse", "new": "battery staple" });
    let confirmed = json!({ "password": "correct horse" });
    let any = Some(("if-none-match", "*", 0));
    vec![
        write("POST", "/v1/users", user, any),
        write("PATCH", "/v1/users/me", json!({ "name": "A." }), if_none_match("user")),
        write("PUT", "/v1/users/me/email", email, if_none_match("user")),
        write("PUT", "/v1/users/me/password", password, None),
        write("DELETE", "/v1/users/me", confirmed, None),
        write("POST", "/v1/products", product, any),
        write("POST", "/v1/products/rye/stock", json!({ "quantity": 1 }), if_match("stock")),
        write("POST", "/v1/orders", order, any),
        write("POST", "/v1/orders/{order}/cancel", json!({}), if_none_match("order")),
        write("POST", "/v1/notifications/{inbox}/read", json!({}), if_match("notification")),
    ]
}

impl Gateway {
    /// Whether a key of Redis's with this word holds a fingerprint.
    fn holds(&self, word: &str) -> bool {
        self.world.inner().claims.keys().any(|key| key.contains(word))
    }

    /// Waits until the claim of the only request with a key is confirmed.
    async fn confirmed(&self) {
        let confirmed = async {
            while !self.holds(":written:") {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), confirmed).await.expect("the claim is confirmed");
    }
}

/// A gateway whose outcomes are late, and a request of this kind.
async fn late(write: &Write) -> (Gateway, impl Fn(&str) -> RequestBuilder + use<>) {
    let gateway = gateway();
    gateway.product("rye").await;
    let ada = gateway.user("ada@example.org").await;
    let order = json!({ "lines": [{ "sku": "rye", "quantity": 1 }] });
    gateway.command("POST", "/v1/orders", Some(&ada), order).await;
    let (order, user) = (gateway.world.last().key, gateway.user_of(&ada));
    {
        let mut inner = gateway.world.inner();
        let notification = Notification {
            id: NOTIFICATION,
            user_id: user,
            kind: "welcome".into(),
            title: "Welcome".into(),
            body: "Hello".into(),
            order_id: None,
            read: false,
            raised_at: "2026-01-01T00:00:00.000Z".into(),
            mail: None,
            version: 1,
        };
        inner.notifications.insert(NOTIFICATION, notification);
        inner.versions.insert(("notification".into(), NOTIFICATION.to_string()), 1);
        inner.outcomes_late = true;
    }
    let inbox = NOTIFICATION.to_string();
    let path = write.path.replace("{order}", &order).replace("{inbox}", &inbox);
    let token = if path.contains("products") { gateway.admin() } else { ada };
    let condition = write.condition.map(|(name, aggregate, later)| {
        let id = match aggregate {
            "user" => user.to_string(),
            "stock" => "rye".to_owned(),
            "order" => order,
            _ => inbox,
        };
        let held = || gateway.world.inner().versions[&(aggregate.to_owned(), id.clone())];
        let tag = || gateway.state.ids.entity_tag(aggregate, &id, held() + later);
        (name, if aggregate == "*" { "*".to_owned() } else { tag() })
    });
    let (method, body) = (write.method, write.body.clone());
    let request = move |key: &str| {
        let request = with(Some(&token), request(method, &path)).header("idempotency-key", key);
        let request = match &condition {
            Some((name, value)) => request.header(*name, value),
            None => request,
        };
        request.json(&body)
    };
    (gateway, request)
}

#[tokio::test]
async fn repeat_is_not_refused_because_of_its_own_effect() {
    for write in writes() {
        let what = format!("{} {}", write.method, write.path);
        let (gateway, request) = late(&write).await;
        let first = gateway.send(request("k-1")).await;
        assert_eq!(first.status(), 202, "{what}: {:?}", first.body());
        gateway.confirmed().await;
        let before = gateway.world.written();

        let again = gateway.send(request("k-1")).await;

        assert_eq!(again.status(), 202, "{what}: {:?}", again.body());
        assert_eq!(header(&again, "location"), header(&first, "location"), "{what}");
        assert_eq!(gateway.world.written(), before, "{what}: the first one is not written again");
        // And when the outcome is stored, the repeat gets the result.
        gateway.world.inner().outcomes_late = false;
        let result = gateway.send(request("k-1").header("prefer", "wait=5")).await;
        assert!([200, 201, 204].contains(&result.status().as_u16()), "{what}: {result:?}");
    }
}

#[tokio::test]
async fn request_whose_check_fails_for_another_reason_is_refused() {
    for write in writes() {
        // The ids of new users and orders derive from the key, so another key is another one.
        if write.path == "/v1/users" || write.path == "/v1/orders" {
            continue;
        }
        let what = format!("{} {}", write.method, write.path);
        let (gateway, request) = late(&write).await;
        gateway.send(request("k-1")).await;
        gateway.confirmed().await;
        let before = gateway.world.written();
        for counters_down in [false, true] {
            gateway.world.inner().counters_down = counters_down;
            let key = if counters_down { "k-1" } else { "k-2" };
            let other = gateway.send(request(key)).await;
            assert!([403, 412].contains(&other.status().as_u16()), "{what}: {other:?}");
        }
        assert_eq!(gateway.world.written(), before, "{what}");
    }
}

/// The one of [`writes`] with this path.
fn write_to(path: &str) -> Write {
    writes().into_iter().find(|write| write.path == path).expect("a write")
}

#[tokio::test]
async fn repeat_of_a_command_that_was_not_written_is_refused_if_its_condition_fails() {
    let (gateway, request) = late(&write_to("/v1/products/rye/stock")).await;
    gateway.world.answers(Answer::Unwritten);
    assert_problem(&gateway.send(request("k-1")).await, 503, "not_written");
    // Given another request that has changed the version since
    gateway.world.answers(Answer::Accept);
    assert_eq!(gateway.send(request("k-2")).await.status(), 202);
    gateway.confirmed().await;
    let before = gateway.world.written();

    let again = gateway.send(request("k-1")).await;

    assert_problem(&again, 412, "version_mismatch");
    assert_eq!(gateway.world.written(), before);
}

#[tokio::test]
async fn command_that_was_not_written_keeps_its_key_for_the_same_request() {
    let (gateway, request) = late(&write_to("/v1/products/rye/stock")).await;
    gateway.world.inner().outcomes_late = false;
    // Given attempts of which none is confirmed, so that each may be in the log
    gateway.world.answers(Answer::Unwritten);
    for _ in 0..2 {
        assert_problem(&gateway.send(request("k-1")).await, 503, "not_written");
    }
    gateway.world.answers(Answer::Accept);
    let before = gateway.world.written();

    // When another request has the key, it is refused, and the same request is carried out once
    let other = || request("k-1").json(&json!({ "quantity": 2 }));
    assert_problem(&gateway.send(other()).await, 422, "idempotency_key_reused");
    for _ in 0..2 {
        let again = gateway.send(request("k-1").header("prefer", "wait=5")).await;
        assert_eq!(again.status(), 200, "{:?}", again.body());
    }
    assert_problem(&gateway.send(other()).await, 422, "idempotency_key_reused");
    assert_eq!(gateway.world.written(), before + 1);
}

#[tokio::test]
async fn repeat_of_a_request_that_was_cut_off_during_the_write_is_not_refused() {
    let (gateway, request) = late(&write_to("/v1/products/rye/stock")).await;
    gateway.world.answers(Answer::Unheard);
    let before = gateway.world.written();
    // Given a client that disconnects after the command was sent and before it is confirmed
    let cut_off = gateway.send(request("k-1")).now_or_never();
    assert!(cut_off.is_none() && gateway.world.written() == before + 1, "{cut_off:?}");
    assert!(!gateway.holds(":written:"), "nobody has confirmed it");

    let confirmed = std::mem::take(&mut gateway.world.inner().unheard);
    confirmed.into_iter().for_each(|confirmed| confirmed());
    gateway.confirmed().await;

    gateway.world.answers(Answer::Accept);
    let again = gateway.send(request("k-1")).await;
    assert_eq!(again.status(), 202, "{:?}", again.body());
    assert_eq!(gateway.world.written(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn repeat_of_a_change_of_password_waits_until_the_new_one_works() {
    let (gateway, request) = late(&write_to("/v1/users/me/password")).await;
    let set = |credential: Option<(String, Credential)>| {
        let mut inner = gateway.world.inner();
        let held = inner.credentials.values_mut().next().expect("one user");
        match credential {
            Some(credential) => std::mem::replace(held, credential),
            None => held.clone(),
        }
    };
    let old = set(None);
    assert_eq!(gateway.send(request("k-1")).await.status(), 202);
    gateway.confirmed().await;
    // Given a projection of credentials that is behind that of outcomes and users
    let new = set(Some(old));
    gateway.world.inner().outcomes_late = false;
    let repeat = || gateway.send(request("k-1").header("prefer", "wait=1"));
    let early = repeat().await;
    assert_eq!((early.status().as_u16(), &json(&early)["state"]), (202, &json!("accepted")));

    set(Some(new));

    assert_eq!(repeat().await.status(), 200);
}

#[tokio::test]
async fn repeats_of_a_change_of_password_do_not_count_as_wrong_passwords() {
    let (gateway, request) = late(&write_to("/v1/users/me/password")).await;
    assert_eq!(gateway.send(request("k-1")).await.status(), 202);
    gateway.confirmed().await;
    let before = gateway.world.written();
    for number in 1..=6 {
        let again = gateway.send(request("k-1")).await;
        assert_eq!(again.status(), 202, "{number}: {:?}", again.body());
    }
    assert_eq!(gateway.world.written(), before);
    // The same change under another key is another request, with a password that is wrong by now.
    assert_problem(&gateway.send(request("k-2")).await, 403, "wrong_password");
    gateway.world.inner().outcomes_late = false;
    let log_in = json!({ "email": "ada@example.org", "password": "battery staple" });
    assert_eq!(gateway.command("POST", "/v1/sessions", None, log_in).await.status(), 200);
}

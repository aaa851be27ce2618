//! The live stream.

use gateway::reads::{StreamItem, StreamScope};
use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn users_get_their_own_events_and_admins_all() {
    let gateway = gateway();
    let token = gateway.user("ada@example.org").await;
    gateway.world.inner().items = vec![
        StreamItem::Reset { position: "3.0".into() },
        StreamItem::Event {
            position: "4.0".into(),
            kind: "OrderPlaced".into(),
            data: json!({ "version": 1 }),
        },
    ];

    let open = with(Some(&token), request("GET", "/v1/stream")).header("last-event-id", "1.0");
    let response = gateway.send(open).await;

    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "content-type"), "text/event-stream");
    assert_eq!(header(&response, "cache-control"), "no-store");
    let text = String::from_utf8_lossy(response.body()).into_owned();
    assert!(text.contains("event:reset\n") && text.contains("id:3.0\n"), "{text}");
    assert!(text.contains("event:OrderPlaced\ndata:{\"version\":1}\nid:4.0\n"), "{text}");
    let own = StreamScope::Own(gateway.user_of(&token));
    assert_eq!(gateway.world.inner().opened.last(), Some(&(own, Some("1.0".into()))));

    gateway.get("/v1/stream", Some(&gateway.admin())).await;
    assert_eq!(gateway.world.inner().opened.last(), Some(&(StreamScope::All, None)));
}

#[tokio::test]
async fn position_that_no_gateway_has_issued_is_one_all_the_same() {
    let gateway = gateway();
    let admin = gateway.admin();
    let long = "x".repeat(2_049);
    for (sent, asked_for) in [
        (&b"caf\xe9"[..], "caf\u{fffd}"),
        ("caf\u{e9}".as_bytes(), "caf\u{e9}"),
        (long.as_bytes(), &long),
    ] {
        let open = with(Some(&admin), request("GET", "/v1/stream"));
        let response = gateway.send(open.header("last-event-id", sent)).await;

        assert_eq!(response.status(), 200, "{:?}", response.body());
        let asked_for = Some(asked_for.to_owned());
        assert_eq!(gateway.world.inner().opened.last(), Some(&(StreamScope::All, asked_for)));
    }
}

#[tokio::test]
async fn stream_names_its_position_before_the_first_event() {
    let gateway = gateway();
    gateway.world.inner().items = vec![StreamItem::Position { position: "2.0".into() }];

    let response = gateway.get("/v1/stream", Some(&gateway.admin())).await;

    let text = String::from_utf8_lossy(response.body()).into_owned();
    assert!(text.contains("\n\nid:2.0\n\n"), "{text}");
}

#[tokio::test]
async fn stream_is_503_while_all_slots_are_taken() {
    let gateway = gateway();
    let admin = gateway.admin();
    let slot =
        gateway.state.streams.take(Some(uuid::Uuid::from_u128(9)), "elsewhere".into()).unwrap();
    let response = gateway.get("/v1/stream", Some(&admin)).await;
    assert_problem(&response, 503, "unavailable");
    assert_eq!(header(&response, "retry-after"), "10");
    drop(slot);
    assert_eq!(gateway.get("/v1/stream", Some(&admin)).await.status(), 200);
}

#[tokio::test]
async fn user_with_one_stream_too_many_loses_the_oldest() {
    let gateway = gateway();
    let admin = gateway.admin();
    gateway.world.inner().endless = true;
    let first = async { gateway.get("/v1/stream", Some(&admin)).await };
    let second = async {
        while gateway.world.inner().opened.is_empty() {
            tokio::task::yield_now().await;
        }
        let user = gateway.user_of(&admin);
        gateway.state.streams.take(Some(user), "elsewhere".into()).expect("the slot of the first")
    };

    let (first, _second) = tokio::join!(first, second);

    let text = String::from_utf8_lossy(first.body()).into_owned();
    assert!(text.ends_with("event:end\ndata:replaced\n\n"), "{text}");
}

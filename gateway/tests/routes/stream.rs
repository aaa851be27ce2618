//! The live stream.

use gateway::reads::{Seen, Watch};
use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn users_see_their_own_and_admins_all() {
    let gateway = gateway();
    let token = gateway.someone("ada@example.org").await;
    gateway.world.inner().seen = vec![
        Seen::Reset { position: "3.0".into() },
        Seen::Event {
            position: "4.0".into(),
            kind: "OrderPlaced".into(),
            data: json!({ "version": 1 }),
        },
    ];

    let watch = with(Some(&token), request("GET", "/v1/stream")).header("last-event-id", "1.0");
    let response = gateway.send(watch).await;

    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "content-type"), "text/event-stream");
    assert_eq!(header(&response, "cache-control"), "no-store");
    let text = String::from_utf8_lossy(response.body()).into_owned();
    assert!(text.contains("event:reset\n") && text.contains("id:3.0\n"), "{text}");
    assert!(text.contains("event:OrderPlaced\ndata:{\"version\":1}\nid:4.0\n"), "{text}");
    let own = Watch::Own(gateway.user_of(&token));
    assert_eq!(gateway.world.inner().watched.last(), Some(&(own, Some("1.0".into()))));

    gateway.get("/v1/stream", Some(&gateway.admin())).await;
    assert_eq!(gateway.world.inner().watched.last(), Some(&(Watch::All, None)));
}

#[tokio::test]
async fn a_stream_says_where_it_begins_before_anything_happens() {
    let gateway = gateway();
    gateway.world.inner().seen = vec![Seen::Begin { position: "2.0".into() }];

    let response = gateway.get("/v1/stream", Some(&gateway.admin())).await;

    let text = String::from_utf8_lossy(response.body()).into_owned();
    assert!(text.contains("\n\nid:2.0\n\n"), "{text}");
}

#[tokio::test]
async fn without_room_a_newcomer_is_503_until_someone_leaves() {
    let gateway = gateway();
    let admin = gateway.admin();
    let place = gateway.state.streams.take(uuid::Uuid::from_u128(9), "elsewhere".into()).unwrap();
    let response = gateway.get("/v1/stream", Some(&admin)).await;
    assert_problem(&response, 503, "unavailable");
    assert_eq!(header(&response, "retry-after"), "10");
    drop(place);
    assert_eq!(gateway.get("/v1/stream", Some(&admin)).await.status(), 200);
}

#[tokio::test]
async fn a_user_with_too_many_streams_loses_the_oldest() {
    let gateway = gateway();
    let admin = gateway.admin();
    gateway.world.inner().endless = true;
    let first = async { gateway.get("/v1/stream", Some(&admin)).await };
    let second = async {
        while gateway.world.inner().watched.is_empty() {
            tokio::task::yield_now().await;
        }
        let user = gateway.user_of(&admin);
        gateway.state.streams.take(user, "elsewhere".into()).expect("the place of the first")
    };

    let (first, _second) = tokio::join!(first, second);

    let text = String::from_utf8_lossy(first.body()).into_owned();
    assert!(text.ends_with("event:end\ndata:replaced\n\n"), "{text}");
}

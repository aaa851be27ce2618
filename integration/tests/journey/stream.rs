//! The live stream: a user's own events as they happen, from where one left off.

use futures_util::StreamExt;
use serde_json::Value;

use crate::support::{SEEN_MAX, System, User, system};

/// An event of the stream.
#[derive(Clone, Debug, Default)]
struct Event {
    id: String,
    kind: String,
    data: String,
}

/// Reads events until one satisfies `last`, all of them with it.
async fn listen(
    user: &User,
    from: Option<&str>,
    ready: impl Future,
    last: impl Fn(&Event) -> bool,
) -> Vec<Event> {
    let mut request = user.client.get("/v1/stream").header("accept", "text/event-stream");
    if let Some(id) = from {
        request = request.header("last-event-id", id);
    }
    let response = request.open().await.expect("a stream");
    assert_eq!(200, response.status());
    let kind = response.headers()["content-type"].to_str().expect("text").to_owned();
    assert!(kind.starts_with("text/event-stream"), "{kind}");
    ready.await;
    let mut events = Vec::new();
    let read = async {
        let mut bytes = response.bytes_stream();
        let mut text = String::new();
        while let Some(chunk) = bytes.next().await {
            text.push_str(&String::from_utf8_lossy(&chunk.expect("more")));
            while let Some((block, rest)) = text.split_once("\n\n") {
                let event = parse(block);
                text = rest.to_owned();
                if event.data.is_empty() {
                    continue;
                }
                let done = last(&event);
                events.push(event);
                if done {
                    return;
                }
            }
        }
    };
    let in_time = tokio::time::timeout(SEEN_MAX, read).await;
    assert!(in_time.is_ok(), "not seen in {SEEN_MAX:?}; but: {events:?}");
    events
}

fn parse(block: &str) -> Event {
    let mut event = Event::default();
    for (name, value) in block.lines().filter_map(|line| line.split_once(':')) {
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" => event.id = value.to_owned(),
            "event" => event.kind = value.to_owned(),
            "data" => event.data.push_str(value),
            _ => {}
        }
    }
    event
}

fn about(event: &Event, order: &str, word: &str) -> bool {
    event.data.contains(order) && format!("{}{}", event.kind, event.data).contains(word)
}

async fn order(system: &System, user: &User) -> (String, String) {
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 10).await;
    (user.order(&[(&sku, 1)]).await, sku)
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn one_sees_ones_own_events_and_resumes_where_one_left_off() {
    // Given Ada and Bob
    let system = system().await;
    let (ada, bob) = (system.user("Ada").await, system.user("Bob").await);
    let (bobs, sku) = order(&system, &bob).await;

    // When Ada listens, and both order
    let (sender, placed) = tokio::sync::oneshot::channel();
    let ordering = async {
        bob.order(&[(&sku, 1)]).await;
        sender.send(ada.order(&[(&sku, 1)]).await).expect("someone waits");
    };
    let events = listen(&ada, None, ordering, |event| {
        event.data.contains("OrderConfirmed") || event.kind.contains("OrderConfirmed")
    })
    .await;
    let adas = placed.await.expect("an order");

    // Then she sees hers happen, in order, and nothing of his
    let place =
        events.iter().position(|event| about(event, &adas, "OrderPlaced")).expect("it is placed");
    let end = events
        .iter()
        .position(|event| about(event, &adas, "OrderConfirmed"))
        .expect("it is confirmed");
    assert!(place < end);
    assert!(!events.iter().any(|event| event.data.contains(&bobs)), "{events:?}");
    assert!(events.iter().all(|event| !event.id.is_empty()), "{events:?}");
    for event in &events {
        let _: Value = serde_json::from_str(&event.data).expect("JSON");
    }

    // When she comes back and says what she saw last, and something has happened meanwhile
    let seen = &events[place].id;
    let next = ada.order(&[(&sku, 1)]).await;
    let events =
        listen(&ada, Some(seen), async {}, |event| about(event, &next, "OrderConfirmed")).await;

    // Then it goes on right there: nothing twice, nothing left out
    assert!(!events.iter().any(|event| about(event, &adas, "OrderPlaced")), "{events:?}");
    assert_eq!(
        1,
        events.iter().filter(|event| about(event, &adas, "OrderConfirmed")).count(),
        "{events:?}"
    );
    assert_eq!(
        1,
        events.iter().filter(|event| about(event, &next, "OrderPlaced")).count(),
        "{events:?}"
    );

    // And an id that can't be resumed from is answered with a reset
    let events = listen(&ada, Some("nonsense"), async {}, |_| true).await;
    assert_eq!("reset", events[0].kind, "{events:?}");
}

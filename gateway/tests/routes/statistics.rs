//! The shop's statistics and their stream: who sees what, and that many clients cost one read.

use projections::postgres::{Seller, StatisticsView, Window};
use serde_json::{Value, json};
use warp::{http::Response, hyper::body::Bytes};

use crate::support::*;

const PATH: &str = "/v1/statistics";
const STREAM: &str = "/v1/statistics/stream";
const MINUTE: i64 = 60_000;

fn window(start_ms: i64, placed: i64) -> Window {
    Window {
        start_ms,
        placed,
        confirmed: 1,
        revenue: [("EUR".to_owned(), 900)].into(),
        confirm_ms: [(150, 1)].into(),
        registrations: 4,
        ..Window::default()
    }
}

fn set(gateway: &Gateway, windows: Vec<Window>) {
    let best_sellers = vec![Seller { sku: "tea".to_owned(), units: 2 }];
    let mut inner = gateway.world.inner();
    inner.statistics.view = StatisticsView { windows, best_sellers };
    inner.statistics_changes.send_modify(|count| *count += 1);
}

/// The events of a stream that has ended, as pairs of name and data.
pub(crate) fn events(response: &Response<Bytes>) -> Vec<(String, Value)> {
    let text = String::from_utf8_lossy(response.body()).into_owned();
    let field = |block: &str, name: &str| {
        block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned)
    };
    let blocks = text.split("\n\n").filter_map(|block| {
        let data = serde_json::from_str(&field(block, "data:")?).unwrap_or_default();
        Some((field(block, "event:")?, data))
    });
    blocks.collect()
}

#[tokio::test]
async fn admin_reads_all_figures_of_each_window() {
    let gateway = gateway();
    set(&gateway, vec![window(MINUTE, 3)]);

    let response = gateway.get(PATH, Some(&gateway.admin())).await;

    assert_eq!((response.status().as_u16(), header(&response, "vary")), (200, "Authorization"));
    assert_eq!(header(&response, "cache-control"), "private, no-cache");
    let expected = json!({
        "by": "minute",
        "first": "1970-01-01T00:00:00.000Z",
        "windows": [{
            "start": "1970-01-01T00:01:00.000Z",
            "placed": 3, "confirmed": 1, "rejected": 0, "cancelled": 0,
            "confirm_p50_ms": 150, "confirm_p99_ms": 150,
            "revenue_minor": { "EUR": 900 },
            "registrations": 4, "notifications": 0, "mails_sent": 0, "mails_failed": 0,
        }],
        "best_sellers": [{ "sku": "tea", "units": 2 }],
    });
    assert_eq!(json(&response), expected);
    let hours = gateway.get("/v1/statistics?by=hour", Some(&gateway.admin())).await;
    assert_eq!(json(&hours)["by"], "hour");
    let wrong = gateway.get("/v1/statistics?by=day", Some(&gateway.admin())).await;
    assert_problem(&wrong, 400, "invalid_request");
}

#[tokio::test]
async fn entity_tag_changes_with_the_figures_and_only_then() {
    let gateway = gateway();
    let admin = gateway.admin();
    set(&gateway, vec![window(0, 1)]);
    let first = gateway.get(PATH, Some(&admin)).await;
    let tag = header(&first, "etag").to_owned();
    let again = || with(Some(&admin), request("GET", PATH)).header("if-none-match", &tag);
    assert_eq!(gateway.send(again()).await.status(), 304);
    set(&gateway, vec![window(0, 2)]);
    assert_eq!(gateway.send(again()).await.status(), 200);
}

#[tokio::test]
async fn users_and_strangers_read_statistics_only_if_the_dashboard_is_public() {
    let private = gateway();
    let user = private.user("ada@example.org").await;
    for path in [PATH, STREAM] {
        assert_problem(&private.get(path, Some(&user)).await, 403, "forbidden");
        assert_problem(&private.get(path, None).await, 401, "unauthorized");
    }
    let public = public();
    set(&public, vec![window(0, 3)]);
    let user = public.user("ada@example.org").await;
    for token in [Some(&*user), None] {
        let shown = json(&public.get(PATH, token).await)["windows"][0].clone();
        let mut names: Vec<_> = shown.as_object().unwrap().keys().cloned().collect();
        names.sort_unstable();
        let mut expected = [
            "start",
            "placed",
            "confirmed",
            "rejected",
            "cancelled",
            "confirm_p50_ms",
            "confirm_p99_ms",
        ];
        expected.sort_unstable();
        assert_eq!(names, expected, "neither revenue nor users");
    }
    assert_problem(&public.get(PATH, Some("a.b.c")).await, 401, "invalid_token");
    assert_eq!(
        json(&public.get(PATH, Some(&public.admin())).await)["windows"][0]["registrations"],
        4
    );
}

#[tokio::test]
async fn stream_begins_with_all_windows_and_continues_with_those_that_change() {
    let gateway = gateway();
    set(&gateway, vec![window(0, 1), window(MINUTE, 1)]);
    let admin = gateway.admin();

    let read = gateway.get(STREAM, Some(&admin));
    let change = async {
        while gateway.world.inner().reads == 0 {
            tokio::task::yield_now().await;
        }
        set(&gateway, vec![window(0, 1), window(MINUTE, 2)]);
        while gateway.world.inner().reads < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        // The task that has read hands the frame out before this one runs again.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        gateway.state.drain();
    };
    let (response, ()) = tokio::join!(read, change);

    let events = events(&response);
    let names: Vec<_> = events.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["statistics", "changed", "end"]);
    let placed = |index: usize| -> Vec<i64> {
        let windows = events[index].1["windows"].as_array().unwrap();
        windows.iter().map(|window| window["placed"].as_i64().unwrap()).collect()
    };
    assert_eq!((placed(0), placed(1)), (vec![1, 1], vec![2]));
    assert_eq!(header(&response, "cache-control"), "no-store");
}

/// The events of a client without a token while the windows change.
async fn public_events(gateway: &Gateway, changes: &[Vec<Window>]) -> Vec<(String, Value)> {
    let read = gateway.get(STREAM, None);
    let change = async {
        for (number, windows) in (1..).zip(changes) {
            while gateway.world.inner().reads < number {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            set(gateway, windows.clone());
        }
        while gateway.world.inner().reads <= changes.len() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        gateway.state.drain();
    };
    let (response, ()) = tokio::join!(read, change);
    events(&response)
}

#[tokio::test]
async fn nobody_but_admins_sees_when_users_register() {
    let gateway = public();
    let registrations = |number| Window { registrations: number, ..window(0, 1) };
    let alone = Window { start_ms: MINUTE, registrations: 1, ..Window::default() };
    set(&gateway, vec![registrations(1)]);

    let changes = [
        vec![registrations(2)],
        vec![registrations(2), alone.clone()],
        vec![registrations(2), alone, window(2 * MINUTE, 7)],
    ];
    let events = public_events(&gateway, &changes).await;

    let names: Vec<_> = events.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["statistics", "changed", "end"]);
    let windows = events[1].1["windows"].as_array().unwrap();
    assert_eq!((windows.len(), &windows[0]["placed"]), (1, &json!(7)));
    let whole = json(&gateway.get(PATH, None).await);
    assert_eq!(whole["windows"].as_array().unwrap().len(), 2, "none without orders: {whole}");
}

#[tokio::test]
async fn two_hundred_clients_cost_one_read() {
    let gateway = gateway();
    set(&gateway, vec![window(0, 1)]);
    let clients: Vec<_> = (0..200).map(|_| gateway.state.statistics.subscribe()).collect();
    for mut client in clients {
        client.wait_for(Option::is_some).await.unwrap();
    }
    assert_eq!(gateway.world.inner().reads, 1);
}

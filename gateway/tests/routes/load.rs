//! More requests than fit: each class of requests has slots of its own, and what finds none is
//! refused at once.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use gateway::{
    client::Peer,
    load::{Bounds, Class},
    server::Server,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use warp::{http::Response, hyper::body::Bytes};

use crate::support::*;

const FEW: Bounds = Bounds {
    commands_max: 4,
    reads_max: 4,
    log_ins_max: 4,
    waits_max: 2,
    latency_target: Duration::from_millis(800),
};
/// How long a request may take that does not wait.
const AT_ONCE: Duration = Duration::from_secs(1);
/// How long a test waits for a condition.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// A gateway with few slots and a product, and a user's token. Orders get no outcome.
async fn with_silent_orders() -> (Gateway, String) {
    let gateway = bounded(1_000, FEW);
    gateway.product("rye").await;
    let token = gateway.user("ada@example.org").await;
    gateway.world.inner().silent = Some("order");
    (gateway, token)
}

fn client(host: u8) -> IpAddr {
    IpAddr::from([198, 51, 100, host])
}

impl Gateway {
    /// Places an order from an address of its own.
    async fn order(&self, host: u8, token: &str, prefer: &str) -> Response<Bytes> {
        let body = json!({ "lines": [{ "sku": "rye", "quantity": 1 }] });
        let order = request("POST", "/v1/orders").header("prefer", prefer).json(&body);
        self.send_from(client(host), with(Some(token), order)).await
    }

    /// Sends a request in the background.
    fn waiting(&self, host: u8, token: &str, method: &str, path: &str) -> JoinHandle<u16> {
        let request = with(Some(token), request(method, path)).header("prefer", "wait=30");
        let body = json!({ "lines": [{ "sku": "rye", "quantity": 1 }] });
        let request = if method == "POST" { request.json(&body) } else { request };
        let (request, routes) = (request.extension(Peer(client(host))), self.routes.clone());
        tokio::spawn(async move { request.reply(&routes).await.status().as_u16() })
    }

    fn in_flight(&self, class: Class) -> i64 {
        self.state.metrics.class_in_flight.with_label_values(&[class.name()]).get()
    }

    fn shed(&self, class: Class, reason: &str) -> u64 {
        self.state.metrics.shed.with_label_values(&[class.name(), reason]).get()
    }
}

/// Waits for a condition.
async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < WAIT_MAX, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn assert_shed(response: &Response<Bytes>) {
    assert_problem(response, 503, "overloaded");
    let wait: u64 = header(response, "retry-after").parse().unwrap();
    assert!((1..=3).contains(&wait), "{wait}");
    // It does not count against the limit of its address.
    assert_eq!(header(response, "ratelimit"), "");
}

#[tokio::test]
async fn slow_outcomes_shed_commands_at_once_while_reads_and_log_ins_continue() {
    // Given as many orders as fit, which wait for their outcome
    let (gateway, token) = with_silent_orders().await;
    let before = gateway.world.written();
    let orders: Vec<_> =
        (1..=4).map(|host| gateway.waiting(host, &token, "POST", "/v1/orders")).collect();
    eventually("the orders are written", || gateway.world.written() == before + 4).await;

    // When one more comes, it is refused at once, and not written
    let begun = Instant::now();
    assert_shed(&gateway.order(5, &token, "wait=30").await);
    assert!(begun.elapsed() < AT_ONCE);
    assert_eq!(gateway.world.written(), before + 4);
    assert_eq!(
        (gateway.in_flight(Class::Commands), gateway.shed(Class::Commands, "limit")),
        (4, 1)
    );

    // But reads, log-ins and health checks are answered
    for path in ["/v1/products", "/v1/orders", "/v1/users/me", "/livez"] {
        assert_eq!(gateway.get(path, Some(&token)).await.status(), 200, "{path}");
    }
    let log_in = json!({ "email": "ada@example.org", "password": "correct horse" });
    let session = gateway.send(request("POST", "/v1/sessions").json(&log_in)).await;
    assert_eq!(session.status(), 200);

    // And when the outcomes come, the orders are answered, and there is room again
    assert!(orders.iter().all(|order| !order.is_finished()));
    gateway.world.catch_up();
    for order in orders {
        assert_eq!(order.await.unwrap(), 201);
    }
    assert_eq!(gateway.order(5, &token, "wait=5").await.status(), 201);
    assert_eq!(gateway.in_flight(Class::Commands), 0);
}

#[tokio::test]
async fn undecided_command_keeps_its_slot_when_its_request_has_ended() {
    // Given requests that do not wait, and one whose client disconnects
    let (gateway, token) = with_silent_orders().await;
    for host in 1..=3 {
        assert_eq!(gateway.order(host, &token, "respond-async").await.status(), 202);
    }
    let before = gateway.world.written();
    let cut_off = gateway.waiting(4, &token, "POST", "/v1/orders");
    eventually("the order is written", || gateway.world.written() == before + 1).await;
    cut_off.abort();
    assert!(cut_off.await.is_err());

    // Then their commands count until they have an outcome
    assert_eq!(gateway.in_flight(Class::Commands), 4);
    assert_shed(&gateway.order(5, &token, "respond-async").await);
    gateway.world.catch_up();
    eventually("the slots are free", || gateway.in_flight(Class::Commands) == 0).await;
    assert_eq!(gateway.order(5, &token, "respond-async").await.status(), 202);
}

#[tokio::test]
async fn accepted_command_without_a_read_model_frees_its_slot() {
    let (gateway, _) = with_silent_orders().await;
    gateway.world.inner().silent = None;
    let admin = gateway.admin();
    let redrive = json!({ "topic": "stock.followups", "key": "tea", "reason": "mended" });
    for _ in 0..4 {
        let retry = request("POST", "/v1/operations/parked:retry").json(&redrive);
        assert_eq!(gateway.send(with(Some(&admin), retry)).await.status(), 202);
        eventually("the slot is free", || gateway.in_flight(Class::Commands) == 0).await;
    }
}

#[tokio::test]
async fn one_address_gets_half_of_the_slots_and_leaves_the_rest_to_others() {
    let (gateway, token) = with_silent_orders().await;
    for _ in 0..2 {
        assert_eq!(gateway.order(1, &token, "respond-async").await.status(), 202);
    }
    assert_shed(&gateway.order(1, &token, "respond-async").await);
    assert_eq!(gateway.shed(Class::Commands, "address"), 1);
    assert_eq!(gateway.order(2, &token, "respond-async").await.status(), 202);
}

#[tokio::test]
async fn command_that_is_not_written_or_not_valid_frees_its_slot() {
    let (gateway, token) = with_silent_orders().await;
    gateway.world.answers(Answer::Unwritten);
    for _ in 0..8 {
        assert_problem(&gateway.order(1, &token, "wait=5").await, 503, "not_written");
        let invalid = with(Some(&token), request("POST", "/v1/orders")).json(&json!({}));
        assert_problem(&gateway.send_from(client(1), invalid).await, 400, "invalid_body");
    }
    assert_eq!(gateway.in_flight(Class::Commands), 0);
}

#[tokio::test]
async fn slow_store_sheds_reads_at_once_while_commands_are_accepted() {
    // Given as many reads as fit, of a store that does not answer
    let (gateway, token) = with_silent_orders().await;
    gateway.world.inner().stores_stuck = true;
    let reads: Vec<_> =
        (1..=4).map(|host| gateway.waiting(host, &token, "GET", "/v1/orders")).collect();
    eventually("they read", || gateway.in_flight(Class::Reads) == 4).await;

    // When one more comes, it is refused at once; a command is accepted without the store
    let begun = Instant::now();
    assert_shed(&gateway.get("/v1/products", None).await);
    assert!(begun.elapsed() < AT_ONCE);
    assert_eq!(gateway.order(5, &token, "respond-async").await.status(), 202);

    // And when the store answers, the reads end and there is room again
    assert!(reads.iter().all(|read| !read.is_finished()));
    gateway.world.inner().stores_stuck = false;
    for read in reads {
        assert_eq!(read.await.unwrap(), 200);
    }
    assert_eq!(gateway.get("/v1/products", None).await.status(), 200);
}

#[tokio::test]
async fn read_that_finds_too_many_waiting_is_answered_without_a_wait() {
    // Given as many reads as may wait for an outcome
    let (gateway, token) = with_silent_orders().await;
    let taken = gateway.order(1, &token, "respond-async").await;
    let status = header(&taken, "location").to_owned();
    let waiting: Vec<_> =
        (1..=2).map(|host| gateway.waiting(host, &token, "GET", &status)).collect();
    eventually("they wait", || gateway.in_flight(Class::Waits) == 2).await;
    assert_eq!(gateway.in_flight(Class::Reads), 0, "they leave their slots to other reads");

    // When another one comes, it is answered with what is known, and so is one with `Read-After`
    let begun = Instant::now();
    let third = request("GET", &status).header("prefer", "wait=30");
    let third = gateway.send(with(Some(&token), third)).await;
    assert_eq!((third.status().as_u16(), &json(&third)["state"]), (200, &json!("pending")));
    assert_eq!(header(&third, "retry-after"), "1");
    let stale = request("GET", "/v1/products/rye").header("read-after", "stock/rye@99");
    let stale = gateway.send(stale).await;
    assert_eq!((stale.status().as_u16(), header(&stale, "read-after-satisfied")), (200, "false"));
    assert!(begun.elapsed() < AT_ONCE);

    // And the others get the outcome
    gateway.world.catch_up();
    for read in waiting {
        assert_eq!(read.await.unwrap(), 200);
    }
}

/// The answers of one connection to a request whose body comes in parts, after the gateway has the
/// head, and to a second request.
async fn answers_to(gateway: &Gateway, head: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server {
        routes: gateway.routes.clone(),
        connections_max: 4,
        unread_timeout: WAIT_MAX,
        drain_timeout: Duration::ZERO,
        connections: prometheus::IntGauge::new("connections", "open").unwrap(),
    };
    let serving = tokio::spawn(server.run(listener, std::future::pending()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = 60_000;
    let head = format!("{head} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..length / 1_000 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        stream.write_all(&[b' '; 1_000]).await.unwrap();
    }
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    serving.abort();
    answers
}

#[tokio::test]
async fn request_that_is_answered_before_its_body_keeps_its_connection() {
    let (full, token) = with_silent_orders().await;
    for host in 1..=4 {
        assert_eq!(full.order(host, &token, "respond-async").await.status(), 202);
    }
    let free = gateway();
    for (gateway, head, status) in [
        (&full, "POST /v1/orders", 503),
        (&free, "POST /v1/orders", 401),
        (&free, "POST /v1/orders?dry_run=true", 400),
        (&free, "POST /v1/sessions", 415),
        (&free, "POST /v1/nowhere", 404),
        (&free, "PUT /v1/orders", 405),
        (&free, "GET /v1/products", 200),
        (&free, "GET /dashboard", 200),
    ] {
        let answers = answers_to(gateway, head).await;
        assert!(answers.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {answers}");
        assert!(answers.matches("HTTP/1.1 200 ").count() > usize::from(status == 200), "{head}");
    }
}

//! More commands than the processors can decide: the excess is refused at once, what is accepted is
//! done, other requests continue, and afterwards the system is as quick as before. The figures are
//! printed; the bounds that are asserted leave room for a busy machine (`bench system` measures).

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use integration::client::{Answer, Client};
use tokio::task::JoinSet;

use crate::support::{Judge, PASSWORD, RECOVERY_MAX, Send, User, eventually, must, system};

/// Commands that two gateways accept without an outcome, by their default settings.
const BACKLOG_MAX: usize = 2 * 96;
/// How long a refusal may take on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Clients of one user, each with an address of its own.
fn clients(url: &str, user: &User, count: usize) -> Vec<Client> {
    let token = user.client.token().expect("a token");
    let client = || Client::new(url).expect("a client").with_token(token);
    (0..count).map(|_| client()).collect()
}

/// Asserts that a request was refused because of load, and when to try again.
fn assert_shed(answer: &Answer) {
    answer.problem(503, "overloaded");
    let wait: u64 = answer.header("retry-after").expect("a wait").parse().expect("seconds");
    assert!((1..=3).contains(&wait), "{wait}");
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn stopped_service_gets_a_bounded_backlog_and_the_rest_is_refused_at_once() {
    // Given an order service that stands still
    let system = system().await;
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 10_000).await;
    let ada = system.user("Ada").await;
    system.control.stop("order-0").await.expect("stopped");

    // When many more orders come than fit, from many addresses, and none waits for its outcome
    let clients = clients(&system.url, &ada, 60);
    let (mut accepted, mut refused) = (Vec::new(), 0);
    for _ in 0..10 {
        let round = clients.iter().map(|client| {
            let order = client.place_order(&[(&sku, 1)]);
            async move {
                let begun = Instant::now();
                (order.answer().await, begun.elapsed())
            }
        });
        for (answer, took) in join_all(round).await {
            if answer.status == 202 {
                accepted.push(answer.location_id().expect("an id").to_owned());
            } else {
                assert_shed(&answer);
                assert!(took < AT_ONCE, "a refusal took {took:?}");
                refused += 1;
            }
        }
    }

    // Then the backlog is bounded, and reads, log-ins and registrations are answered as always
    println!("{} orders accepted while the service stood still, {refused} refused", accepted.len());
    assert!((32..=BACKLOG_MAX).contains(&accepted.len()), "{}", accepted.len());
    ada.client.get("/v1/products").answer().await.expect(200);
    ada.client.get("/v1/orders").answer().await.expect(200);
    for _ in 0..10 {
        system.log_in(&ada.email, PASSWORD).await;
    }
    system.user("Bob").await;

    // And when the service runs again, everything that was accepted is done, and orders work
    system.restart("order-0").await;
    eventually("every accepted order is confirmed", RECOVERY_MAX, async || {
        let product = ada.client.get(&format!("/v1/products/{sku}")).answer().await;
        let sold = 10_000 - product.expect_code(200)?.body["available"].as_i64().unwrap_or(0);
        must(usize::try_from(sold) == Ok(accepted.len()), format!("{sold} are sold"))
    })
    .await;
    eventually("an order is accepted", RECOVERY_MAX, async || {
        let answer = ada.client.place_order(&[(&sku, 1)]).wait(10).answer().await;
        must(answer.status == 201, format!("{} {}", answer.status, answer.body))
    })
    .await;
}

/// What a load has seen.
#[derive(Default)]
struct Seen {
    /// Latencies by status.
    latencies: BTreeMap<u16, Vec<Duration>>,
}

impl Seen {
    fn count(&self, status: u16) -> usize {
        self.latencies.get(&status).map_or(0, Vec::len)
    }

    fn p99(&mut self, status: u16) -> Duration {
        let latencies = self.latencies.entry(status).or_default();
        latencies.sort_unstable();
        latencies.get(latencies.len() * 99 / 100).copied().unwrap_or_default()
    }
}

/// Sends `rate` orders a second for some seconds, whether earlier ones are answered or not.
/// Requests that overlap come from different addresses.
async fn orders(url: &str, user: &User, sku: &str, rate: u32, seconds: u32) -> Seen {
    let free: &'static Mutex<Vec<Client>> = Box::leak(Box::default());
    let mut sending = JoinSet::new();
    let begun = tokio::time::Instant::now();
    for number in 0..rate * seconds {
        let due = begun + Duration::from_secs(1) * number / rate;
        tokio::time::sleep_until(due).await;
        let client = free.lock().expect("a lock").pop();
        let client = client.unwrap_or_else(|| clients(url, user, 1).remove(0));
        let sku = sku.to_owned();
        sending.spawn(async move {
            let answer = client.place_order(&[(&sku, 1)]).wait(20).send().await.expect("an answer");
            free.lock().expect("a lock").push(client);
            (answer, due.elapsed())
        });
    }
    let mut seen = Seen::default();
    while let Some(sent) = sending.join_next().await {
        let (answer, took) = sent.expect("an answer");
        if answer.status == 503 {
            assert_shed(&answer);
        }
        seen.latencies.entry(answer.status).or_default().push(took);
    }
    seen
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn three_times_the_capacity_is_shed_and_what_is_accepted_is_quick() {
    // Given what the system can do: clients that order one after the other
    let system = system().await;
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 1_000_000).await;
    let ada = system.user("Ada").await;
    let (begun, seconds) = (Instant::now(), 5);
    let counts = clients(&system.url, &ada, 48).into_iter().map(|client| {
        let sku = &*sku;
        async move {
            let mut count = 0;
            while begun.elapsed() < Duration::from_secs(seconds) {
                let answer = client.place_order(&[(sku, 1)]).wait(20).answer().await;
                count += u32::from(answer.status == 201);
            }
            count
        }
    });
    let done: u32 = join_all(counts).await.iter().sum();
    let capacity = f64::from(done) / begun.elapsed().as_secs_f64();

    // When three times as many orders come
    let rate = 3 * capacity as u32;
    let mut seen = orders(&system.url, &ada, &sku, rate.max(30), 8).await;

    // Then about as many are done, in time, and the others are refused
    let done = seen.count(201) as f64 / 8.0;
    let (accepted, refused) = (seen.p99(201), seen.p99(503));
    let shed = seen.count(503);
    println!("capacity {capacity:.0}/s; of {rate}/s {done:.0}/s done, p99 {accepted:?}");
    println!("{shed} refused, p99 {refused:?}");
    let statuses: Vec<_> = seen.latencies.keys().copied().collect();
    assert!(statuses.iter().all(|status| [201, 503].contains(status)), "{statuses:?}");
    assert!(shed > 0 && done >= capacity / 4.0, "{done} of {capacity}");
    assert!(accepted < Duration::from_secs(15), "{accepted:?}");
    assert!(refused < AT_ONCE, "{refused:?}");

    // And five seconds later orders are as quick as ever
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut after = orders(&system.url, &ada, &sku, 2, 3).await;
    let quick = after.p99(201);
    println!("five seconds later: {quick:?}");
    assert_eq!(after.count(201), 6);
    assert!(quick < AT_ONCE, "{quick:?}");
}

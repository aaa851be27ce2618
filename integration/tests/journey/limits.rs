//! The request limit: a hundred in fifteen minutes for each client address, over both gateways,
//! whatever address a client claims. And how long those wait who guess a password.

use integration::client::{Client, any_address};
use redis::AsyncCommands as _;

use crate::support::{Judge, PASSWORD, Send, any, system, variable};

#[tokio::test]
#[ignore = "needs the stack"]
async fn the_hundred_and_first_request_is_too_many() {
    // Given a client at an address of its own
    let system = system().await;
    let address = any_address();
    let client = Client::at(&system.url, address).expect("a client");

    // When it has sent a hundred requests, through a balancer that distributes them over two
    // gateways
    let mut last = client.get("/v1/products").answer().await;
    for n in 2..=100 {
        assert_eq!(200, last.status, "request {n}: {}", last.body);
        last = client.get("/v1/products").answer().await;
    }

    // Then each answer said how many are left
    let limit = last.expect(200).header("ratelimit").expect("a header").to_owned();
    assert!(limit.contains("r=0"), "{limit}");
    let policy = last.header("ratelimit-policy").expect("a header").to_owned();
    assert!(policy.contains("q=100") && policy.contains("w=900"), "{policy}");

    // And the next one is refused, whatever address it claims
    for forwarded in ["", "203.0.113.7", "127.0.0.1"] {
        let request = client.get("/v1/products");
        let request = if forwarded.is_empty() {
            request
        } else {
            let header = format!("for={forwarded}");
            request
                .header("x-forwarded-for", forwarded)
                .header("forwarded", &header)
                .header("x-real-ip", forwarded)
        };
        let refused = request.answer().await;
        refused.problem(429, "rate_limited");
        let wait: u64 = refused.header("retry-after").expect("a wait").parse().expect("seconds");
        assert!((1..=900).contains(&wait), "{wait}");
        assert!(
            refused.header("ratelimit").is_some_and(|limit| limit.contains("r=0")),
            "{:?}",
            refused.headers
        );
    }

    // And sending it to a gateway directly does not help
    for gateway in &system.gateways {
        let client = Client::at(gateway, address).expect("a client");
        let claimed =
            client.get("/v1/products").header("x-forwarded-for", "203.0.113.7").answer().await;
        claimed.expect(429);
    }

    // But health checks and static files still work, and so do other clients
    for path in ["/livez", "/readyz", "/"] {
        client.get(path).answer().await.expect(200);
    }
    system.visitor().get("/v1/products").answer().await.expect(200);
}

/// How many clients each account knows.
async fn known() -> Vec<usize> {
    let client = redis::Client::open(variable("MILLRACE_REDIS_URL")).expect("a URL");
    let mut redis = client.get_multiplexed_async_connection().await.expect("Redis");
    let keys: Vec<String> = redis.keys("millrace:gateway:known:*").await.expect("keys");
    let mut sizes = Vec::new();
    for key in keys {
        let left_s: i64 = redis.ttl(&key).await.expect("a time");
        assert!((1..=60 * 86_400).contains(&left_s), "{key} expires in {left_s} s");
        sizes.push(redis.zcard(&key).await.expect("a size"));
    }
    sizes
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn account_knows_the_newest_clients_which_do_not_wait_for_others() {
    // Given an account, to which its owner logs in from many addresses
    let system = system().await;
    let ada = system.user("Ada").await;
    let anybody = || Client::at(&system.url, any_address()).expect("a client");
    let log_in = async |client: &Client| {
        client.log_in(&ada.email, PASSWORD).answer().await.expect(200);
    };
    for _ in 0..33 {
        log_in(&anybody()).await;
    }
    let owner = anybody();
    log_in(&owner).await;

    // Then it knows a bounded number of them
    assert_eq!(Some(32), known().await.into_iter().max());

    // When others guess the password until they wait for one another
    let guess = async |client: &Client| client.log_in(&ada.email, &any()).answer().await;
    for _ in 0..50 {
        guess(&anybody()).await.expect(401);
    }
    let guesser = anybody();
    guess(&guesser).await.expect(401);
    guess(&guesser).await.expect(401);
    guess(&guesser).await.problem(429, "too_many_attempts");

    // Then the last of them does not wait, also after mistyping
    guess(&owner).await.expect(401);
    log_in(&owner).await;
}

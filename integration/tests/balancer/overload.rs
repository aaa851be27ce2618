//! More requests than the limits allow.

use std::sync::atomic::Ordering;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{
    BOUNDS, Balancer, Manner, REQUEST, TEMPLATE, assert_problem, bounded, ended, gateway, raw, sent,
};

#[track_caller]
fn assert_overloaded(answer: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert_problem("one too many", head, body, 503, "overloaded");
    assert!(head.contains("\r\nRetry-After: 2"), "{head}");
}

#[tokio::test]
#[ignore = "needs nginx: integration/test runs it"]
async fn requests_beyond_the_limit_get_503_and_those_within_it_go_on() {
    let waiting = gateway(Manner::Wait).await;
    let limits = [("limit_conn requests 680;", "limit_conn requests 8;")];
    let balancer = bounded(&waiting.address, &waiting.address, &limits).await;
    // Given as many requests in flight as there may be
    let mut held = Vec::new();
    for host in 1..=8 {
        held.push(sent(&balancer, host, REQUEST).await);
    }
    waiting.met(8).await;
    // When many more come at once, some of them with a large body
    let body = "x".repeat(60_000);
    let large = format!(
        "POST /v1/orders HTTP/1.1\r\nHost: millrace.example\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answers = (0..100).map(|number| {
        let (balancer, large) = (&balancer, large.as_str());
        async move {
            ended(sent(balancer, 100, if number % 4 == 0 { large } else { REQUEST }).await).await
        }
    });
    // Then each gets a whole answer, and no gateway gets the request
    for answer in futures_util::future::join_all(answers).await {
        assert_overloaded(&answer);
    }
    assert_eq!(8, waiting.requests.load(Ordering::SeqCst));
    // And the first ones are answered, and so is the next one
    waiting.go.send_replace(true);
    for stream in held {
        assert!(ended(stream).await.starts_with("HTTP/1.1 200 "));
    }
    assert!(raw(&balancer, REQUEST).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
#[ignore = "needs nginx: integration/test runs it"]
async fn stream_whose_client_does_not_read_is_closed() {
    let flooding = gateway(Manner::Flood).await;
    let soon = [("send_timeout 30s;", "send_timeout 1s;")];
    let balancer = bounded(&flooding.address, &flooding.address, &soon).await;
    let request = REQUEST.replace("/v1/products", "/v1/statistics/stream");
    let unread = sent(&balancer, 1, &request).await;
    // The gateway's connection is closed too, so that its slot is free.
    flooding.met(2).await;
    drop(unread);
}

#[tokio::test]
#[ignore = "needs nginx: integration/test runs it"]
async fn one_address_and_all_streams_leave_room_for_other_requests() {
    let (waiting, streaming) = (gateway(Manner::Wait).await, gateway(Manner::Stream).await);
    let limits = [
        ("limit_conn by_address 256;", "limit_conn by_address 2;"),
        ("limit_conn streams 1024;", "limit_conn streams 3;"),
    ];
    let stream = REQUEST.replace("/v1/products", "/v1/stream");

    let one = bounded(&waiting.address, &waiting.address, &limits).await;
    let held = [sent(&one, 1, REQUEST).await, sent(&one, 1, REQUEST).await];
    waiting.met(2).await;
    assert_overloaded(&raw(&one, REQUEST).await);
    assert_overloaded(&raw(&one, &stream).await);
    let other = sent(&one, 2, REQUEST).await;
    waiting.met(3).await;
    waiting.go.send_replace(true);
    for stream in held.into_iter().chain([other]) {
        assert!(ended(stream).await.starts_with("HTTP/1.1 200 "));
    }

    let all = bounded(&streaming.address, &streaming.address, &limits).await;
    let mut open = Vec::new();
    for host in 1..=3 {
        open.push(sent(&all, host, &stream).await);
    }
    streaming.met(3).await;
    assert_overloaded(&ended(sent(&all, 4, &stream).await).await);
    let _request = sent(&all, 5, REQUEST).await;
    streaming.met(4).await;
}

/// Lets clients of a test choose their address by a header: a machine may have no IPv6.
const CHOSEN_ADDRESS: (&str, &str) = (
    "server_tokens off;",
    "server_tokens off; set_real_ip_from 127.0.0.0/8; real_ip_header X-Real-IP;",
);

/// A command from `address`, as far as its body. The client asks whether to send it.
fn head(address: &str) -> String {
    format!(
        "POST /v1/orders HTTP/1.1\r\nHost: millrace.example\r\nConnection: close\r\n\
         X-Real-IP: {address}\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    )
}

/// Begins a command whose body does not come. The balancer waits for it, and counts the request.
async fn begun(balancer: &Balancer, address: &str) -> TcpStream {
    let expected = b"HTTP/1.1 100 Continue\r\n\r\n";
    let mut stream = sent(balancer, 1, &head(address)).await;
    let mut answer = vec![0; expected.len()];
    stream.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(String::from_utf8_lossy(&answer), String::from_utf8_lossy(expected), "{address}");
    stream
}

/// The whole answer to a command from `address` with its body.
async fn whole(balancer: &Balancer, address: &str, body: &str) -> String {
    let request = head(address).replace("Expect: 100-continue\r\n", "");
    let request = match body {
        "chunked" => {
            request.replace("Content-Length: 2", "Transfer-Encoding: chunked")
                + "2\r\n{}\r\n0\r\n\r\n"
        }
        _ => request + body,
    };
    raw(balancer, &request).await
}

#[tokio::test]
#[ignore = "needs nginx: integration/test runs it"]
async fn slow_bodies_leave_room_for_the_requests_of_others_and_for_reads() {
    let well = gateway(Manner::Echo).await;
    let limits = [
        CHOSEN_ADDRESS,
        ("limit_conn bodies_by_address 64;", "limit_conn bodies_by_address 2;"),
        ("limit_conn bodies 360;", "limit_conn bodies 3;"),
    ];
    let balancer = bounded(&well.address, &well.address, &limits).await;
    // Given as many slow bodies as one network may have, from several of its addresses
    let mut slow = vec![
        begun(&balancer, "2001:db8:0:1::1").await,
        begun(&balancer, "2001:db8:0:1:2:3:4:5").await,
    ];
    // Then no other address of it may send one, but all may read
    assert_overloaded(&whole(&balancer, "2001:db8:0:1:0:0:a:a", "{}").await);
    assert_overloaded(&whole(&balancer, "2001:db8:0:1::9", "chunked").await);
    let read = REQUEST.replace("Host:", "X-Real-IP: 2001:db8:0:1::1\r\nHost:");
    assert!(raw(&balancer, &read).await.starts_with("HTTP/1.1 200 "));
    assert!(raw(&balancer, &read.replace("GET", "POST")).await.starts_with("HTTP/1.1 200 "));
    // Another network may, until all have as many as there may be
    slow.push(begun(&balancer, "2001:db8:0:2::1").await);
    assert_overloaded(&whole(&balancer, "198.51.100.1", "{}").await);
    // And when the bodies come, they are answered
    for mut stream in slow {
        stream.write_all(b"{}").await.expect("sent");
        assert!(ended(stream).await.starts_with("HTTP/1.1 200 "));
    }
}

#[tokio::test]
#[ignore = "needs nginx: integration/test runs it"]
async fn ipv4_address_is_a_client_of_its_own_also_when_it_is_mapped_into_ipv6() {
    let well = gateway(Manner::Echo).await;
    let limits =
        [CHOSEN_ADDRESS, ("limit_conn bodies_by_address 64;", "limit_conn bodies_by_address 1;")];
    let balancer = bounded(&well.address, &well.address, &limits).await;
    let _slow = begun(&balancer, "::ffff:198.51.100.1").await;
    assert_overloaded(&whole(&balancer, "198.51.100.1", "{}").await);
    let other = whole(&balancer, "::ffff:198.51.100.2", "{}").await;
    assert!(other.starts_with("HTTP/1.1 200 "), "{other}");
}

#[tokio::test]
#[ignore = "needs nginx: integration/test runs it"]
async fn what_a_gateway_refuses_is_not_sent_to_the_other_one() {
    let (first, second) = (gateway(Manner::Shed).await, gateway(Manner::Shed).await);
    let balancer = bounded(&first.address, &second.address, &[]).await;
    for number in 1..=20 {
        for method in ["GET", "POST", "DELETE"] {
            let answer = raw(&balancer, &REQUEST.replace("GET", method)).await;
            assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("busy"), "{answer}");
            assert!(answer.contains("\r\nRetry-After: 3"), "{answer}");
        }
        let met = [&first, &second].map(|gateway| gateway.requests.load(Ordering::SeqCst));
        assert_eq!(3 * number, met.iter().sum::<usize>(), "each request reaches one gateway once");
        assert!(met.iter().all(|met| met.abs_diff(3 * number / 2) <= 3), "both are used: {met:?}");
    }
}

#[tokio::test]
#[ignore = "needs nginx: integration/test runs it"]
async fn without_a_connection_to_a_gateway_the_answer_is_503_and_not_500() {
    let well = gateway(Manner::Echo).await;
    let room = [
        ("worker_connections 4000;", "worker_connections 32;"),
        // On a slow machine the first ones would be closed before the last ones are open.
        ("client_header_timeout 10s;", "client_header_timeout 100s;"),
    ];
    let balancer = bounded(&well.address, &well.address, &room).await;
    // Given clients that take one connection after another and never end their requests
    let mut slow = Vec::new();
    let answer = loop {
        slow.push(sent(&balancer, 1, "GET /v1/products HTTP/1.1\r\nHost:").await);
        assert!(slow.len() < 100, "the test met the end of the connections");
        // When a request gets the last one, so that there is none to a gateway
        let answer = raw(&balancer, REQUEST).await;
        if !answer.starts_with("HTTP/1.1 200 ") {
            break answer;
        }
    };
    // Then the answer says when to retry
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert_problem("out of connections", head, body, 503, "unavailable");
    assert!(head.contains("\r\nRetry-After: 2"), "{head}");
}

/// The number that follows `before` in a text.
fn number(text: &str, before: &str) -> usize {
    let (_, after) = text.split_once(before).unwrap_or_else(|| panic!("nothing says {before}"));
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

#[test]
fn there_are_connections_for_all_that_the_limits_allow() {
    let (site, main) = (std::fs::read_to_string(TEMPLATE), std::fs::read_to_string(BOUNDS));
    let (site, main) = (site.expect("the template"), main.expect("the bounds"));
    let in_flight = number(&site, "limit_conn requests ") + number(&site, "limit_conn streams ");
    let connections = number(&main, "worker_connections ");
    // Two for each request, the idle ones to gateways, and an eighth for clients that wait
    let needed = 2 * in_flight + number(&site, "keepalive ") + connections / 8;
    assert!(connections >= needed, "{connections} connections, {needed} are needed");
    // Some files are not connections: listening sockets, logs, the event loop's own
    let files = number(&main, "worker_rlimit_nofile ");
    assert!(files >= connections + 64, "{files} files for {connections} connections");
    assert!(files <= 4096, "a machine may not allow {files} files");
}

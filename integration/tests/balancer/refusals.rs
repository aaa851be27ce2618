//! Requests that the balancer refuses by itself.

use std::sync::atomic::Ordering;

use crate::support::{Manner, assert_problem, balancer, closed_port, gateway, raw};

#[tokio::test]
#[ignore = "needs nginx: integration/test runs it"]
async fn what_the_balancer_refuses_is_a_problem_as_the_gateway_writes_them() {
    let well = gateway(Manner::Echo).await;
    let balancer = balancer(&well.address, &well.address).await;
    let head = "HTTP/1.1\r\nHost: millrace.example\r\nConnection: close\r\n";
    let long = "x".repeat(9_000);
    for (request, status, code) in [
        (format!("TRACE / {head}\r\n"), 405, "method_not_allowed"),
        (format!("GET / {head}X-Long: {long}\r\n\r\n"), 431, "headers_too_large"),
        (format!("GET /{long} {head}\r\n"), 414, "uri_too_long"),
        (format!("GET /%zz {head}\r\n"), 400, "invalid_request"),
        (
            format!("POST /v1/orders {head}Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
            400,
            "invalid_request",
        ),
        (
            format!("PUT /v1/orders {head}Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
            400,
            "invalid_request",
        ),
        (format!("POST /v1/orders {head}Transfer-Encoding: gzip\r\n\r\n"), 501, "not_implemented"),
        (format!("POST /v1/orders {head}Content-Length: 70000\r\n\r\n"), 413, "too_large"),
        (format!("DELETE /v1/users/me {head}Content-Length: 70000\r\n\r\n"), 413, "too_large"),
        ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(), 400, "invalid_request"),
        ("GET / HTTP/3.0\r\nHost: millrace.example\r\n\r\n".to_owned(), 505, "http_version"),
        (format!("GET /v1/stream {head}Content-Length: 1\r\n\r\n"), 400, "invalid_request"),
        ("no request\r\n\r\n".to_owned(), 400, "invalid_request"),
        (format!("GET /.problem {head}\r\n"), 404, "not_found"),
    ] {
        let answer = raw(&balancer, &request).await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert_problem(&request, head, body, status, code);
        // Of what is refused here only TRACE reaches a known path with a method it does not take
        let allowed = head.lines().find_map(|line| line.strip_prefix("Allow: "));
        assert_eq!((status == 405).then_some("GET"), allowed, "{request}: {head}");
    }
    assert_eq!(0, well.requests.load(Ordering::SeqCst), "none of it reaches a gateway");

    let nobody = closed_port();
    let balancer = self::balancer(&nobody, &nobody).await;
    for method in ["GET", "POST", "DELETE"] {
        let answer = raw(&balancer, &format!("{method} /v1/orders {head}\r\n")).await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert_problem(method, head, body, 503, "unavailable");
        assert!(head.contains("\r\nRetry-After: 2"), "{method}: {head}");
    }
}

//! The tracking of hot products against a server that speaks just enough of Redis's protocol.

use std::time::Duration;

use projections::redis::{Reads, Redis, Tracked, Tracking};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::timeout,
};

const WITHIN: Duration = Duration::from_secs(20);

/// A listener that collects what it learns.
async fn tracked(listener: &TcpListener) -> (Tracking, UnboundedReceiver<Tracked>) {
    let url = format!("redis://{}", listener.local_addr().expect("an address"));
    let (sender, receiver) = unbounded_channel();
    let reads = Reads::new(Redis::new(&url).expect("a URL"));
    let tracking = reads.track_products(move |tracked| {
        // The test may have ended.
        let _ = sender.send(tracked);
    });
    (tracking, receiver)
}

/// Accepts a connection, and answers until it tracks; returns it with what it was asked.
async fn accept(listener: &TcpListener) -> (TcpStream, String) {
    let (mut stream, _) = timeout(WITHIN, listener.accept()).await.expect("in time").expect("one");
    let (mut asked, mut chunk) = (String::new(), [0; 4096]);
    while !asked.contains("TRACKING") {
        let length = stream.read(&mut chunk).await.expect("a command");
        assert!(length > 0, "closed after {asked}");
        let text = String::from_utf8_lossy(&chunk[..length]).into_owned();
        let hello = "%1\r\n$5\r\nproto\r\n:3\r\n".repeat(text.matches("HELLO").count());
        let done = text.matches("SETINFO").count() + text.matches("TRACKING").count();
        let answer = hello + &"+OK\r\n".repeat(done);
        stream.write_all(answer.as_bytes()).await.expect("an answer");
        asked += &text;
    }
    (stream, asked)
}

async fn next(receiver: &mut UnboundedReceiver<Tracked>) -> Tracked {
    timeout(WITHIN, receiver.recv()).await.expect("in time").expect("a report")
}

#[tokio::test]
async fn changes_are_reported_until_the_connection_is_lost_and_after_it_is_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (_tracking, mut reports) = tracked(&listener).await;

    let (mut stream, asked) = accept(&listener).await;
    assert!(asked.contains("BCAST") && asked.contains("PREFIX"), "{asked}");
    assert!(asked.contains("$8\r\nproduct:\r\n"), "{asked}");
    assert_eq!(next(&mut reports).await, Tracked::Begun);
    for invalidated in ["*1\r\n$11\r\nproduct:rye\r\n", "_\r\n"] {
        let push = format!(">2\r\n$10\r\ninvalidate\r\n{invalidated}");
        stream.write_all(push.as_bytes()).await.expect("sent");
        assert_eq!(next(&mut reports).await, Tracked::Changed);
    }
    drop(stream);
    assert_eq!(next(&mut reports).await, Tracked::Lost);

    let (_stream, _) = accept(&listener).await;
    assert_eq!(next(&mut reports).await, Tracked::Begun);
}

#[tokio::test]
async fn server_that_stops_answering_counts_as_lost() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (_tracking, mut reports) = tracked(&listener).await;
    let (_stream, _) = accept(&listener).await;
    assert_eq!(next(&mut reports).await, Tracked::Begun);
    // It is open, and pings have no answer.
    assert_eq!(next(&mut reports).await, Tracked::Lost);
}

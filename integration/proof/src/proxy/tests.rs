//! Messages of each protocol, and a proxy before two servers.

use super::protocol::OP_MSG;
use super::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn link(protocol: Protocol) -> Link {
    Link {
        protocol,
        mode: watch::Sender::new(Mode::Pass).subscribe(),
        commit_requests: Mutex::default(),
        swallows: AtomicBool::new(false),
        harmed: Arc::default(),
        left: Arc::default(),
        transactions: Arc::default(),
    }
}

#[test]
fn a_commit_is_known_by_its_answer_in_postgres_and_redis() {
    assert!(link(Protocol::Postgres).is_commit(b"C\0\0\0\x0bCOMMIT\0"));
    assert!(!link(Protocol::Postgres).is_commit(b"C\0\0\0\x0aBEGIN\0"));
    assert!(link(Protocol::Redis).is_commit(b":1\r\n$2\r\nok\r\n"));
    assert!(!link(Protocol::Redis).is_commit(b"$4\r\nlost\r\n"));
}

#[test]
fn requests_of_a_transaction_are_known_by_their_numbers() {
    let offsets = b"\0\0\0\x08\0\x1c\0\x03\0\0\0\x07";
    assert!(Protocol::Kafka.asks(offsets, TransactionRequest::TxnOffsetCommit));
    assert!(
        !Protocol::Kafka.asks(offsets, TransactionRequest::EndTxn)
            && !Protocol::Mongo.asks(offsets, TransactionRequest::TxnOffsetCommit)
    );
    assert!(Protocol::Kafka.asks(b"\0\0\0\x08\0\0\0\x07\0\0\0\x07", TransactionRequest::Produce));
}

async fn reply(server: TcpListener, answer: &'static [u8]) {
    let (mut stream, _) = server.accept().await.expect("the proxy connects");
    stream.write_all(answer).await.expect("it takes");
    stream.flush().await.expect("it takes");
    tokio::time::sleep(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn each_address_stands_for_a_server_of_its_own() {
    let (one, two) =
        (TcpListener::bind("127.0.0.1:0").await, TcpListener::bind("127.0.0.1:0").await);
    let (one, two) = (one.expect("a port"), two.expect("a port"));
    let at = |server: &TcpListener| server.local_addr().expect("its number").to_string();
    let pairs = [("127.0.0.1:0", &*at(&one)), ("127.0.0.1:0", &*at(&two))];
    let proxy = Proxy::start(&pairs, Protocol::Redis).await.expect("it listens");
    tokio::spawn(reply(one, b"1"));
    tokio::spawn(reply(two, b"2"));
    let mut seen = Vec::new();
    for address in proxy.at().split(',') {
        let mut client = TcpStream::connect(address).await.expect("the proxy listens");
        seen.push(client.read_u8().await.expect("an answer"));
    }
    assert_eq!(seen, b"12");
}

#[test]
fn a_commit_is_known_by_its_request_in_kafka_and_mongo() {
    // Length, key 26, version 3, correlation id 7; the answer has the id behind its length.
    let end = b"\0\0\0\x08\0\x1a\0\x03\0\0\0\x07";
    assert_eq!(Protocol::Kafka.commit_id(end), Some(7));
    assert_eq!(Protocol::Kafka.commit_id(b"\0\0\0\x08\0\x00\0\x03\0\0\0\x07"), None);
    let asked = link(Protocol::Kafka);
    asked.commit_requests.lock().expect("a lock").insert(7);
    assert!(asked.is_commit(b"\0\0\0\x04\0\0\0\x07") && !asked.is_commit(b"\0\0\0\x04\0\0\0\x07"));

    let mongo = |name: &[u8]| {
        let header = [&40_i32, &9, &0, &OP_MSG, &0].map(|word| word.to_le_bytes()).concat();
        [&header[..], b"\0\x13\0\0\0\x02", name, b"\0..."].concat()
    };
    assert_eq!(Protocol::Mongo.commit_id(&mongo(b"update")), Some(9));
    assert_eq!(Protocol::Mongo.commit_id(&mongo(b"find")), None);
}

/// Sends a request with this API key to the server behind the proxy.
async fn request(proxy: &Proxy, key: u8) -> TcpStream {
    let mut client = TcpStream::connect(proxy.at()).await.expect("the proxy listens");
    client.write_all(&[0, 0, 0, 8, 0, key, 0, 3, 0, 0, 0, 7]).await.expect("it takes");
    client
}

/// The API keys of the first requests of `count` connections, in the order in which they arrive.
fn arrivals(server: TcpListener, count: usize) -> tokio::sync::mpsc::Receiver<u8> {
    let (sender, arrivals) = tokio::sync::mpsc::channel(count);
    tokio::spawn(async move {
        for _ in 0..count {
            let (mut stream, _) = server.accept().await.expect("the proxy connects");
            let sender = sender.clone();
            tokio::spawn(async move {
                let mut message = [0; 12];
                if stream.read_exact(&mut message).await.is_ok() {
                    sender.send(message[5]).await.expect("somebody listens");
                }
                // The connection stays open.
                drop(stream.read_u8().await);
            });
        }
    });
    arrivals
}

#[tokio::test]
async fn late_end_arrives_in_the_next_transaction() {
    let (produce, end) = (TransactionRequest::Produce as u8, TransactionRequest::EndTxn as u8);
    let server = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = server.local_addr().expect("its number").to_string();
    let proxy = Proxy::start(&[("127.0.0.1:0", &at)], Protocol::Kafka).await.expect("it listens");
    let mut arrivals = arrivals(server, 4);

    // Given an end that is held back
    proxy.set(Mode::Late(TransactionRequest::EndTxn, Duration::ZERO), 1);
    let mut held = request(&proxy, end).await;
    assert!(held.read_u8().await.is_err(), "the proxy closes the connection");

    // When the client sends it again, then the first copy does not arrive yet
    let _again = request(&proxy, end).await;
    assert_eq!(arrivals.recv().await, Some(end));
    assert_eq!(proxy.harmed(), 0);

    // When the next transaction has begun, then it arrives, and counts
    let _next = request(&proxy, produce).await;
    let mut both = [arrivals.recv().await, arrivals.recv().await];
    both.sort_unstable();
    assert_eq!(both, [Some(produce), Some(end)]);
    assert!(proxy.harms(0, Duration::from_secs(5)).await);
}

//! Counters on a Redis that replies late or never: no caller waits beyond the deadline, and a
//! connection that swallows commands is replaced. And what is counted together is counted as if it
//! were alone. The server here speaks just enough of Redis's protocol.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use gateway::counters::{Count, Counters, RedisCounters};
use redpanda::tls::Tls;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// The counters' deadline of 250 ms, with a margin for a busy machine.
const DEADLINE: Duration = Duration::from_secs(2);

/// How a connection behaves.
#[derive(Clone, Copy)]
enum Manner {
    /// Reads and never replies.
    Silent,
    /// Replies to the client's introduction, and to nothing else.
    Swallows,
    /// Replies to every increment.
    Counts,
    /// Adds increments up, and replies late enough that others come meanwhile.
    Adds,
}

/// A server whose first connections behave as `manners` says; all later ones behave as the last.
async fn server(manners: &'static [Manner]) -> (RedisCounters, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("redis://{}", listener.local_addr().expect("an address"));
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let number = counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(answer(stream, manners[number.min(manners.len() - 1)]));
        }
    });
    (RedisCounters::new(&url, &Tls::default()).expect("a URL"), connections)
}

async fn answer(mut stream: TcpStream, manner: Manner) {
    let mut chunk = [0; 16_384];
    let mut sums = BTreeMap::new();
    while let Ok(length @ 1..) = stream.read(&mut chunk).await {
        let text = String::from_utf8_lossy(&chunk[..length]);
        let introduced = "+OK\r\n".repeat(text.matches("SETINFO").count());
        let hits = "*2\r\n:1\r\n:900\r\n".repeat(text.matches("EVALSHA").count());
        let answer = match manner {
            Manner::Silent => continue,
            Manner::Swallows => introduced,
            Manner::Counts => introduced + &hits,
            Manner::Adds => {
                tokio::time::sleep(Duration::from_millis(5)).await;
                introduced + &added(&text, &mut sums)
            }
        };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The replies to the scripts in `text`, which add to the sums of their keys: first two numbers for
/// the script's digest and the number of keys, then the keys, then expiry and increment of each.
fn added(text: &str, sums: &mut BTreeMap<String, u64>) -> String {
    let is_length = |part: &&str| part.starts_with('$') || part.starts_with('*');
    let mut parts = text.split("\r\n").filter(|part| !is_length(part));
    let mut replies = String::new();
    while parts.any(|part| part == "EVALSHA") {
        let number: usize = parts.nth(1).and_then(|part| part.parse().ok()).expect("a number");
        let keys: Vec<_> = parts.by_ref().take(number).map(str::to_owned).collect();
        replies += &format!("*{}\r\n", 2 * number);
        for key in keys {
            let more: u64 = parts.nth(1).and_then(|part| part.parse().ok()).expect("a number");
            let sum = sums.entry(key).or_default();
            *sum += more;
            replies += &format!(":{sum}\r\n:900\r\n");
        }
    }
    replies
}

/// An increment, which must end before the deadline.
async fn hit(counters: &RedisCounters) -> Option<Count> {
    let begun = Instant::now();
    let counted = counters.hit("key", Duration::from_secs(900)).await;
    assert!(begun.elapsed() < DEADLINE, "waited {:?}", begun.elapsed());
    counted.ok()
}

#[tokio::test]
async fn hit_on_a_silent_redis_fails_before_the_deadline() {
    let (counters, connections) = server(&[Manner::Silent]).await;
    for _ in 0..4 {
        assert_eq!(hit(&counters).await, None);
    }
    assert!(connections.load(Ordering::SeqCst) > 0, "the test met the server");
}

#[tokio::test]
async fn connection_that_swallows_a_hit_is_replaced() {
    let (counters, connections) = server(&[Manner::Swallows, Manner::Counts]).await;
    assert_eq!(hit(&counters).await, None, "the first connection swallows it");
    let begun = Instant::now();
    let count = loop {
        if let Some(count) = hit(&counters).await {
            break count;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "the connection is not replaced");
    };
    assert_eq!(count, Count { count: 1, left: Duration::from_millis(900) });
    assert!(connections.load(Ordering::SeqCst) > 1, "the old connection is used again");
}

#[tokio::test]
async fn concurrent_hits_of_a_key_get_different_counts_without_a_gap() {
    let (counters, _) = server(&[Manner::Adds]).await;
    let keys: Vec<_> = (0..120).map(|number| format!("address-{}", number % 60)).collect();
    let window = Duration::from_secs(900);
    let hits = keys.iter().chain(std::iter::repeat_n(&keys[7], 40));
    let hits = hits.map(async |key| {
        // One that has timed out on a busy machine would have no count.
        (key.clone(), counters.hit(key, window).await.expect("a count").count)
    });
    let mut counts: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (key, count) in futures_util::future::join_all(hits).await {
        counts.entry(key).or_default().push(count);
    }
    assert_eq!(counts.len(), 60);
    for (key, mut counts) in counts {
        counts.sort_unstable();
        let all = if key == keys[7] { 42 } else { 2 };
        assert_eq!(counts, (1..=all).collect::<Vec<_>>(), "{key}");
    }
}

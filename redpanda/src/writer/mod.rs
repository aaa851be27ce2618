//! Writes commands into the log with rskafka: no transaction, acknowledged by all replicas.
//!
//! It never reads, because rskafka returns aborted records. A write may be stored twice, or after
//! its deadline; the processor deduplicates commands by their ids.

mod connections;
mod error;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use rskafka::{client::partition::Compression, record::Record};
use tokio::sync::Semaphore;

pub use error::WriteError;

use crate::{
    brokers::Brokers,
    log::{Cause, Headers},
    partition_of,
    topics::{self, Topics},
};
use connections::Connections;

/// The largest number of writes in flight, including those past their deadline.
const IN_FLIGHT_MAX: usize = 4_096;
/// How long a write continues after its deadline. Then it is cancelled, and its connection, which
/// has not answered, is closed.
const LATE_MAX: Duration = Duration::from_secs(30);

/// Writes commands. Clones share their connections.
#[derive(Clone)]
pub struct CommandWriter(Arc<Inner>);

struct Inner {
    connections: Connections,
    topics: Topics,
    in_flight_max: usize,
    /// One permit for each write that may be in flight.
    permits: Arc<Semaphore>,
    late_max: Duration,
}

impl CommandWriter {
    /// A writer for the cluster behind `brokers`. It connects at the first write.
    pub fn new(brokers: impl Into<Brokers>) -> Self {
        Self::of(brokers, topics::all().clone())
    }

    /// The same for other topics than those of `topics.yaml`.
    pub fn of(brokers: impl Into<Brokers>, topics: Topics) -> Self {
        Self::bounded(brokers.into(), topics, IN_FLIGHT_MAX, LATE_MAX)
    }

    fn bounded(brokers: Brokers, topics: Topics, in_flight_max: usize, late_max: Duration) -> Self {
        let permits = Arc::new(Semaphore::new(in_flight_max));
        let connections = Connections::new(brokers);
        Self(Arc::new(Inner { connections, topics, in_flight_max, permits, late_max }))
    }

    /// Writes one record to the partition of its key; returns partition and offset.
    ///
    /// # Errors
    /// If the write is not acknowledged within `deadline`, is refused, or is not tried.
    pub async fn write(
        &self,
        topic: &str,
        key: &str,
        value: Bytes,
        headers: &Headers,
        deadline: Duration,
    ) -> Result<(i32, i64), WriteError> {
        self.write_then(topic, key, value, headers, deadline, || ()).await
    }

    /// The same. Calls `confirmed` once the log has acknowledged the record, also if that is after
    /// the deadline, or if the caller has left since.
    ///
    /// # Errors
    /// Returns those of [`write`](Self::write).
    pub async fn write_then(
        &self,
        topic: &str,
        key: &str,
        value: Bytes,
        headers: &Headers,
        deadline: Duration,
        confirmed: impl FnOnce() + Send + 'static,
    ) -> Result<(i32, i64), WriteError> {
        let refused = |cause: Cause| WriteError::Refused { topic: topic.to_owned(), cause };
        let declared =
            self.0.topics.get(topic).ok_or_else(|| refused("there is no such topic".into()))?;
        let partition = partition_of(key.as_bytes(), declared.partitions);
        let record = record(key, &value, headers);
        let Ok(permit) = self.0.permits.clone().try_acquire_owned() else {
            let under_way = self.0.in_flight_max;
            return Err(WriteError::Full { topic: topic.to_owned(), under_way });
        };
        let (inner, name) = (self.0.clone(), topic.to_owned());
        let generation = inner.connections.generation();
        let at_most = deadline.saturating_add(inner.late_max);
        // A task of its own: a write past its deadline continues for a while, and only the caller
        // stops waiting for it.
        let writing = tokio::spawn(async move {
            let writing = async {
                let client = inner.connections.partition(&name, partition).await?;
                client.produce(vec![record], Compression::NoCompression).await
            };
            let written = tokio::time::timeout(at_most, writing).await;
            if let Ok(Ok(_)) = &written {
                confirmed();
            }
            drop(permit);
            written
        });
        match tokio::time::timeout(deadline, writing).await {
            Err(_) | Ok(Ok(Err(_))) => {
                self.0.connections.drop_all(generation).await;
                Err(WriteError::Deadline { topic: topic.to_owned(), deadline })
            }
            Ok(Err(error)) => Err(refused(error.into())),
            Ok(Ok(Ok(Err(error)))) => Err(refused(error.into())),
            Ok(Ok(Ok(Ok(offsets)))) => {
                Ok((partition, offsets.first().copied().unwrap_or_default()))
            }
        }
    }

    /// Checks that the cluster answers. If it does not, the connections are dropped, as after a
    /// write, so that the next check does not ask a dead connection again.
    ///
    /// # Errors
    /// If it does not answer within `deadline`.
    pub async fn ping(&self, deadline: Duration) -> Result<(), WriteError> {
        let refused = |cause: Cause| WriteError::Refused { topic: "the brokers".to_owned(), cause };
        let generation = self.0.connections.generation();
        let asking = async {
            let client = self.0.connections.client().await?;
            client.list_topics().await
        };
        match tokio::time::timeout(deadline, asking).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(refused(error.into())),
            Err(_) => {
                self.0.connections.drop_all(generation).await;
                Err(refused(format!("no answer within {deadline:?}").into()))
            }
        }
    }
}

fn record(key: &str, value: &Bytes, headers: &Headers) -> Record {
    Record {
        key: Some(key.as_bytes().to_vec()),
        value: Some(value.to_vec()),
        headers: headers
            .iter()
            .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec()))
            .collect::<BTreeMap<_, _>>(),
        // The broker sets its own: every topic has LogAppendTime.
        timestamp: rskafka::chrono::DateTime::default(),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{TcpListener, TcpStream},
        sync::atomic::{AtomicUsize, Ordering},
        time::Instant,
    };

    use rdkafka::mocking::MockCluster;

    use super::*;

    /// A broker that accepts connections and never answers. Returns its address.
    fn silent() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                std::thread::spawn(move || {
                    stream.map(|mut stream| stream.read_to_end(&mut Vec::new()))
                });
            }
        });
        address
    }

    #[tokio::test]
    async fn writes_to_a_silent_broker_are_bounded_and_end() {
        // On a busy machine three writes may take much longer than their deadlines.
        let late_max = Duration::from_secs(3);
        let writer = CommandWriter::bounded((&silent()).into(), topics::all().clone(), 3, late_max);
        let write = || async {
            let (headers, deadline) = (Headers::default(), Duration::from_millis(10));
            writer
                .write("order.commands", "key", Bytes::from_static(b"value"), &headers, deadline)
                .await
        };
        for _ in 0..3 {
            let error = write().await.expect_err("nobody answers");
            assert!(matches!(error, WriteError::Deadline { .. }), "{error}");
        }
        let error = write().await.expect_err("three are in flight");
        assert!(matches!(error, WriteError::Full { under_way: 3, .. }), "{error}");

        // Each write ends some time after its deadline, and then another one is tried.
        let begun = Instant::now();
        while matches!(write().await, Err(WriteError::Full { .. })) {
            assert!(begun.elapsed() < late_max * 10, "late writes do not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn late_acknowledgement_and_one_without_a_caller_are_reported() {
        let cluster = MockCluster::new(1).expect("a mock");
        cluster.create_topic("order.commands", 4, 1).expect("a topic");
        cluster.broker_round_trip_time(1, Duration::from_millis(200)).expect("a slow broker");
        let (headers, value) = (Headers::default(), Bytes::from_static(b"value"));
        let writer = CommandWriter::new(&cluster.bootstrap_servers());
        for deadline in [Duration::from_millis(50), Duration::from_secs(10)] {
            let (report, reported) = tokio::sync::oneshot::channel();
            let report = move || report.send(()).unwrap_or_default();
            let value = value.clone();
            let write =
                writer.write_then("order.commands", "key", value, &headers, deadline, report);
            if deadline < Duration::from_secs(1) {
                let error = write.await.expect_err("the deadline comes first");
                assert!(matches!(error, WriteError::Deadline { .. }), "{error}");
            } else {
                // The caller leaves as soon as the write has begun.
                tokio::select! {
                    biased;
                    written = write => panic!("{written:?}"),
                    () = std::future::ready(()) => {}
                }
            }
            let reported = tokio::time::timeout(Duration::from_secs(10), reported).await;
            assert!(matches!(reported, Ok(Ok(()))), "{deadline:?}: {reported:?}");
        }
    }

    /// Passes connections on to `broker`. Returns its address, and the number of connections, in
    /// the order in which they were opened, whose answers it withholds.
    fn relay(broker: String) -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let silent = Arc::<AtomicUsize>::default();
        let withheld = silent.clone();
        std::thread::spawn(move || {
            for (number, client) in listener.incoming().enumerate() {
                let client = client.expect("a connection");
                let server = TcpStream::connect(&broker).expect("a broker");
                let mut requests = client.try_clone().expect("a handle");
                let mut to = server.try_clone().expect("a handle");
                std::thread::spawn(move || std::io::copy(&mut requests, &mut to));
                let silent = silent.clone();
                let passes = move || number >= silent.load(Ordering::SeqCst);
                std::thread::spawn(move || pass_answers(server, client, passes));
            }
        });
        (address, withheld)
    }

    fn pass_answers(mut server: TcpStream, mut client: TcpStream, passes: impl Fn() -> bool) {
        let mut bytes = [0; 4096];
        while let Ok(length @ 1..) = server.read(&mut bytes) {
            if passes() && client.write_all(&bytes[..length]).is_err() {
                return;
            }
        }
    }

    #[tokio::test]
    async fn ping_replaces_a_connection_that_does_not_answer() {
        let cluster = MockCluster::new(1).expect("a mock");
        let (address, silent) = relay(cluster.bootstrap_servers());
        let (writer, within) = (CommandWriter::new(&address), Duration::from_secs(10));
        writer.ping(within).await.expect("the broker answers");

        silent.store(1, Ordering::SeqCst);
        writer.ping(Duration::from_millis(300)).await.expect_err("no answer to this connection");
        writer.ping(within).await.expect("the broker answers to another connection");
    }
}

//! One client's connection, and the connection to Kafka behind it. Requests go to Kafka and
//! responses to the client in order. If Kafka closes its connection, the client's is closed too,
//! and if Kafka can't be reached, the client's is closed at once. This file contains no rule:
//! [`Gate::plan`] decides what is done with a request.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::Gate;
use super::plan::{Exchange, Next, Plan};
use super::wire::{self, Request};

/// The number of requests of one connection that may wait for their responses. Further ones are not
/// read.
const IN_FLIGHT_MAX: usize = 1000;
/// How long the gate awaits responses after the client has closed its connection, because rules
/// look at them.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// The next response to the client.
enum Expected {
    /// Kafka's next response, unchanged.
    Pass,
    /// A response of the gate itself.
    Own(Bytes),
    /// Kafka's next response, which a rule looks at. `done` is notified when the client has its
    /// response.
    Exchange { exchange: Box<dyn Exchange>, done: oneshot::Sender<()> },
}

type ToKafka = Mutex<OwnedWriteHalf>;

/// Serves `client` until one side closes its connection.
pub(super) async fn serve(
    gate: Arc<Gate>,
    client: TcpStream,
    kafka: TcpStream,
) -> anyhow::Result<()> {
    client.set_nodelay(true)?;
    kafka.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_kafka, to_kafka) = kafka.into_split();
    let to_kafka = ToKafka::new(to_kafka);
    let (expected, expecting) = mpsc::channel(IN_FLIGHT_MAX);
    let requests = requests(&gate, BufReader::new(from_client), &to_kafka, expected);
    let responses = responses(BufReader::new(from_kafka), &to_kafka, to_client, expecting);
    tokio::pin!(requests, responses);
    tokio::select! {
        ended = &mut responses => ended,
        ended = &mut requests => {
            // Earlier requests are still answered.
            let _ = tokio::time::timeout(DRAIN_MAX, &mut responses).await;
            ended
        }
    }
}

/// Reads requests and does what the rules decide with each, until the client or a rule closes the
/// connection.
async fn requests(
    gate: &Gate,
    mut from_client: BufReader<OwnedReadHalf>,
    to_kafka: &ToKafka,
    expected: mpsc::Sender<Expected>,
) -> anyhow::Result<()> {
    while let Some(frame) = wire::read(&mut from_client).await? {
        let request = Request::of(frame)?;
        match gate.plan(&request)? {
            Plan::Pass => {
                if request.is_answered()? {
                    expected.send(Expected::Pass).await?;
                }
                to_kafka.lock().await.write_all(&request.frame()).await?;
            }
            Plan::Answer(response) => expected.send(Expected::Own(response)).await?,
            Plan::Exchange { request, exchange, alone } => {
                let (done, is_done) = oneshot::channel();
                expected.send(Expected::Exchange { exchange, done }).await?;
                to_kafka.lock().await.write_all(&request).await?;
                if alone {
                    is_done.await?;
                }
            }
        }
    }
    Ok(())
}

/// Writes responses in the order of their requests, until Kafka closes its connection or all
/// requests are answered.
async fn responses(
    mut from_kafka: BufReader<OwnedReadHalf>,
    to_kafka: &ToKafka,
    mut to_client: OwnedWriteHalf,
    mut expecting: mpsc::Receiver<Expected>,
) -> anyhow::Result<()> {
    loop {
        let expected = tokio::select! {
            biased;
            expected = expecting.recv() => expected,
            // Kafka may close its connection while no request waits.
            ready = from_kafka.fill_buf() => match ready?.is_empty() {
                true => None,
                false => expecting.recv().await,
            },
        };
        let (response, done) = match expected {
            None => return Ok(()),
            Some(Expected::Own(response)) => (Some(response), None),
            Some(Expected::Pass) => (wire::read(&mut from_kafka).await?, None),
            Some(Expected::Exchange { mut exchange, done }) => {
                (converse(&mut *exchange, &mut from_kafka, to_kafka).await?, Some(done))
            }
        };
        let Some(response) = response else { return Ok(()) };
        // A client that has closed its connection needs no response, but rules still look at the
        // next ones.
        let _ = to_client.write_all(&response).await;
        if let Some(done) = done {
            let _ = done.send(());
        }
    }
}

/// Passes Kafka's response to a rule, and repeats the request for as long as the rule asks for it.
async fn converse(
    exchange: &mut dyn Exchange,
    from_kafka: &mut BufReader<OwnedReadHalf>,
    to_kafka: &ToKafka,
) -> anyhow::Result<Option<Bytes>> {
    loop {
        let Some(response) = wire::read(from_kafka).await? else { return Ok(None) };
        match exchange.answered(response)? {
            Next::Respond(response) => return Ok(Some(response)),
            Next::Ask { request, after } => {
                tokio::time::sleep(after).await;
                to_kafka.lock().await.write_all(&request).await?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use kafka_protocol::error::ResponseError;
    use kafka_protocol::messages::{
        AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, ApiKey, JoinGroupRequest, MetadataRequest,
        MetadataResponse, ProduceRequest, ProduceResponse, RequestHeader,
    };
    use kafka_protocol::protocol::{Encodable, HeaderVersion};
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    const WAIT_MAX: Duration = Duration::from_secs(10);

    fn frame<T: Encodable + HeaderVersion>(
        api: ApiKey,
        version: i16,
        correlation_id: i32,
        body: &T,
    ) -> Bytes {
        let header = RequestHeader::default()
            .with_request_api_key(api as i16)
            .with_request_api_version(version)
            .with_correlation_id(correlation_id);
        wire::frame(&header, T::header_version(version), body, version).expect("a frame")
    }

    async fn bound() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        (listener, address)
    }

    /// A client of a gate in front of `kafka`.
    async fn client(kafka: SocketAddr) -> TcpStream {
        let (listener, address) = bound().await;
        tokio::spawn(Arc::new(Gate::default()).accept(listener, kafka.to_string()));
        TcpStream::connect(address).await.expect("the gate listens")
    }

    /// Waits until the gate has closed the connection.
    async fn closed(mut client: TcpStream) {
        let read = tokio::time::timeout(WAIT_MAX, client.read_u8()).await;
        assert!(read.expect("the gate closes the connection").is_err());
    }

    /// Answers in order. The first AddOffsetsToTxn is answered that the previous transaction has
    /// not ended.
    async fn fake_kafka(listener: TcpListener) {
        let (mut stream, _) = listener.accept().await.expect("the gate connects");
        let mut ended = false;
        while let Some(frame) = wire::read(&mut stream).await.expect("a request") {
            let request = Request::of(frame).expect("a header");
            let response = if request.is(ApiKey::AddOffsetsToTxn) {
                let error = if ended { 0 } else { ResponseError::ConcurrentTransactions.code() };
                ended = true;
                request.response(&AddOffsetsToTxnResponse::default().with_error_code(error))
            } else if request.is(ApiKey::Produce) {
                if !request.is_answered().expect("a produce request") {
                    continue;
                }
                request.response(&ProduceResponse::default())
            } else {
                request.response(&MetadataResponse::default())
            };
            stream.write_all(&response.expect("a response")).await.expect("the gate reads");
        }
    }

    #[tokio::test]
    async fn pipelined_requests_are_answered_in_order() {
        let (listener, kafka) = bound().await;
        tokio::spawn(fake_kafka(listener));
        let mut client = client(kafka).await;
        let metadata = |id| frame(ApiKey::Metadata, 8, id, &MetadataRequest::default());
        let produce =
            |id, acks| frame(ApiKey::Produce, 7, id, &ProduceRequest::default().with_acks(acks));
        let all = [
            metadata(1),
            // The gate itself refuses it: the session timeout is too short.
            frame(ApiKey::JoinGroup, 5, 2, &JoinGroupRequest::default()),
            metadata(3),
            // Never answered.
            produce(4, 0),
            produce(5, -1),
            frame(ApiKey::AddOffsetsToTxn, 1, 6, &AddOffsetsToTxnRequest::default()),
            metadata(7),
        ]
        .concat();
        client.write_all(&all).await.expect("the gate reads");

        for expected in [1, 2, 3, 5, 6, 7] {
            let read =
                tokio::time::timeout(WAIT_MAX, wire::read(&mut client)).await.expect("a response");
            let response = read.expect("a connection").expect("a response");
            let id = response.slice(4..8);
            assert_eq!(i32::from_be_bytes(id.as_ref().try_into().expect("four bytes")), expected);
            if expected == 6 {
                let response: AddOffsetsToTxnResponse =
                    wire::read_response(1, &response).expect("a response");
                assert_eq!(response.error_code, 0, "the transaction before had not ended");
            }
        }
    }

    #[tokio::test]
    async fn client_is_closed_when_kafka_cannot_be_reached() {
        let (listener, kafka) = bound().await;
        drop(listener);
        closed(client(kafka).await).await;
    }

    #[tokio::test]
    async fn client_is_closed_when_kafka_closes() {
        let (listener, kafka) = bound().await;
        let client = client(kafka).await;
        let (stream, _) = listener.accept().await.expect("the gate connects");
        drop(stream);
        closed(client).await;
    }

    #[tokio::test]
    async fn client_is_closed_after_a_request_that_redpanda_does_not_serve() {
        let (listener, kafka) = bound().await;
        tokio::spawn(fake_kafka(listener));
        let mut client = client(kafka).await;
        let before = frame(ApiKey::Metadata, 8, 1, &MetadataRequest::default());
        let unserved = frame(ApiKey::Metadata, 13, 2, &MetadataRequest::default());
        client.write_all(&[before, unserved].concat()).await.expect("the gate reads");

        let read =
            tokio::time::timeout(WAIT_MAX, wire::read(&mut client)).await.expect("a response");
        assert!(read.expect("a connection").is_some(), "the request before is answered");
        closed(client).await;
    }
}

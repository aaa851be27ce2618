//! Serves the routes through hyper, with timeouts for headers and for clients that do not read, a
//! bound on connections, and a graceful shutdown. warp's own server has none of these.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use hyper::{Request, body::Incoming, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use nix::sys::socket::{setsockopt, sockopt::TcpUserTimeout};
use prometheus::IntGauge;
use schemas::chain;
use tokio::{net::TcpListener, sync::Semaphore};
use warp::{filters::BoxedFilter, http::Method, reply::Response};

use crate::{client::Peer, path};

/// How long a client may take for a request's headers, the idle time before them included. It is
/// longer than the load balancer keeps an idle connection (nginx: 60 s). Otherwise the gateway
/// could close a connection just when the load balancer sends a request that it must not repeat.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(75);
const HEADER_BYTES_MAX: usize = 32 * 1024;
/// The pause after a failed accept, such as one without a free file descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A server of HTTP/1.1.
pub struct Server {
    /// The routes.
    pub routes: BoxedFilter<(Response,)>,
    /// Open connections at most.
    pub connections_max: usize,
    /// How long a client may read nothing while there is something to send. Then its connection is
    /// closed, also during a response without an end.
    pub unread_timeout: Duration,
    /// How long requests in flight may take after the shutdown has begun.
    pub drain_timeout: Duration,
    /// The metric of open connections.
    pub connections: IntGauge,
}

impl Server {
    /// Serves until `shutdown` resolves; then accepts no connection any more, and waits for the
    /// requests in flight.
    pub async fn run(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let service = TowerToHyperService::new(warp::service(self.routes));
        let permits = Arc::new(Semaphore::new(self.connections_max));
        let graceful = GracefulShutdown::new();
        let unread_timeout_ms = u32::try_from(self.unread_timeout.as_millis()).unwrap_or(u32::MAX);
        tokio::pin!(shutdown);
        loop {
            // Without a free permit nothing is accepted: clients wait in the kernel's queue.
            let accepted = async {
                let permit = permits.clone().acquire_owned().await;
                (permit, listener.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                () = &mut shutdown => break,
                accepted = accepted => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let _ = stream.set_nodelay(true);
            // Linux closes the connection: hyper sets no timeout for writes.
            let _ = setsockopt(&stream, TcpUserTimeout, &unread_timeout_ms);
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new())
                .header_read_timeout(HEADERS_TIMEOUT)
                .max_buf_size(HEADER_BYTES_MAX);
            let connection = http.serve_connection(
                TokioIo::new(stream),
                Normalizing { inner: service.clone(), peer },
            );
            let connection = graceful.watch(connection);
            let gauge = self.connections.clone();
            gauge.inc();
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(error = chain(&error), "a connection ended");
                }
                gauge.dec();
                drop(permit);
            });
        }
        drop(listener);
        if tokio::time::timeout(self.drain_timeout, graceful.shutdown()).await.is_err() {
            let seconds = self.drain_timeout.as_secs();
            tracing::warn!(seconds, "some requests did not finish before the shutdown");
        }
    }
}

/// Adds the peer's address to each request, brings its path into normal form, and turns HEAD into
/// GET: hyper leaves out the body.
struct Normalizing<S> {
    inner: S,
    peer: SocketAddr,
}

impl<S: Service<Request<Incoming>>> Service<Request<Incoming>> for Normalizing<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(Peer(self.peer.ip()));
        *request.uri_mut() = path::normalized(std::mem::take(request.uri_mut()));
        if request.method() == Method::HEAD {
            *request.method_mut() = Method::GET;
        }
        self.inner.call(request)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        sync::Notify,
        time::timeout,
    };
    use warp::{Filter, Reply, sse};

    use super::*;

    struct Running {
        address: SocketAddr,
        shutdown: Arc<Notify>,
        ended: tokio::task::JoinHandle<()>,
        connections: IntGauge,
    }

    async fn serve(routes: BoxedFilter<(Response,)>, connections_max: usize) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shutdown = Arc::new(Notify::new());
        let asked = shutdown.clone();
        let connections = IntGauge::new("connections", "open").expect("a gauge");
        let server = Server {
            routes,
            connections_max,
            unread_timeout: Duration::from_secs(1),
            drain_timeout: Duration::from_secs(5),
            connections: connections.clone(),
        };
        let ended = tokio::spawn(server.run(listener, async move { asked.notified().await }));
        Running { address, shutdown, ended, connections }
    }

    async fn sent(address: SocketAddr, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("sent");
        stream
    }

    async fn answer(mut stream: TcpStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("an answer");
        text
    }

    #[tokio::test]
    async fn head_is_answered_as_get_without_a_body() {
        let routes = warp::get()
            .and(warp::ext::get::<Peer>())
            .map(|Peer(address)| format!("you are {address}").into_response())
            .boxed();
        let running = serve(routes, 4).await;

        let get = answer(
            sent(running.address, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await,
        )
        .await;
        let head = answer(
            sent(running.address, "HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await,
        )
        .await;

        assert!(get.ends_with("you are 127.0.0.1"), "{get}");
        assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
        assert!(head.contains("content-length: 17"), "{head}");
    }

    #[tokio::test]
    async fn escaped_path_reaches_the_route_of_its_normal_form() {
        let routes =
            warp::path!("v1" / "products" / String).map(|sku: String| sku.into_response()).boxed();
        let running = serve(routes, 4).await;
        let request =
            "GET /v1/%70roducts/rye%2Dflour HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        assert!(answer(sent(running.address, request).await).await.ends_with("rye-flour"));
    }

    #[tokio::test]
    async fn shutdown_finishes_requests_in_flight_and_accepts_no_connection() {
        let (arrived, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let routes = {
            let (arrived, go) = (arrived.clone(), go.clone());
            warp::any()
                .then(move || {
                    let (arrived, go) = (arrived.clone(), go.clone());
                    async move {
                        arrived.notify_one();
                        go.notified().await;
                        "done".into_response()
                    }
                })
                .boxed()
        };
        let running = serve(routes, 4).await;
        let stream = sent(running.address, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        arrived.notified().await;
        assert_eq!(running.connections.get(), 1);

        running.shutdown.notify_one();
        while TcpStream::connect(running.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        go.notify_one();

        assert!(answer(stream).await.ends_with("done"));
        running.ended.await.expect("the end");
    }

    #[tokio::test]
    async fn connection_above_the_bound_waits_until_another_one_closes() {
        let running = serve(warp::any().map(|| "hello".into_response()).boxed(), 1).await;
        let idle = TcpStream::connect(running.address).await.expect("a connection");
        while running.connections.get() == 0 {
            tokio::task::yield_now().await;
        }
        let second =
            sent(running.address, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert_eq!(running.connections.get(), 1);

        // The second connection is accepted when the first one closes.
        drop(idle);
        assert!(answer(second).await.ends_with("hello"));
    }

    #[tokio::test]
    async fn connection_of_a_client_that_reads_nothing_is_closed() {
        let event = || Ok::<_, Infallible>(sse::Event::default().data("x".repeat(16 * 1024)));
        let events = stream::repeat_with(event);
        let routes = warp::any().map(move || sse::reply(events.clone()).into_response()).boxed();
        let running = serve(routes, 1).await;
        let unread = sent(running.address, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        // Another client finds the only place free.
        let next = sent(running.address, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let answered = timeout(Duration::from_secs(30), next.readable()).await;
        answered.expect("a place").expect("an answer");
        drop(unread);
    }
}

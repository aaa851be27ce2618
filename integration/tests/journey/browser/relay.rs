//! Gives each connection of a browser or another program a client address of its own: one address
//! may send only 100 requests in 15 minutes, and all programs of this machine have the same one.

use std::net::SocketAddr;

use integration::client::any_address;
use reqwest::Url;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;

/// Relays connections to the system. Its end closes none that is open.
pub(crate) struct Relay(JoinHandle<()>);

impl Relay {
    /// Begins to relay, and returns the address there of the page at `url`.
    pub(crate) async fn open(url: &str) -> (Self, String) {
        let mut url: Url = url.parse().expect("an address");
        let to = url.socket_addrs(|| None).expect("an address")[0];
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        url.set_port(Some(port)).expect("an address with a port");
        let relay = tokio::spawn(async move {
            while let Ok((mut browser, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let socket = TcpSocket::new_v4()?;
                    socket.bind(SocketAddr::from((any_address(), 0)))?;
                    copy_bidirectional(&mut browser, &mut socket.connect(to).await?).await
                });
            }
        });
        (Self(relay), url.into())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.0.abort();
    }
}

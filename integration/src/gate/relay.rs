//! Forwards connections unchanged, without any protocol. Connections between brokers go through
//! such relays, so that a test that stops a relay's process cuts a broker off from the others. A
//! relay stores nothing and repeats nothing.

use anyhow::Context;
use tokio::net::{TcpListener, TcpStream};

use super::listener::Listener;

/// Forwards every connection of each listener. It returns only if an address cannot be bound.
pub async fn serve(listeners: &[Listener]) -> anyhow::Result<()> {
    let mut accepting = tokio::task::JoinSet::new();
    for Listener { listen, upstream } in listeners {
        let bound =
            TcpListener::bind(listen).await.with_context(|| format!("listen on {listen}"))?;
        accepting.spawn(accept(bound, upstream.clone()));
    }
    while accepting.join_next().await.is_some() {}
    Ok(())
}

async fn accept(listener: TcpListener, upstream: String) {
    loop {
        let Ok((mut from, _)) = listener.accept().await else {
            // The process may be out of file descriptors until a connection ends.
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let upstream = upstream.clone();
        tokio::spawn(async move {
            // If the broker does not run, the client's connection is closed.
            let Ok(mut to) = TcpStream::connect(upstream).await else { return };
            drop((from.set_nodelay(true), to.set_nodelay(true)));
            drop(tokio::io::copy_bidirectional(&mut from, &mut to).await);
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn connection_reaches_the_upstream_both_ways() {
        let upstream = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let relay = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = relay.local_addr().expect("its number");
        tokio::spawn(accept(relay, upstream.local_addr().expect("its number").to_string()));
        let mut client = TcpStream::connect(at).await.expect("the relay listens");
        client.write_all(b"ping").await.expect("it takes");
        let (mut server, _) = upstream.accept().await.expect("the relay connects");
        let mut said = [0; 4];
        server.read_exact(&mut said).await.expect("it came");
        server.write_all(b"pong").await.expect("it takes");
        client.read_exact(&mut said).await.expect("it came back");
        assert_eq!(&said, b"pong");
    }
}

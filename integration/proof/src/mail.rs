//! A mail server that takes everything: without one, notifications are tried again for minutes, and the log is never quiet. It keeps nothing.

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// Listens at `at` (`host:port`) until the process ends.
pub async fn serve(at: &str) -> anyhow::Result<()> {
    let listener = TcpListener::bind(at).await?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Who breaks off tries again.
            tokio::spawn(async move { drop(converse(stream).await) });
        }
    });
    Ok(())
}

async fn converse(stream: TcpStream) -> std::io::Result<()> {
    let (from, mut to) = stream.into_split();
    let mut lines = BufReader::new(from).lines();
    to.write_all(b"220 here\r\n").await?;
    let mut in_body = false;
    while let Some(line) = lines.next_line().await? {
        let answer: &[u8] = match (in_body, line.as_str()) {
            (true, ".") => {
                in_body = false;
                b"250 taken\r\n"
            }
            (true, _) => continue,
            (false, "DATA") => {
                in_body = true;
                b"354 go on\r\n"
            }
            (false, "QUIT") => return to.write_all(b"221 bye\r\n").await,
            (false, _) => b"250 fine\r\n",
        };
        to.write_all(answer).await?;
    }
    Ok(())
}

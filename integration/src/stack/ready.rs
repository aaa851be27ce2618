//! Checks once whether a part is ready. It never waits for long: the supervisor checks again.

use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

use nix::unistd::User;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Ready;

/// How long one check may take.
const ASK_MAX: Duration = Duration::from_secs(3);

/// Whether `ready` holds now. [`Ready::Ended`] never holds here: the exit code decides it.
pub(super) async fn ask(ready: &Ready, user: Option<&User>) -> bool {
    let asked = async {
        match ready {
            Ready::Tcp(address) => TcpStream::connect(address).await.is_ok(),
            Ready::Http(url) => http(url).await,
            Ready::Redis(address) => redis(address).await.unwrap_or(false),
            Ready::Command(command) => succeeds(command, user).await,
            Ready::Ended => false,
        }
    };
    tokio::time::timeout(ASK_MAX, asked).await.unwrap_or(false)
}

async fn http(url: &str) -> bool {
    crate::get(url).await.is_ok_and(|answer| answer.status().is_success())
}

async fn redis(address: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"PING\r\n").await?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).await?;
    Ok(&answer == b"+PONG")
}

async fn succeeds(command: &[OsString], user: Option<&User>) -> bool {
    let status = super::process::command(command, user)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await;
    status.is_ok_and(|status| status.success())
}

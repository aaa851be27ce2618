//! The control socket of a running stack. A request is one line (`status`,
//! `start NAME [VARIABLE=VALUE ...]`, `stop NAME`, `signal NAME SIGNAL`, `wait NAME [SECONDS]`),
//! and so is its answer, in JSON. Tests use it through [`Client`], people through `stack ctl`. It
//! allows nothing that the user who started the stack could not do with `kill`, and only that user
//! can open it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::compose::{Compose, Networks};
use super::status::{ControlError, PartStatus};
use super::{StackError, Supervisor, tree};
use crate::chain;

/// The variable that names the socket to a test.
pub const VARIABLE: &str = "MILLRACE_STACK_CONTROL";

#[derive(Debug, Default, Serialize, Deserialize)]
struct Answer {
    ok: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parts: Option<Vec<PartStatus>>,
}

/// Serves requests at `path` until the process ends.
pub(super) fn serve(path: &Path, supervisor: Arc<Supervisor>) -> Result<(), StackError> {
    // This process holds the lock on the data folder, so no other stack listens here.
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).map_err(StackError::file("listen on", path))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .map_err(StackError::file("protect", path))?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, supervisor.clone()));
        }
    });
    Ok(())
}

async fn converse(stream: UnixStream, supervisor: Arc<Supervisor>) {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let answer = match execute(&line, &supervisor).await {
            Ok(answer) => answer,
            Err(error) => Answer { error: Some(chain(&error)), ..Answer::default() },
        };
        let mut text = serde_json::to_string(&answer).unwrap_or_default();
        text.push('\n');
        if writer.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn execute(line: &str, supervisor: &Arc<Supervisor>) -> Result<Answer, StackError> {
    let words: Vec<_> = line.split_whitespace().collect();
    let mut answer = Answer { ok: true, ..Answer::default() };
    match words[..] {
        ["status"] => answer.parts = Some(supervisor.status()),
        ["start", name, ref variables @ ..] => {
            let pairs = variables.iter().map(|pair| {
                pair.split_once('=')
                    .ok_or_else(|| StackError::Refused(format!("{pair:?} is not VARIABLE=VALUE")))
            });
            answer.pid =
                Some(supervisor.start_with(name, &pairs.collect::<Result<Vec<_>, _>>()?).await?);
        }
        ["stop", name] => supervisor.stop(name).await?,
        ["signal", name, signal] => supervisor.signal(name, named(signal)?).await?,
        ["wait", name] => supervisor.wait(name, Duration::from_secs(60)).await?,
        ["wait", name, seconds] => {
            let seconds = seconds.parse().map_err(|_| {
                StackError::Refused(format!("{seconds} is not a number of seconds"))
            })?;
            supervisor.wait(name, Duration::from_secs(seconds)).await?;
        }
        _ => {
            let known = "status | start NAME [VARIABLE=VALUE ...] | stop NAME | signal NAME SIGNAL | wait NAME [SECONDS]";
            return Err(StackError::Refused(format!("unknown request {line:?}; known: {known}")));
        }
    }
    Ok(answer)
}

fn named(signal: &str) -> Result<Signal, StackError> {
    let full = if signal.starts_with("SIG") { signal.to_owned() } else { format!("SIG{signal}") };
    Signal::from_str(&full).map_err(|_| StackError::Refused(format!("{signal} is not a signal")))
}

/// A client of a running stack. It can be shared: each request opens a connection of its own.
#[derive(Clone, Debug)]
pub struct Client {
    stack: Stack,
}

#[derive(Clone, Debug)]
enum Stack {
    /// The native stack with this socket.
    Socket(PathBuf),
    /// Containers.
    Compose(Compose),
}

impl Client {
    /// The native stack with the socket at `path`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { stack: Stack::Socket(path.into()) }
    }

    /// The stack under which this process was started: a socket, or `compose` for the project that
    /// Compose's own variables name.
    pub fn from_env() -> Result<Self, ControlError> {
        let stack = std::env::var_os(VARIABLE).ok_or(ControlError::NoStack)?;
        if stack == "compose" {
            return Ok(Self { stack: Stack::Compose(Compose::from_env()?) });
        }
        Ok(Self::at(stack))
    }

    /// Whether the parts are containers.
    pub fn is_compose(&self) -> bool {
        matches!(self.stack, Stack::Compose(_))
    }

    /// Every part's state.
    pub async fn status(&self) -> Result<Vec<PartStatus>, ControlError> {
        match &self.stack {
            Stack::Socket(path) => Ok(ask(path, "status").await?.parts.unwrap_or_default()),
            Stack::Compose(compose) => compose.status().await,
        }
    }

    /// One part's state.
    pub async fn part(&self, name: &str) -> Result<PartStatus, ControlError> {
        let parts = self.status().await?;
        parts.into_iter().find(|part| part.name == name).ok_or_else(|| ControlError::Refused {
            request: "status".into(),
            reason: format!("no part is called {name}"),
        })
    }

    /// Starts a part and returns its process id without waiting until it is ready.
    pub async fn start(&self, name: &str) -> Result<u32, ControlError> {
        self.start_with(name, &[]).await
    }

    /// Starts a part with `extra` in its environment, for this one start. A value must not contain
    /// a space.
    pub async fn start_with(
        &self,
        name: &str,
        extra: &[(&str, &str)],
    ) -> Result<u32, ControlError> {
        match &self.stack {
            Stack::Socket(path) => {
                let pairs: String =
                    extra.iter().map(|(name, value)| format!(" {name}={value}")).collect();
                Ok(ask(path, &format!("start {name}{pairs}")).await?.pid.unwrap_or_default())
            }
            Stack::Compose(compose) => compose.start(name, extra).await,
        }
    }

    /// Stops a part in order, and waits until it has ended.
    pub async fn stop(&self, name: &str) -> Result<(), ControlError> {
        match &self.stack {
            Stack::Socket(path) => ask(path, &format!("stop {name}")).await.map(drop),
            Stack::Compose(compose) => compose.stop(name).await,
        }
    }

    /// Sends a signal, named `KILL`, `TERM`, `STOP`, `CONT` ...
    pub async fn signal(&self, name: &str, signal: &str) -> Result<(), ControlError> {
        match &self.stack {
            Stack::Socket(path) => ask(path, &format!("signal {name} {signal}")).await.map(drop),
            Stack::Compose(compose) => compose.signal(name, signal).await,
        }
    }

    /// Whether a part is stopped by a signal: its process and all descendants, in a container at
    /// least one process. A paused container counts as stopped too.
    pub async fn halted(&self, name: &str) -> Result<bool, ControlError> {
        match &self.stack {
            Stack::Socket(_) => Ok(self.part(name).await?.pid.is_some_and(tree::is_stopped)),
            Stack::Compose(compose) => compose.halted(name).await,
        }
    }

    /// Takes a container off all its networks.
    pub async fn disconnect(&self, name: &str) -> Result<Networks, ControlError> {
        self.containers("disconnect")?.disconnect(name).await
    }

    /// Puts a container back on the networks that it was taken off.
    pub async fn connect(&self, networks: &Networks) -> Result<(), ControlError> {
        self.containers("connect")?.connect(networks).await
    }

    /// The folder of a volume of containers on the machine where their engine runs.
    pub async fn volume(&self, volume: &str) -> Result<PathBuf, ControlError> {
        self.containers("volume")?.volume(volume).await
    }

    fn containers(&self, request: &str) -> Result<&Compose, ControlError> {
        match &self.stack {
            Stack::Compose(compose) => Ok(compose),
            Stack::Socket(_) => Err(ControlError::Refused {
                request: request.to_owned(),
                reason: "the parts of this stack are processes, not containers".to_owned(),
            }),
        }
    }

    /// Kills a part with SIGKILL; it has ended when this returns.
    pub async fn kill(&self, name: &str) -> Result<(), ControlError> {
        self.signal(name, "KILL").await
    }

    /// Waits until a part is ready.
    pub async fn wait(&self, name: &str, at_most: Duration) -> Result<(), ControlError> {
        match &self.stack {
            Stack::Socket(path) => {
                ask(path, &format!("wait {name} {}", at_most.as_secs())).await.map(drop)
            }
            Stack::Compose(compose) => compose.wait(name, at_most).await,
        }
    }

    /// Sends one line to the native stack's socket and returns the answer as text.
    pub async fn raw(&self, request: &str) -> Result<String, ControlError> {
        match &self.stack {
            Stack::Socket(path) => raw(path, request).await,
            Stack::Compose(_) => Err(ControlError::NoStack),
        }
    }
}

async fn raw(path: &Path, request: &str) -> Result<String, ControlError> {
    let silent = |source| ControlError::Silent { path: path.display().to_string(), source };
    let stream = UnixStream::connect(path).await.map_err(silent)?;
    let (reader, mut writer) = stream.into_split();
    writer.write_all(format!("{request}\n").as_bytes()).await.map_err(silent)?;
    let answer = BufReader::new(reader).lines().next_line().await.map_err(silent)?;
    answer.ok_or_else(|| silent(std::io::ErrorKind::UnexpectedEof.into()))
}

async fn ask(path: &Path, request: &str) -> Result<Answer, ControlError> {
    let refused = |reason| ControlError::Refused { request: request.to_owned(), reason };
    let text = raw(path, request).await?;
    let answer: Answer = serde_json::from_str(&text).map_err(|error| refused(error.to_string()))?;
    if answer.ok { Ok(answer) } else { Err(refused(answer.error.unwrap_or_default())) }
}

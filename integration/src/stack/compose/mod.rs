//! Controls a stack of containers that `docker compose` runs, by the names that the parts of the
//! native stack have. It uses nothing but the `docker` program, and never touches a container of
//! another Compose project.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::process::Command;

use super::status::{ControlError, PartStatus};

mod names;
mod network;

use names::{part, service};
pub use network::Networks;

/// How long one `docker` command may take.
const COMMAND_MAX: Duration = Duration::from_secs(120);
/// The folder for override files, which add variables to the environment of one service. Like the
/// files that `COMPOSE_FILE` names, it is below the working directory, which is the checkout.
const OVERRIDES: &str = ".millrace/compose/overrides";
/// The services that run once and end.
const ONE_SHOTS: [&str; 2] = ["secrets", "provision"];
/// The pause between two checks of a container.
const PAUSE: Duration = Duration::from_millis(200);

/// The running Compose project that `COMPOSE_PROJECT_NAME` and `COMPOSE_FILE` name.
#[derive(Clone, Debug)]
pub struct Compose {
    project: String,
    files: String,
}

impl Compose {
    /// The project that this process's environment names.
    pub fn from_env() -> Result<Self, ControlError> {
        let variable = |name: &str| {
            std::env::var(name).map_err(|_| refused("compose", format!("{name} is not set")))
        };
        let (project, files) = (variable("COMPOSE_PROJECT_NAME")?, variable("COMPOSE_FILE")?);
        std::fs::create_dir_all(OVERRIDES)
            .map_err(|error| refused("compose", format!("{OVERRIDES}: {error}")))?;
        Ok(Self { project, files })
    }

    /// The state of every container of the project, one-shots included.
    pub(super) async fn status(&self) -> Result<Vec<PartStatus>, ControlError> {
        let project = format!("label=com.docker.compose.project={}", self.project);
        let listed = run("docker", &["ps", "-aq", "--filter", &project], &self.files).await?;
        let ids: Vec<&str> = listed.lines().collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let inspected = run("docker", &[&["inspect"], &ids[..]].concat(), &self.files).await?;
        let containers: Vec<Value> = serde_json::from_str(&inspected)
            .map_err(|error| refused("docker inspect", error.to_string()))?;
        Ok(containers.iter().map(status).collect())
    }

    /// Starts a part with `extra` in its environment: Compose creates a new container if anything
    /// has changed, and starts the existing one if not.
    pub(super) async fn start(
        &self,
        name: &str,
        extra: &[(&str, &str)],
    ) -> Result<u32, ControlError> {
        let service = service(name);
        let mut files = self.files.clone();
        if !extra.is_empty() {
            let environment: HashMap<_, _> = extra.iter().copied().collect();
            let text =
                serde_json::json!({ "services": { &service: { "environment": environment } } });
            let path = Path::new(OVERRIDES).join(format!("{service}.json"));
            std::fs::write(&path, text.to_string())
                .map_err(|error| refused("start", format!("{}: {error}", path.display())))?;
            files = format!("{files}:{}", path.display());
        }
        let up = ["compose", "up", "-d", "--no-deps", "--no-build", "--quiet-pull", &service];
        run("docker", &up, &files).await?;
        let status = self.status().await?;
        Ok(status
            .into_iter()
            .find(|part| part.name == name)
            .and_then(|part| part.pid)
            .unwrap_or_default())
    }

    /// Stops a part in order, if it runs.
    pub(super) async fn stop(&self, name: &str) -> Result<(), ControlError> {
        run("docker", &["compose", "stop", &service(name)], &self.files).await.map(drop)
    }

    /// Sends a signal. STOP pauses the whole container; CONT unpauses it, or reaches the process
    /// in it if that was stopped.
    pub(super) async fn signal(&self, name: &str, signal: &str) -> Result<(), ControlError> {
        let (service, paused) = (service(name), self.is_paused(name).await?);
        let request = match signal {
            "STOP" => vec!["compose", "pause", &service],
            "CONT" if paused => vec!["compose", "unpause", &service],
            _ => vec!["compose", "kill", "-s", signal, &service],
        };
        run("docker", &request, &self.files).await.map(drop)
    }

    /// Whether the part's container is paused, or a process in it was stopped by a signal.
    pub(super) async fn halted(&self, name: &str) -> Result<bool, ControlError> {
        if self.is_paused(name).await? {
            return Ok(true);
        }
        let id = self.container(name).await?;
        let listed = run("docker", &["top", &id, "-o", "pid,stat"], &self.files).await?;
        Ok(listed.lines().skip(1).any(|line| line.trim_start().contains(" T")))
    }

    async fn is_paused(&self, name: &str) -> Result<bool, ControlError> {
        let status = self.status().await?;
        Ok(status.iter().any(|part| part.name == name && part.state == "paused"))
    }

    /// The folder of a volume on the machine where the engine runs.
    pub(super) async fn volume(&self, volume: &str) -> Result<PathBuf, ControlError> {
        let name = format!("{}_{volume}", self.project);
        let request = ["volume", "inspect", "-f", "{{.Mountpoint}}", &name];
        run("docker", &request, &self.files).await.map(|folder| folder.trim().into())
    }

    /// The id of a part's container.
    async fn container(&self, name: &str) -> Result<String, ControlError> {
        let project = format!("label=com.docker.compose.project={}", self.project);
        let service = format!("label=com.docker.compose.service={}", service(name));
        let request = ["ps", "-aq", "--filter", &project, "--filter", &service];
        let listed = run("docker", &request, &self.files).await?;
        let id = listed.lines().next().map(str::to_owned);
        id.ok_or_else(|| refused(name, "it has no container".to_owned()))
    }

    /// Waits until a part is healthy or, without a health check, until it runs.
    pub(super) async fn wait(&self, name: &str, at_most: Duration) -> Result<(), ControlError> {
        let begun = Instant::now();
        loop {
            let status = self.status().await?;
            let part = status.into_iter().find(|part| part.name == name);
            match part {
                Some(part) if part.state == "ready" => return Ok(()),
                Some(part) if part.pid.is_none() => {
                    let how = part.ended.unwrap_or(part.state);
                    return Err(refused(&format!("wait {name}"), how));
                }
                _ if begun.elapsed() > at_most => {
                    let why = format!("was not healthy within {} s", at_most.as_secs());
                    return Err(refused(&format!("wait {name}"), why));
                }
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

fn status(container: &Value) -> PartStatus {
    let state = &container["State"];
    let runs = matches!(state["Status"].as_str(), Some("running" | "paused"));
    let code = state["ExitCode"].as_i64().unwrap_or_default();
    let service =
        container["Config"]["Labels"]["com.docker.compose.service"].as_str().unwrap_or_default();
    let word = match (state["Status"].as_str(), state["Health"]["Status"].as_str()) {
        (Some("running"), None | Some("healthy")) => "ready",
        (Some("running"), _) => "starting",
        (Some("paused"), _) => "paused",
        (Some("created"), _) => "not started",
        (Some("exited"), _) if code == 0 && ONE_SHOTS.contains(&service) => "done",
        (Some("exited"), _) if code == 0 => "stopped",
        _ => "dead",
    };
    let pid = state["Pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
    PartStatus {
        name: part(service),
        state: word.to_owned(),
        pid: pid.filter(|_| runs),
        address: service.to_owned(),
        starts: u32::try_from(container["RestartCount"].as_u64().unwrap_or_default())
            .unwrap_or(u32::MAX),
        ended: (!runs).then(|| format!("ended with code {code}")),
    }
}

async fn run(program: &str, words: &[&str], files: &str) -> Result<String, ControlError> {
    let request = format!("{program} {}", words.join(" "));
    let running = Command::new(program)
        .args(words)
        .env("COMPOSE_FILE", files)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = match tokio::time::timeout(COMMAND_MAX, running).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(refused(&request, error.to_string())),
        Err(_) => return Err(refused(&request, format!("has not ended within {COMMAND_MAX:?}"))),
    };
    if !output.status.success() {
        let printed = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(refused(&request, format!("{}: {printed}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn refused(request: &str, reason: String) -> ControlError {
    ControlError::Refused { request: request.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn container_is_reported_under_the_name_of_the_native_part() {
        let container = serde_json::json!({
            "State": { "Status": "running", "Pid": 7, "ExitCode": 0, "Health": { "Status": "healthy" } },
            "Config": { "Labels": { "com.docker.compose.service": "redpanda" } },
            "RestartCount": 2,
        });
        let seen = status(&container);
        assert_eq!((seen.name.as_str(), seen.state.as_str()), ("broker", "ready"));
        assert_eq!((seen.pid, seen.starts, seen.ended), (Some(7), 2, None));
    }

    #[test]
    fn container_that_crashed_is_dead_and_has_no_process() {
        let container = serde_json::json!({
            "State": { "Status": "exited", "Pid": 0, "ExitCode": 134 },
            "Config": { "Labels": { "com.docker.compose.service": "order" } },
        });
        let seen = status(&container);
        assert_eq!((seen.name.as_str(), seen.state.as_str(), seen.pid), ("order-0", "dead", None));
        assert_eq!(seen.ended.as_deref(), Some("ended with code 134"));
    }
}

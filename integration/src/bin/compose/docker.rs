//! Runs `docker compose` in the checkout, with chosen variables. It uses the engine only through
//! the `docker` program.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use tokio::process::Command;

/// How long one command may take; the first build of the image is the longest.
const COMMAND_MAX: Duration = Duration::from_secs(3600);
/// How long a container may take to become healthy.
const HEALTHY_MAX: Duration = Duration::from_secs(150);
/// The pause between two checks.
const PAUSE: Duration = Duration::from_millis(250);

/// The folder and the variables with which commands run.
#[derive(Clone, Debug)]
pub(crate) struct Docker {
    root: PathBuf,
    variables: Vec<(&'static str, String)>,
}

/// One container as `docker compose ps` shows it.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) service: String,
    pub(crate) healthy: bool,
}

impl Docker {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root, variables: Vec::new() }
    }

    /// Sets a variable, as in `NAME=VALUE docker compose ...`.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Runs `program` and returns its output.
    pub(crate) async fn run(&self, program: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(&self.root)
            .kill_on_drop(true)
            .stdin(std::process::Stdio::null());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let what = format!("{program} {}", arguments.join(" "));
        let output = tokio::time::timeout(COMMAND_MAX, command.output())
            .await
            .with_context(|| format!("`{what}` has not ended"))?
            .with_context(|| format!("run `{what}`"))?;
        if !output.status.success() {
            let printed = [output.stdout, output.stderr].concat();
            let printed = String::from_utf8_lossy(&printed);
            let lines: Vec<_> = printed.lines().collect();
            bail!(
                "`{what}` ended with {}:\n{}",
                output.status,
                lines[lines.len().saturating_sub(25)..].join("\n")
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs `docker compose`.
    pub(crate) async fn compose(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.run("docker", &[&["compose"], arguments].concat()).await
    }

    /// The running containers.
    pub(crate) async fn containers(&self) -> anyhow::Result<Vec<Container>> {
        let listed = self.compose(&["ps", "--format", "{{.ID}} {{.Service}} {{.Health}}"]).await?;
        let container = |line: &str| {
            let mut words = line.split_whitespace().map(str::to_owned);
            let (id, service) = (words.next()?, words.next()?);
            Some(Container {
                id,
                service,
                healthy: words.next().is_some_and(|health| health == "healthy"),
            })
        };
        Ok(listed.lines().filter_map(container).collect())
    }

    /// Waits until the services are healthy, or all running ones if none is named.
    pub(crate) async fn healthy(&self, services: &[&str]) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        loop {
            let containers = self.containers().await?;
            let named = |container: &&Container| {
                services.is_empty() || services.contains(&container.service.as_str())
            };
            let chosen: Vec<_> = containers.iter().filter(named).collect();
            if chosen.len() >= services.len() && chosen.iter().all(|container| container.healthy) {
                return Ok(begun.elapsed());
            }
            ensure!(begun.elapsed() < HEALTHY_MAX, "not healthy after {HEALTHY_MAX:?}: {chosen:?}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Kills all processes of a service's container at once, as a crash does. The engine restarts
    /// it then, which it does not after `docker kill`. Waits until the engine has noticed.
    pub(crate) async fn crash(&self, service: &str) -> anyhow::Result<()> {
        let id = self.compose(&["ps", "-q", service]).await?.trim().to_owned();
        ensure!(!id.is_empty(), "{service} does not run");
        let restarts =
            async || self.run("docker", &["inspect", "-f", "{{.RestartCount}}", &id]).await;
        let before = restarts().await?;
        // -1: all but the first process, docker-init, which ends with its child, and the shell
        // itself, which ends with the container. So the exit code of `exec` means nothing.
        let _ = self.compose(&["exec", "-T", service, "sh", "-c", "kill -9 -1"]).await;
        let begun = Instant::now();
        while restarts().await? == before {
            ensure!(
                begun.elapsed() < HEALTHY_MAX,
                "{service} was killed and the engine has not restarted it"
            );
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }
}

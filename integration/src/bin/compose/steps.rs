//! The steps with one broker: the first start, the README's tour, crashes, restarts, `down` and
//! `up`, other settings, mail.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use integration::stack::{INSTANCES, PROGRAMS};

use crate::{docker::Docker, readme, report::Report, shop::Shop};

/// How long an order may wait after a crash of one container.
const RESUME_MAX: Duration = Duration::from_secs(90);
/// A password with all characters that have a meaning in a URL.
const PASSWORD: &str = "p@ss#w/o:r d%?&$x";

/// Starts everything and waits until all of it is healthy.
pub(crate) async fn up(docker: &Docker, extra: &[&str]) -> anyhow::Result<String> {
    docker.compose(&[&["up", "-d", "--wait"], extra].concat()).await?;
    let containers = docker.containers().await?;
    let sick: Vec<_> = containers.iter().filter(|container| !container.healthy).collect();
    ensure!(!containers.is_empty() && sick.is_empty(), "not healthy: {sick:?}");
    Ok(format!("{} containers, all healthy", containers.len()))
}

/// Stops everything and deletes the data.
pub(crate) async fn dropped(docker: &Docker) -> anyhow::Result<String> {
    docker.compose(&["down", "-v"]).await?;
    let project = std::env::var("COMPOSE_PROJECT_NAME").unwrap_or_else(|_| "millrace".to_owned());
    let filter = format!("label=com.docker.compose.project={project}");
    let volumes = docker.run("docker", &["volume", "ls", "-q", "--filter", &filter]).await?;
    ensure!(volumes.trim().is_empty(), "volumes are left: {volumes}");
    Ok("no container and no volume is left".to_owned())
}

/// The steps of `integration/test`.
pub(crate) async fn short(docker: &Docker, report: &mut Report) -> anyhow::Result<()> {
    report.step("`docker compose up --build --wait`", up(docker, &["--build"])).await?;
    report.step("the README's tour, typed", readme::tour(docker)).await?;
    let shop = Shop::open(docker, "localhost").await?;
    let order = shop.order().await?;
    report.step("`order` killed (-9) while people order", crashed(docker, "order")).await?;
    report.step("`docker compose down`, `up --wait`", down_and_up(docker, shop, &order)).await?;
    report.step("`docker compose down -v`", dropped(docker)).await
}

/// The steps on the default settings.
pub(crate) async fn one_broker(
    docker: &Docker,
    report: &mut Report,
    all: bool,
) -> anyhow::Result<()> {
    report.step("`docker compose up --build --wait`", up(docker, &["--build"])).await?;
    report
        .step("the same again, nothing changed", async {
            let before = ids(docker).await?;
            docker.compose(&["up", "-d", "--build", "--wait"]).await?;
            ensure!(ids(docker).await? == before, "a container was created again");
            Ok("no container was created again".to_owned())
        })
        .await?;
    report.step("the README's tour, typed", readme::tour(docker)).await?;

    let shop = Shop::open(docker, "localhost").await?;
    let order = shop.order().await?;
    let mut crashing = vec!["order".to_owned(), "gateway-0".to_owned()];
    if all {
        let started = PROGRAMS.iter().flat_map(|program| {
            let numbers = (0..INSTANCES).filter(|number| program.starts_by_itself(*number));
            numbers.map(|number| program.compose_service(number))
        });
        let others: Vec<_> = started.filter(|service| !crashing.contains(service)).collect();
        crashing.extend(others);
        let servers = ["nginx", "redis", "mongo", "postgres", "prometheus", "redpanda"];
        crashing.extend(servers.map(str::to_owned));
    }
    for service in crashing {
        let name = format!("`{service}` killed (-9) while people order");
        report.step(&name, crashed(docker, &service)).await?;
    }
    report
        .step("`docker compose restart` while people order", async {
            let busy = shop.busy();
            busy.more(5).await?;
            docker.compose(&["restart"]).await?;
            let healthy = docker.healthy(&[]).await?;
            busy.more(5).await?;
            Ok(format!(
                "all healthy {:.0} s after the command ended; {}",
                healthy.as_secs_f64(),
                busy.stop().await?
            ))
        })
        .await?;
    report
        .step(
            "`gateway-0` created again behind nginx, `gateway-1` stopped",
            renewed_gateway(docker),
        )
        .await?;
    report.step("`docker compose down`, `up --wait`", down_and_up(docker, shop, &order)).await?;
    report.step("`docker compose down -v`", dropped(docker)).await
}

/// Stops everything, starts it on the same volumes, and reads an earlier order.
async fn down_and_up(docker: &Docker, shop: Shop, order: &str) -> anyhow::Result<String> {
    docker.compose(&["down"]).await?;
    let seen = up(docker, &[]).await?;
    let shop = shop.again("localhost").await?;
    shop.has(order).await?;
    shop.order().await?;
    Ok(format!("{seen}; the earlier order exists, and the next one is confirmed"))
}

async fn ids(docker: &Docker) -> anyhow::Result<Vec<String>> {
    let mut ids: Vec<_> =
        docker.containers().await?.into_iter().map(|container| container.id).collect();
    ids.sort();
    Ok(ids)
}

/// Kills the processes of a container under load.
async fn crashed(docker: &Docker, service: &str) -> anyhow::Result<String> {
    let shop = Shop::open(docker, "localhost").await?;
    let busy = shop.busy();
    busy.more(5).await?;
    docker.crash(service).await?;
    let begun = Instant::now();
    docker.healthy(&[service]).await?;
    let healthy = begun.elapsed();
    busy.more(10).await?;
    let sums = busy.stop().await?;
    ensure!(sums.rejected == 0, "orders met their deadline: {sums}");
    ensure!(sums.longest < RESUME_MAX, "an order waited for {:?}", sums.longest);
    // A crash must not leave another container unhealthy.
    docker.healthy(&[]).await?;
    Ok(format!("restarted, healthy after {:.0} s; {sums}", healthy.as_secs_f64()))
}

/// Creates a new container for a gateway and stops the other gateway: nginx, which is not
/// restarted, has to find the new one.
async fn renewed_gateway(docker: &Docker) -> anyhow::Result<String> {
    let shop = Shop::open(docker, "localhost").await?;
    let nginx = docker.compose(&["ps", "-q", "nginx"]).await?;
    let started = async || {
        docker.run("docker", &["inspect", "-f", "{{.State.StartedAt}}", nginx.trim()]).await
    };
    let before = started().await?;
    docker.compose(&["rm", "-sf", "gateway-0"]).await?;
    docker.compose(&["up", "-d", "--wait", "gateway-0"]).await?;
    docker.compose(&["stop", "gateway-1"]).await?;
    shop.order().await.context("through nginx and the new gateway")?;
    ensure!(started().await? == before, "nginx was restarted");
    docker.compose(&["up", "-d", "--wait", "gateway-1"]).await?;
    docker.healthy(&[]).await?;
    Ok("an order is confirmed through the new container; nginx was not restarted".to_owned())
}

/// Another address, and a password with characters that have a meaning in a URL.
pub(crate) async fn other_settings(docker: &Docker, report: &mut Report) -> anyhow::Result<()> {
    let name = format!("`BIND=127.0.0.2 ADVERTISE=127.0.0.2 POSTGRES_PASSWORD='{PASSWORD}'`");
    let moved = docker.clone().with("BIND", "127.0.0.2").with("ADVERTISE", "127.0.0.2");
    let secret = moved.clone().with("POSTGRES_PASSWORD", PASSWORD);
    report
        .step(&name, async {
            let seen = up(&secret, &[]).await?;
            Shop::open(&secret, "127.0.0.2").await?.order().await?;
            let kcat = ["-b", "127.0.0.2:9092", "-C", "-t", "order.events", "-o", "beginning", "-e", "-q", "-f", "%k\n"];
            let read = docker.run("kcat", &kcat).await?;
            ensure!(!read.trim().is_empty(), "kcat read nothing through 127.0.0.2:9092");
            Ok(format!("{seen}; an order is confirmed through 127.0.0.2:3000, kcat reads order.events through 127.0.0.2:9092"))
        })
        .await?;
    report
        .step("`POSTGRES_PASSWORD` changed on an old volume", async {
            let changed = moved.clone().with("POSTGRES_PASSWORD", "another");
            changed.compose(&["up", "-d", "--no-deps", "order"]).await?;
            let begun = Instant::now();
            loop {
                let log =
                    changed.compose(&["logs", "--no-log-prefix", "--tail", "20", "order"]).await?;
                if let Some(line) =
                    log.lines().find(|line| line.contains("check MILLRACE_POSTGRES_URL"))
                {
                    return Ok(format!("`order` ends: `{line}`"));
                }
                ensure!(begun.elapsed() < RESUME_MAX, "`order` does not say what is wrong:\n{log}");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        })
        .await?;
    report.step("`docker compose down -v` there", dropped(&secret)).await
}

/// The profile that catches mail.
pub(crate) async fn mail(docker: &Docker, report: &mut Report) -> anyhow::Result<()> {
    let name = "`MILLRACE_SMTP_URL=smtp://mailpit:1025 docker compose --profile mail up --wait`";
    let docker = docker
        .clone()
        .with("MILLRACE_SMTP_URL", "smtp://mailpit:1025")
        .with("COMPOSE_PROFILES", "mail");
    report
        .step(name, async {
            let seen = up(&docker, &[]).await?;
            Shop::open(&docker, "localhost").await?.order().await?;
            let begun = Instant::now();
            loop {
                let mails =
                    docker.run("curl", &["-sf", "http://localhost:8025/api/v1/messages"]).await?;
                let mails: serde_json::Value =
                    serde_json::from_str(&mails).context("Mailpit's answer")?;
                let subjects: Vec<_> = mails["messages"].as_array().into_iter().flatten().collect();
                let subjects: Vec<_> =
                    subjects.iter().filter_map(|mail| mail["Subject"].as_str()).collect();
                if subjects.contains(&"Your order is confirmed") {
                    return Ok(format!("{seen}; Mailpit caught: {}", subjects.join("; ")));
                }
                ensure!(begun.elapsed() < RESUME_MAX, "Mailpit has {subjects:?} only");
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        })
        .await?;
    report.step("`docker compose down -v` with the profile", dropped(&docker)).await
}

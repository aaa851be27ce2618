//! Containers that are paused, or taken off their networks, for longer than any timeout, while
//! people order. It kills and restarts none of them.

use std::time::{Duration, Instant};

use anyhow::ensure;
use integration::stack::{Compose, PROGRAMS};

use crate::{docker::Docker, report::Report, shop::Shop, steps};

/// Longer than the timeouts of a session and of a transaction.
const DISTURBED: Duration = Duration::from_secs(15);
/// How long an order may take.
const ORDER_MAX: Duration = Duration::from_secs(90);
const SERVERS: [&str; 4] = ["redis", "mongo", "postgres", "redpanda"];

/// The services of `compose.yaml` that are disturbed: the first instance of each program, and the
/// servers.
fn services() -> Vec<String> {
    let programs = PROGRAMS.iter().map(|program| program.compose_service(0));
    programs.chain(SERVERS.map(str::to_owned)).collect()
}

/// Starts everything, and disturbs one container after the other, or only that of `chosen`.
pub(crate) async fn all(
    docker: &Docker,
    report: &mut Report,
    chosen: Option<&str>,
) -> anyhow::Result<()> {
    let mut services = services();
    let expected = services.join(", ");
    services.retain(|service| chosen.is_none_or(|only| only == service));
    ensure!(!services.is_empty(), "expected one of {expected}");
    report.step("`docker compose up --build --wait`", steps::up(docker, &["--build"])).await?;
    for service in &services {
        let name = format!("`{service}` paused for 15 s while people order");
        report.step(&name, paused(docker, service)).await?;
        let name = format!("`{service}` off its networks for 15 s while people order");
        report.step(&name, off_network(docker, service)).await?;
    }
    report.step("`docker compose down -v`", steps::dropped(docker)).await
}

async fn paused(docker: &Docker, service: &str) -> anyhow::Result<String> {
    disturbed(docker, async {
        docker.compose(&["pause", service]).await?;
        tokio::time::sleep(DISTURBED).await;
        docker.compose(&["unpause", service]).await.map(drop)
    })
    .await
}

async fn off_network(docker: &Docker, service: &str) -> anyhow::Result<String> {
    let compose = Compose::from_env()?;
    disturbed(docker, async {
        let networks = compose.disconnect(service).await?;
        tokio::time::sleep(DISTURBED).await;
        Ok(compose.connect(&networks).await?)
    })
    .await
}

/// Lets people order before, during and after the disturbance.
async fn disturbed(
    docker: &Docker,
    disturbance: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<String> {
    let shop = Shop::open(docker, "localhost").await?;
    let busy = shop.busy();
    busy.more(5).await?;
    disturbance.await?;
    let begun = Instant::now();
    docker.healthy(&[]).await?;
    let healthy = begun.elapsed();
    busy.more(10).await?;
    let sums = busy.stop().await?;
    ensure!(sums.longest < ORDER_MAX, "an order waited for {:?}", sums.longest);
    Ok(format!("all healthy {:.0} s after it; {sums}", healthy.as_secs_f64()))
}

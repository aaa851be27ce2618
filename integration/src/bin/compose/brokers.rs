//! The profile `three-brokers`: each broker is down for a while under load, and a service is
//! restarted meanwhile.

use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::{docker::Docker, report::Report, shop::Shop, steps};

/// How long after a broker is killed orders must be confirmed again.
const RESUME_MAX: Duration = Duration::from_secs(60);
const BROKERS: [&str; 3] = ["redpanda", "redpanda-1", "redpanda-2"];

/// Starts three brokers, and kills and restarts each of them in turn.
pub(crate) async fn three(docker: &Docker, report: &mut Report) -> anyhow::Result<()> {
    let name = "`REPLICATION=3 BROKERS=... REGISTRIES=... docker compose --profile three-brokers up --wait`";
    let docker = docker
        .clone()
        .with("COMPOSE_PROFILES", "three-brokers")
        .with("REPLICATION", "3")
        .with("BROKERS", &BROKERS.map(|broker| format!("{broker}:9092")).join(","))
        .with("REGISTRIES", &BROKERS.map(|broker| format!("http://{broker}:8081")).join(","));
    report.step(name, steps::up(&docker, &[])).await?;
    for broker in BROKERS {
        let name = format!(
            "`{broker}` of three killed while people order, `order` and `gateway-0` restarted meanwhile"
        );
        report.step(&name, without(&docker, broker)).await?;
    }
    report
        .step("`docker compose --profile three-brokers down -v`", async {
            docker.compose(&["down", "-v"]).await?;
            Ok("done".to_owned())
        })
        .await
}

async fn without(docker: &Docker, broker: &str) -> anyhow::Result<String> {
    let shop = Shop::open(docker, "localhost").await?;
    let busy = shop.busy();
    busy.more(10).await?;

    docker.compose(&["kill", broker]).await?;
    let resumed = busy.more(10).await?;
    ensure!(resumed < RESUME_MAX, "orders were confirmed again only {resumed:?} after the kill");
    let begun = Instant::now();
    docker.compose(&["restart", "order", "gateway-0"]).await?;
    docker.healthy(&["order", "gateway-0"]).await?;
    let restarted = begun.elapsed();
    busy.more(10).await?;

    docker.compose(&["start", broker]).await?;
    let begun = Instant::now();
    docker.healthy(&[]).await?;
    let back = begun.elapsed();
    busy.more(10).await?;
    let sums = busy.stop().await?;
    Ok(format!(
        "ten orders within {:.1} s of the kill; the two restarted and healthy in {:.0} s without it; all healthy {:.0} s after its \
         start; {sums}",
        resumed.as_secs_f64(),
        restarted.as_secs_f64(),
        back.as_secs_f64(),
    ))
}

//! The servers of the native stack keep their data when they are killed, a service that does not
//! hear from a server is not ready, and no program gets huge pages. Run under `stack run`, as
//! integration/test does.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use integration::stack::{Control, PROGRAMS};
use projections::{mongo::Mongo, projection::PositionStore as _};
use redpanda::log::TopicPartition;
use serde_json::{Value, json};
use tokio::time::sleep;

const BACK_WITHIN: Duration = Duration::from_secs(60);

async fn register(registry: &str, subject: &str) -> Value {
    let (namespace, name) = subject.rsplit_once('.').expect("a full name");
    let schema =
        json!({ "type": "record", "name": name, "namespace": namespace, "fields": [] }).to_string();
    let http = integration::http().build().expect("a client");
    let request = http.post(format!("{registry}/subjects/{subject}/versions"));
    let answer = request.json(&json!({ "schema": schema })).send().await.expect("an answer");
    answer.json().await.expect("an id")
}

#[tokio::test]
#[ignore = "needs the stack: integration/test"]
async fn registry_that_was_killed_has_the_same_ids_after_a_restart() {
    let stack = Control::from_env().expect("a stack");
    let registry = std::env::var("MILLRACE_REGISTRY_URL").expect("MILLRACE_REGISTRY_URL");
    let subjects = ["millrace.trial.One", "millrace.trial.Two", "millrace.trial.Three"];
    let mut before = Vec::new();
    for subject in subjects {
        before.push(register(&registry, subject).await);
    }

    stack.kill("apicurio").await.expect("it is killed");
    stack.start("apicurio").await.expect("it is started");
    stack.wait("apicurio", BACK_WITHIN).await.expect("it is back");

    for (subject, before) in subjects.into_iter().zip(before) {
        assert_eq!(before, register(&registry, subject).await, "{subject}");
    }
}

/// Claims a partition again and again, and returns the last epoch that was acknowledged before the
/// server went away, and the number of claims.
async fn claim_until_away(mongo: &Mongo, partition: &TopicPartition) -> (i64, usize) {
    let (mut epoch, mut count) = (0, 0);
    while let Ok(claim) = mongo.claim("trial", partition).await {
        (epoch, count) = (claim.epoch, count + 1);
    }
    (epoch, count)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the stack: integration/test"]
async fn mongo_killed_under_load_has_every_acknowledged_write() {
    let stack = Control::from_env().expect("a stack");
    let url = std::env::var("MILLRACE_MONGO_URL").expect("MILLRACE_MONGO_URL");
    let url = format!("{}/trial_{}", url.trim_end_matches('/'), uuid::Uuid::new_v4().simple());
    let mongo = Mongo::new(&url).await.expect("a URL");
    let partitions: Vec<_> = (0..8).map(|number| TopicPartition::new("trial", number)).collect();
    for _ in 0..3 {
        let (begun, lasts) = (Instant::now(), Duration::from_secs(2));
        let claims = join_all(partitions.iter().map(|one| claim_until_away(&mongo, one)));
        let killed = async {
            sleep(lasts).await;
            stack.kill("mongo").await.expect("it is killed");
        };
        let (claims, ()) = tokio::join!(claims, killed);
        let count: usize = claims.iter().map(|(_, count)| count).sum();
        let rate = count as f64 / lasts.as_secs_f64();
        eprintln!("{rate:.0} writes a second, {:.1} s in all", begun.elapsed().as_secs_f32());
        assert!(count > 100, "{count} writes are no load");

        stack.start("mongo").await.expect("it is started");
        stack.wait("mongo", BACK_WITHIN).await.expect("it is back");
        for (partition, (acknowledged, _)) in partitions.iter().zip(claims) {
            let held = mongo.current_claim("trial", partition).await.expect("an answer");
            let held = held.expect("a position").epoch;
            // The last claim of each writer was not answered: the server may have it.
            assert!((acknowledged..=acknowledged + 1).contains(&held), "{acknowledged}, {held}");
        }
    }
}

/// Waits until `url` answers with `status` and a body that contains `text`.
async fn wait_for_readiness(url: &str, status: u16, text: &str) {
    let since = Instant::now();
    loop {
        let answer = integration::get(url).await.expect("the service answers");
        let found = answer.status().as_u16();
        let body = answer.text().await.expect("a body");
        if found == status && body.contains(text) {
            eprintln!("{url} answered {status} after {:.1} s", since.elapsed().as_secs_f32());
            return;
        }
        assert!(since.elapsed() < BACK_WITHIN, "{url} still answers {found}: {body}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
#[ignore = "needs the stack: integration/test"]
async fn service_is_not_ready_while_it_does_not_hear_from_the_broker() {
    let stack = Control::from_env().expect("a stack");
    let address = stack.part("order-0").await.expect("a part").address;
    let url = address.replace("/metrics", "/readyz");
    wait_for_readiness(&url, 200, "").await;

    // A process that is stopped by a signal keeps its connections, as in a network failure. Its
    // sessions may time out first, which is another reason.
    stack.signal("broker", "STOP").await.expect("it is stopped");
    wait_for_readiness(&url, 503, "no broker was heard from for 10 s").await;
    stack.signal("broker", "CONT").await.expect("it continues");

    wait_for_readiness(&url, 200, "").await;
}

#[tokio::test]
#[ignore = "needs the stack: integration/test"]
async fn huge_pages_are_disabled_for_every_program() {
    let stack = Control::from_env().expect("a stack");
    for name in PROGRAMS.iter().map(|program| program.instance(0)) {
        let pid = stack.part(&name).await.expect("a part").pid.expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
        let enabled = status.lines().find_map(|line| line.strip_prefix("THP_enabled:"));
        // A kernel without huge pages says nothing about them.
        assert_eq!(enabled.map_or("0", str::trim), "0", "{name}");
    }
}

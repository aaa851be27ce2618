//! The servers of the native stack keep their data when they are killed, and a service that does
//! not hear from a server is not ready. Run under `stack run`, as integration/test does.

use std::time::{Duration, Instant};

use integration::stack::Control;
use serde_json::{Value, json};

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

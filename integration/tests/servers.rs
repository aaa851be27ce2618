//! The servers of the native stack keep what they were given when they are killed. Run under `stack run`, as integration/test does.

use std::time::Duration;

use integration::stack::Control;
use serde_json::{Value, json};

const BACK_WITHIN: Duration = Duration::from_secs(60);

async fn register(registry: &str, subject: &str) -> Value {
    let (namespace, name) = subject.rsplit_once('.').expect("a full name");
    let schema = json!({ "type": "record", "name": name, "namespace": namespace, "fields": [] }).to_string();
    let request = reqwest::Client::new().post(format!("{registry}/subjects/{subject}/versions"));
    let answer = request.json(&json!({ "schema": schema })).send().await.expect("an answer");
    answer.json().await.expect("an id")
}

#[tokio::test]
#[ignore = "needs the stack: integration/test, or `stack run -- cargo test -p integration -- --ignored`"]
async fn the_registry_killed_comes_back_with_the_same_ids() {
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

//! The registry's client and `provision` against registries that are absent or slow, or refuse at
//! first.

mod fake;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use fake::{Answer, Fake};
use rdkafka::mocking::MockCluster;
use redpanda::{
    provision::{Provision, ProvisionError, retry::RetryPolicy},
    registry::{Registry, RegistryError, checked_urls},
    topics::Topics,
};
use schemas::{Record as _, Schema};

/// Nothing listens at port 1.
const DEAD: &str = "http://127.0.0.1:1";

fn schema() -> &'static Schema {
    schemas::Outcome::SCHEMA
}

/// The answers of a registry without schemas and levels that accepts every schema.
fn empty(request: &str) -> Answer {
    match request {
        request if request.starts_with("PUT /config/") => {
            Answer::Status(200, r#"{"compatibility":"FULL_TRANSITIVE"}"#.to_owned())
        }
        request if request.starts_with("POST") && request.ends_with("/versions") => {
            Answer::Status(200, r#"{"id":7}"#.to_owned())
        }
        _ => Answer::Status(404, r#"{"error_code":40401,"message":"not found"}"#.to_owned()),
    }
}

fn unavailable() -> Answer {
    Answer::Status(503, r#"{"error_code":50003,"message":"no leader"}"#.to_owned())
}

/// Provisions no topics and one schema on this cluster and this registry.
fn provision(cluster: &MockCluster<'_, impl rdkafka::ClientContext>, urls: &str) -> Provision {
    let registry = Registry::new(urls).expect("addresses");
    let none =
        Topics::parse("{defaults: {partitions: 1, bytes_max: 1}, topics: {}}").expect("no topics");
    let provision =
        Provision::of(&cluster.bootstrap_servers(), registry, 1, none).expect("a client");
    provision.with_schemas(vec![schema()])
}

/// Retries for up to `longest`, and the failures that were reported.
fn retries(longest: Duration) -> (RetryPolicy, Arc<Mutex<Vec<String>>>) {
    let reports = Arc::<Mutex<Vec<String>>>::default();
    let reported = reports.clone();
    let report = move |failure: &ProvisionError| {
        reported.lock().expect("nobody panicked").push(failure.to_string());
    };
    (RetryPolicy::new(longest, report), reports)
}

#[tokio::test]
async fn request_fails_over_and_the_next_one_starts_with_the_address_that_answered() {
    let (failing, living) =
        (Fake::start(|_, _| unavailable()).await, Fake::start(|_, to| empty(to)).await);
    let registry =
        Registry::new(&format!("{DEAD}, {}/,{}", failing.url, living.url)).expect("addresses");

    assert_eq!(registry.versions("a").await.expect("an answer"), []);
    assert_eq!(registry.register(schema()).await.expect("an answer"), 7);
    registry.set_full_transitive("a").await.expect("an answer");
    assert_eq!(registry.clone().level_of("a").await.expect("an answer"), None);

    assert_eq!(failing.requests(), ["GET /subjects/a/versions"]);
    assert_eq!(living.requests().len(), 4);
}

#[tokio::test]
async fn definite_answer_is_not_requested_again_at_another_address() {
    let living = Fake::start(|_, request| empty(request)).await;
    let registry = Registry::new(&format!("{},{DEAD}", living.url)).expect("addresses");
    assert_eq!(registry.schema_by_id(1).await.expect("an answer"), None);
    assert_eq!(registry.versions("a").await.expect("an answer"), []);
}

#[tokio::test]
async fn error_names_all_failed_addresses_and_a_rejection_is_permanent() {
    let failing = Fake::start(|_, _| unavailable()).await;
    let registry = Registry::new(&format!("{DEAD},{}", failing.url)).expect("addresses");
    let error = registry.versions("a").await.expect_err("nobody answers");
    assert!(matches!(error, RegistryError::Unreachable { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(&format!("{DEAD}: ")) && text.contains("503"), "{text}");

    let refusing = Fake::start(|_, _| Answer::Status(401, "{}".to_owned())).await;
    let registry = Registry::new(&refusing.url).expect("an address");
    let error = registry.set_full_transitive("a").await.expect_err("no rights");
    assert!(matches!(error, RegistryError::Rejected { .. }), "{error}");
}

#[test]
fn wrong_list_of_addresses_is_refused() {
    assert_eq!(checked_urls(" http://a:1/ ,https://b").expect("a list"), "http://a:1,https://b");
    for wrong in ["", "http://a:1,", "a:8081", "ftp://a", "http://"] {
        let error = checked_urls(wrong).expect_err(wrong).to_string();
        assert!(error.contains("can't be the address of a schema registry"), "{error}");
    }
}

#[tokio::test]
async fn credentials_of_an_address_are_masked_in_every_error() {
    // A password is sent to https only; nothing listens at these ports.
    let (dead, other) = ("https://ada:s3cret@127.0.0.1:1", "https://ada:s3cret@127.0.0.1:2");
    for urls in [dead.to_owned(), format!("{dead},{other}")] {
        let registry = Registry::new(&urls).expect("addresses");
        // One request of the converter, one of the plain client.
        let errors = [
            registry.versions("a").await.expect_err("no answer"),
            registry.level_of("a").await.expect_err("no answer"),
        ];
        for error in errors.map(|error| error.to_string()) {
            assert!(error.contains("https://***@127.0.0.1"), "{error}");
            assert!(!error.contains("s3cret") && !error.contains("ada"), "{error}");
        }
    }
    for wrong in [
        "ftp://ada:s3cret@a",
        "ada:s3cret@a",
        "http://ada:s3cret@",
        "http://ada:s3cret@a:port",
        "http://ada:s3,cret@a",
        "http://ada:s3@cret@,http://a",
    ] {
        let error = checked_urls(wrong).expect_err(wrong).to_string();
        assert!(error.contains("***@") && !error.contains("s3"), "{error}");
    }
}

#[test]
fn program_does_not_print_the_password_of_its_registry_setting() {
    let provision = |argument: &str, url: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_provision"));
        command.arg(argument).env("MILLRACE_REGISTRY_URL", url).env("MILLRACE_WAIT_S", "0");
        let output = command.output().expect("provision runs");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).expect("text"))
    };
    let (code, text) = provision("--dry-run", "ftp://ada:s3cret@a");
    assert_eq!(code, Some(64), "{text}");
    assert!(text.contains("--registry-url") && text.contains("'ftp://***@a'"), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
    let (code, text) = provision("--help", "http://ada:s3cret@a");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("MILLRACE_REGISTRY_URL") && !text.contains("s3cret"), "{text}");
}

#[tokio::test]
async fn provision_succeeds_after_a_registry_was_unavailable_at_first() {
    // Each request fails twice before it is answered.
    let counts = Mutex::new(HashMap::<String, u32>::new());
    let fake = Fake::start(move |_, request| {
        let mut counts = counts.lock().expect("nobody panicked");
        let count = counts.entry(request.to_owned()).or_default();
        *count += 1;
        if *count > 2 { empty(request) } else { unavailable() }
    });
    let (fake, cluster) = (fake.await, MockCluster::new(1).expect("a cluster"));
    let (retries, reports) = retries(Duration::from_secs(60));
    let provision = provision(&cluster, &fake.url).with_retries(retries);

    let plan = provision.plan().await.expect("a plan");
    assert_eq!(plan.steps.len(), 1, "{plan:?}");
    assert!(plan.cluster.is_some_and(|id| !id.is_empty()));
    for step in &plan.steps {
        provision.apply(step).await.expect("applied");
    }
    provision.wait_for_leaders().await.expect("there are no topics");

    assert!(
        fake.requests()
            .iter()
            .any(|request| request.starts_with("POST") && request.ends_with("versions"))
    );
    let reports = reports.lock().expect("nobody panicked").clone();
    assert!(reports.iter().any(|report| report.contains("503")), "{reports:?}");
}

#[tokio::test]
async fn provision_succeeds_after_a_registry_never_answered_the_first_request() {
    let fake = Fake::start(|number, request| match number {
        0 => Answer::Silence,
        _ => empty(request),
    });
    let (fake, cluster) = (fake.await, MockCluster::new(1).expect("a cluster"));
    let (retries, reports) = retries(Duration::from_secs(60));
    let plan = provision(&cluster, &fake.url).with_retries(retries).plan().await.expect("a plan");
    assert_eq!(plan.steps.len(), 1, "{plan:?}");
    assert_eq!(reports.lock().expect("nobody panicked").len(), 1);
}

#[tokio::test]
async fn change_of_meaning_is_a_conflict_unless_it_is_allowed() {
    let before = schema().json.replace("timestamp-millis", "timestamp-micros");
    let version = serde_json::json!({
        "subject": schema().name, "version": 1, "id": 3, "schema": before,
    });
    let fake = Fake::start(move |_, request| match request {
        request if request.ends_with("/versions/1") => Answer::Status(200, version.to_string()),
        request if request.starts_with("GET") && request.ends_with("/versions") => {
            Answer::Status(200, "[1]".to_owned())
        }
        request => empty(request),
    });
    let (fake, cluster) = (fake.await, MockCluster::new(1).expect("a cluster"));

    let plan = provision(&cluster, &fake.url).plan().await.expect("a plan");
    let conflicts: Vec<_> = plan.conflicts.iter().map(ToString::to_string).collect();
    assert!(plan.check().is_err() && !conflicts.is_empty(), "{plan:?}");
    assert!(conflicts.iter().all(|one| one.contains("version 1: decided_at: ")), "{conflicts:?}");

    let allowing = provision(&cluster, &fake.url).with_allowed(|subject, found| {
        subject == schema().name && found.problem.path == "decided_at"
    });
    let plan = allowing.plan().await.expect("a plan");
    assert!(plan.check().is_ok(), "{plan:?}");
    let last = plan.steps.last().map(ToString::to_string);
    assert_eq!(last, Some(format!("register {} after version 1", schema().name)));
}

#[tokio::test]
async fn provision_ends_after_its_retries_and_at_once_on_a_permanent_error() {
    let cluster = MockCluster::new(1).expect("a cluster");
    let (short, _) = retries(Duration::from_millis(300));
    let error =
        provision(&cluster, DEAD).with_retries(short).plan().await.expect_err("no registry");
    assert!(matches!(error, ProvisionError::GaveUp { .. }), "{error}");
    assert!(error.is_retriable() && schemas::chain(&error).contains(DEAD), "{error}");

    let refusing = Fake::start(|_, _| Answer::Status(403, "{}".to_owned())).await;
    let (long, reports) = retries(Duration::from_secs(600));
    let since = Instant::now();
    let error =
        provision(&cluster, &refusing.url).with_retries(long).plan().await.expect_err("no rights");
    assert!(!error.is_retriable() && error.to_string().contains("403"), "{error}");
    assert!(
        since.elapsed() < Duration::from_secs(300)
            && reports.lock().expect("nobody panicked").is_empty()
    );
    assert_eq!(refusing.requests().len(), 1);
}

//! The exit codes of what is refused, wrong or can't be written, and what is said about it.

use serde_json::json;

use crate::{
    gateway::{Gateway, Reply},
    logged_in, problem,
    program::Home,
    shop,
};

#[test]
fn answer_that_refuses_ends_with_code_1_and_says_what_was_expected() {
    let gateway = shop(|seen| match &*seen.path {
        "/v1/operations/actions" => problem(403, "forbidden", "Only admins may do this."),
        "/v1/operations/dead-letters" => {
            problem(429, "too_many_requests", "Too many requests.").header("retry-after", "37")
        }
        "/v1/operations/parked" => Reply::text(200, "<html>"),
        _ => problem(404, "not_found", "This resource does not exist."),
    });
    let home = logged_in(&gateway);
    let says = |arguments: &[&str], expected: &str| {
        let ended = home.run(arguments).code(1);
        assert!(ended.err.contains(expected) && ended.out.is_empty(), "{ended:?}");
    };
    says(&["audit"], "Expected an admin, and ada@example.org is not one.");
    says(&["dead", "list"], "Try again in 37 s.");
    says(&["parked", "list"], "expected a Millrace gateway there");
    says(&["dead", "show", "a:1:2"], "there is no dead letter a:1:2: expected an ID of");
    let id = "00000000-0000-0000-0000-000000000001";
    says(&["trace", id], "expected the id of a command of the last seven days, or of an order");
    says(&["trace", "--record", "order.events/2/17"], "expected a record of the last seven days");
    let last = gateway.seen().last().map(|it| it.path.clone());
    assert_eq!(last.as_deref(), Some("/v1/records/order.events:2:17/trace"));
    says(&["trace", id], "expected the id of a command");
    let paths: Vec<_> = gateway.seen().iter().rev().take(2).map(|it| it.path.clone()).collect();
    assert_eq!(paths, [format!("/v1/orders/{id}/trace"), format!("/v1/commands/{id}/trace")]);

    let refused = home.run(&["--json", "audit"]).code(1);
    assert_eq!(refused.json()["code"], "forbidden");
    let nowhere = home.env("MILLRACE_TOKEN", "t").run(&["--url", "http://127.0.0.1:1", "audit"]);
    assert!(nowhere.code(1).err.contains("no answer from http://127.0.0.1:1/"), "{nowhere:?}");
}

#[test]
fn wrong_usage_ends_with_code_64_and_sends_nothing() {
    let gateway = shop(|_| Reply::empty(500));
    let home = logged_in(&gateway);
    let before = gateway.seen().len();
    let selection = ["parked", "retry-all", "--topic", "order.followups", "--reason", "why"];
    let asked = home.run(&selection).code(64);
    assert!(asked.err.contains("expected --yes"), "{asked:?}");
    home.run(&["parked", "drop", "order.followups", "o-1", "--reason", "why"]).code(64);
    home.run(&["parked", "retry", "order.followups", "o-1"]).code(64);
    home.run(&["--url", "nowhere", "status"]).code(64);
    home.run(&["unknown"]).code(64);
    home.run(&["--help"]).code(0);
    assert_eq!(gateway.seen().len(), before);
}

#[test]
fn gateway_with_tls_is_trusted_by_the_authorities_of_the_file_and_by_no_others() {
    let list = json!({ "items": [], "next": null });
    let (gateway, certificate) = Gateway::start_tls(move |_| Reply::json(200, &list));
    let home = Home::new(&gateway.url);
    let (own, other) = (home.folder().join("own.pem"), home.folder().join("other.pem"));
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("made");
    std::fs::write(&own, certificate).expect("written");
    std::fs::write(&other, made.cert.pem()).expect("written");
    let list = |file: &std::path::Path| {
        let file = file.to_str().expect("UTF-8");
        home.env("MILLRACE_TOKEN", "t").run(&["--ca-file", file, "--json", "audit"])
    };
    assert_eq!(list(&own).code(0).json()["items"], json!([]));
    assert_eq!(gateway.seen().len(), 1);
    let refused = list(&other).code(1);
    assert!(refused.err.contains("certificate"), "{refused:?}");
    assert_eq!(gateway.seen().len(), 1, "the token was sent to nobody else");
}

#[test]
fn proxy_of_the_environment_is_sent_nothing() {
    let list = || json!({ "items": [], "next": null });
    let (gateway, proxy) =
        (shop(move |_| Reply::json(200, &list())), Gateway::start(|_| Reply::empty(500)));
    let home = logged_in(&gateway);
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy"] {
        home.env(name, &proxy.url).run(&["audit"]).code(0);
    }
    assert_eq!(proxy.seen().len(), 0);
}

#[test]
fn result_that_can_not_be_written_is_no_success_and_a_closed_pipe_is_no_error() {
    let gateway = shop(|_| Reply::json(200, &json!({ "items": [], "next": null })));
    let home = logged_in(&gateway);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a full disk");
    let ended = home.env("LANG", "C").run_into(full.into(), &["audit"]).code(1);
    assert!(ended.err.contains("the result can't be written"), "{ended:?}");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let ended = home.env("LANG", "C").run_into(writer.into(), &["audit"]).code(0);
    assert_eq!(ended.err, "");
}

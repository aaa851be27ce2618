//! The operator's desk at the terminal: an order is poisoned on purpose, an admin sees it with the
//! program `millrace` and mends it there. It runs the real program and reads only what that prints.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use integration::stack::services;
use schemas::{
    Message,
    order::{Command, Line, PlaceOrder},
};
use serde_json::Value;
use uuid::Uuid;

use crate::browser::relay::Relay;
use crate::log::{codec, write};
use crate::support::{
    Judge, SEEN_MAX, Send, System, User, aged, eventually, must, system, variable,
};

/// Longer than the program takes with all its deadlines.
const RUN_MAX: Duration = Duration::from_secs(60);

/// A home in which an admin logs in. Each run of the program has an address of its own.
struct Terminal {
    home: tempfile::TempDir,
    url: String,
    _relay: Relay,
}

impl Terminal {
    async fn open(url: &str) -> Self {
        let (relay, url) = Relay::open(url).await;
        Self { home: tempfile::tempdir().expect("a folder"), url, _relay: relay }
    }

    /// Runs the program without a terminal: its exit code, and all that it prints.
    async fn run(&self, arguments: &[&str]) -> (i32, String) {
        let tests = std::env::current_exe().expect("this test");
        let program = tests.parent().and_then(Path::parent).expect("a folder").join("millrace");
        let how = "cargo build --workspace --bins";
        assert!(program.is_file(), "{} is not built: `{how}`", program.display());
        let mut run = tokio::process::Command::new(&program);
        run.args(arguments)
            .env_clear()
            .env("XDG_STATE_HOME", self.home.path())
            .env("MILLRACE_URL", &self.url)
            .env("MILLRACE_PASSWORD_FILE", variable("MILLRACE_ADMIN_PASSWORD_FILE"))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(RUN_MAX, run.output()).await.expect("it ends in time");
        let output = output.expect("the program");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).expect("UTF-8");
        (output.status.code().expect("no signal"), text)
    }

    /// From now on the log-in was ten minutes ago.
    async fn age(&self) {
        let file = self.home.path().join("millrace/session.json");
        let text = std::fs::read_to_string(&file).expect("a session");
        let mut session: Value = serde_json::from_str(&text).expect("JSON");
        let token = session["access_token"].as_str().expect("a token");
        session["access_token"] = aged(token).into();
        std::fs::write(&file, session.to_string()).expect("written");
    }

    /// It is done, and printed this.
    async fn does(&self, arguments: &[&str], expected: &str) -> String {
        let (code, text) = self.run(arguments).await;
        assert!(code == 0 && text.contains(expected), "{arguments:?}: {code}: {text}");
        text
    }

    /// It is refused, with this code of the program and this text.
    async fn refuses(&self, arguments: &[&str], code: i32, expected: &str) {
        let (found, text) = self.run(arguments).await;
        assert!(found == code && text.contains(expected), "{arguments:?}: {found}: {text}");
    }

    /// It is done, and printed this document. A hint that there is more follows it, if there is.
    async fn reads(&self, arguments: &[&str]) -> Value {
        let text = self.does(&[&["--json"], arguments].concat(), "{").await;
        let first =
            serde_json::Deserializer::from_str(&text).into_iter().next().expect("a document");
        first.unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
    }
}

/// The item of a list that has this key.
fn of_key(list: &Value, key: &str) -> Option<Value> {
    list["items"].as_array()?.iter().find(|it| it["key"] == key).cloned()
}

/// Writes the command of an order, as an operator would.
async fn place(ada: &User, order_id: Uuid, sku: String) {
    let me = ada.client.get("/v1/users/me").answer().await.string("id");
    let command = Command::from(PlaceOrder {
        order_id,
        user_id: me.parse().expect("an id"),
        lines: vec![Line { sku, quantity: 1 }],
    });
    let mut bytes = Vec::new();
    command.encode(&codec().await, &mut bytes).expect("a record");
    write("order.commands", Some(&order_id.to_string()), &bytes).await;
}

async fn order_is(ada: &User, order: &str, expected: &str) {
    eventually(expected, SEEN_MAX, async || {
        let order = ada.client.get(&format!("/v1/orders/{order}")).send().await;
        let order = order.map_err(|error| integration::chain(&error))?;
        order.expect_code(200)?;
        must(order.text("status") == Some(expected), &order.body)
    })
    .await;
}

/// A parked key, which a record is that nobody can read.
async fn poisoned(system: &System, desk: &Terminal) -> (Uuid, Value) {
    let order_id = Uuid::new_v4();
    let key = order_id.to_string();
    write("order.followups", Some(&key), b"poison").await;
    let admin = system.admin().await;
    eventually("the key is parked", SEEN_MAX, async || {
        let path = format!("/v1/operations/parked/records?topic=order.followups&key={key}");
        let records = admin.get(&path).send().await;
        let records = records.map_err(|error| integration::chain(&error))?;
        must(!records.expect_code(200)?.items().is_empty(), &records.body)
    })
    .await;
    let list = desk.reads(&["parked", "list", "--limit", "1000"]).await;
    let parked = of_key(&list, &key).unwrap_or_else(|| panic!("{key} is not in {list}"));
    (order_id, parked)
}

/// Waits until the status has the lag of each processor and projection in seconds: Prometheus
/// scrapes it.
async fn lags_are_shown(desk: &Terminal) {
    eventually("the lags are shown", SEEN_MAX, async || {
        let status = desk.reads(&["status"]).await;
        let has = |list: &str, name: &str, figure: &str| {
            let parts = status["pipeline"][list].as_array().into_iter().flatten();
            parts.filter(|part| part["name"] == name).any(|part| part[figure].is_number())
        };
        let shown = services().all(|service| has("processors", service.name, "lag_s"))
            && has("projections", "orders", "lag_s")
            && has("projections", "orders", "delay_s");
        must(shown, &status["pipeline"])
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn poisoned_order_is_seen_and_mended_at_the_terminal() {
    // Given an admin at the terminal, something to order, and a record that nobody can read before
    // the reservation of an order
    let system = system().await;
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 10).await;
    let ada = system.user("Ada").await;
    let desk = Terminal::open(&system.url).await;
    desk.refuses(&["audit"], 1, "nobody has logged in").await;
    desk.does(&["login", &variable("MILLRACE_ADMIN_EMAIL")], "(admin)").await;
    let (order_id, parked) = poisoned(&system, &desk).await;
    let (key, offset) = (order_id.to_string(), parked["offset"].to_string());
    let error = parked["error"].as_str().expect("an error").to_owned();
    let status = desk.does(&["status"], "parked keys").await;
    assert!(status.contains("gateway") && status.contains("ready"), "{status}");
    lags_are_shown(&desk).await;
    desk.does(&["parked", "show", "order.followups", &key], "begins with byte 112").await;

    // When the admin asks what a selection would do, then nothing is done
    let selection = ["parked", "retry-all", "--error", &error];
    let dry = desk.reads(&[&selection[..], &["--dry-run"]].concat()).await;
    assert!(dry["keys"].as_u64() >= Some(1) && dry["dry_run"] == true, "{dry}");
    let unasked = [&selection[..], &["--reason", "all of them"]].concat();
    desk.refuses(&unasked, 64, "expected --yes").await;

    // When the admin tries again, then the record fails again
    let why = "perhaps it was the network";
    let retry = ["parked", "retry", "order.followups", &key, "--reason", why];
    desk.refuses(&retry, 1, "still_failing").await;

    // When the admin gives it up, then the order that waits behind it is confirmed
    place(&ada, order_id, sku).await;
    order_is(&ada, &key, "placed").await;
    let another = ["--offset", "999999", "--reason", "nobody can read it"];
    let drop = ["parked", "drop", "order.followups", &key];
    desk.refuses(&[&drop[..], &another].concat(), 1, "other_record_first").await;
    let first = ["--offset", &offset, "--reason", "nobody can read it"];
    desk.does(&[&drop[..], &first].concat(), "is a dead letter").await;
    order_is(&ada, &key, "confirmed").await;

    // Then the program tells who has done what and why, what each command caused, and what is dead
    let dropped = eventually("the audit", SEEN_MAX, async || {
        let list = desk.reads(&["audit"]).await;
        let mine = list["items"].as_array().expect("a list").iter().filter(|it| it["key"] == *key);
        let mine: Vec<_> = mine.cloned().collect();
        must(mine.len() >= 2, &mine)?;
        Ok(mine[0].clone())
    })
    .await;
    assert_eq!(dropped["reason"], "nobody can read it");
    let audit = desk.does(&["audit"], why).await;
    assert!(audit.contains(&format!("offset {offset} still fails")), "{audit}");
    let command = dropped["command"].as_str().expect("an id");
    eventually("the trace", SEEN_MAX, async || {
        let trace = desk.does(&["trace", command], "accepted").await;
        must(trace.contains("Redrive") && trace.contains("└─ "), trace)
    })
    .await;
    desk.does(&["trace", &key], "confirmed").await;

    let letter = eventually("the dead letter", SEEN_MAX, async || {
        let list = desk.reads(&["dead", "list"]).await;
        of_key(&list, &key).ok_or_else(|| list.to_string())
    })
    .await;
    let id = letter["id"].as_str().expect("an id");
    desk.does(&["dead", "show", id], "begins with byte 112").await;
    desk.does(&["dead", "reveal", id, "--reason", "to look at it"], "begins with byte 112").await;

    // When the admin gives up all that fail so, then the second key is not parked any more
    let (second, _) = poisoned(&system, &desk).await;
    let all = ["parked", "drop-all", "--error", &error, "--reason", "all of them", "--yes"];
    desk.does(&all, "done.").await;
    let second = second.to_string();
    eventually("the second key is given up", SEEN_MAX, async || {
        let list = desk.reads(&["parked", "list", "--limit", "1000"]).await;
        must(of_key(&list, &second).is_none(), &list)
    })
    .await;
    // When a record that nobody can read comes before the reservation of another order, and the
    // admin edits it, then that order is confirmed
    let sku = system.product(&admin, 100, 10).await;
    write("stock.followups", Some(&sku), b"poison").await;
    let parked = eventually("the SKU is parked", SEEN_MAX, async || {
        let list = desk.reads(&["parked", "list", "--limit", "1000"]).await;
        of_key(&list, &sku).ok_or_else(|| list.to_string())
    })
    .await;
    let placed = Uuid::new_v4();
    place(&ada, placed, sku.clone()).await;
    order_is(&ada, &placed.to_string(), "placed").await;
    let value = desk.home.path().join("value.json");
    let file = value.to_string_lossy().into_owned();
    let offset = parked["offset"].to_string();
    let why =
        ["--type", "millrace.stock.ReleaseStock", "--reason", "it should have been a release"];
    let edit = ["parked", "edit", "stock.followups", &sku, "--offset", &offset, "--value", &file];
    let edit = [&edit[..], &why].concat();
    std::fs::write(&value, r#"{"sku":"a b"}"#).expect("written");
    desk.refuses(&edit, 1, "value.sku: expected 1 to 64").await;
    let release = format!(r#"{{"sku":"{sku}","order_id":"{}"}}"#, Uuid::new_v4());
    std::fs::write(&value, release).expect("written");
    desk.does(&[&edit[..], &["--dry-run"]].concat(), "would be applied as").await;
    // The log-in was ten minutes ago, so the program gives the password again.
    desk.age().await;
    let text = desk.does(&edit, "was applied with the new value").await;
    assert!(text.contains("asks for the password of"), "{text}");
    let again = desk.does(&["audit"], "AT").await;
    assert!(!again.contains("asks for the password"), "{again}");
    order_is(&ada, &placed.to_string(), "confirmed").await;
    eventually("the audit", SEEN_MAX, async || {
        let audit = desk.does(&["audit"], "AT").await;
        must(audit.contains("it should have been a release"), audit)
    })
    .await;
    desk.does(&["logout"], "Logged out").await;
}

//! The operator's desk in a real browser: an order is poisoned on purpose, an admin sees it on the
//! page and mends it there. It reads only what the page shows.

mod dialogs;
mod edits;
mod live;
mod pages;
mod reads;

use fantoccini::Locator;
use integration::client::Client;
use redpanda::{partition_of, topics};
use schemas::{
    Message,
    order::{Command, Line, PlaceOrder},
};
use serde_json::json;
use uuid::Uuid;

use super::Page;
use crate::log::{codec, write, write_to};
use crate::support::{
    Judge, PASSWORD, RECOVERY_MAX, SEEN_MAX, Send, System, eventually, must, system, variable,
};

/// The address of the desk.
fn desk(system: &System) -> String {
    format!("{}/operations", system.url)
}

fn admin_password() -> String {
    let file = variable("MILLRACE_ADMIN_PASSWORD_FILE");
    std::fs::read_to_string(file).expect("a password").trim().to_owned()
}

/// Logs in the admin.
async fn enter(page: &Page) {
    page.log_in(&variable("MILLRACE_ADMIN_EMAIL"), &admin_password()).await;
    page.says("#parked-title", "Parked keys").await;
}

/// Writes into a field of the dialog.
async fn fill(page: &Page, name: &str, text: &str) {
    page.fill(&format!("#redrive [name={name}]"), text).await;
}

/// Opens the dialog of a key, answers it with a reason, and waits for the result.
async fn press(page: &Page, button: &str, key: &str, reason: &str, result: &str) {
    let css = format!("#parked [aria-label='{button}: order.followups, key {key}']");
    page.click(&css).await;
    fill(page, "reason", reason).await;
    page.click("#confirm").await;
    page.says("#say", result).await;
}

/// Reads the lists until one of them has this text, or has it no more.
async fn shows(page: &Page, list: &str, text: &str, is_there: bool) {
    eventually(&format!("{list} shows {text}: {is_there}"), SEEN_MAX, async || {
        page.click("#read").await;
        let shown = page.text(list).await?;
        must(shown.contains(text) == is_there, shown)
    })
    .await;
}

/// Gives up all parked stock follow-ups whose first byte is this one, so that no other test finds
/// them.
async fn give_up(admin: &Client, first_byte: u8) {
    let error = format!("malformed record: it begins with byte {first_byte} instead of 0");
    let body = json!({ "topic": "stock.followups", "error": error, "reason": "the test is over" });
    eventually("nothing is parked", RECOVERY_MAX, async || {
        let done = admin.post("/v1/operations/parked:drop-all", &body).wait(10).send().await;
        let done = done.map_err(|error| integration::chain(&error))?;
        must(done.expect_code(200)?.body["keys"] == 0, &done.body)
    })
    .await;
}

async fn visit(system: &System, page: &Page) {
    // Given an admin at the desk, and something to order
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 10).await;
    let ada = system.user("Ada").await;
    let me = ada.client.get("/v1/users/me").answer().await.string("id");
    page.log_in(&ada.email, PASSWORD).await;
    page.says("#door-say", "Only admins see the desk.").await;
    enter(page).await;
    page.says("#processors", "The oldest waits at most").await;

    // When an order is poisoned: a record that nobody can read comes before its reservation. The
    // order waits for that at most 30 s.
    let order_id = Uuid::new_v4();
    let key = order_id.to_string();
    write("order.followups", Some(&key), b"poison").await;
    shows(page, "#parked", &key, true).await;
    let codec = codec().await;
    let place = |order_id: Uuid| {
        let (user_id, sku) = (me.parse().expect("an id"), sku.clone());
        let lines = vec![Line { sku, quantity: 1 }];
        let mut bytes = Vec::new();
        let command = Command::from(PlaceOrder { order_id, user_id, lines });
        command.encode(&codec, &mut bytes).expect("a record");
        bytes
    };
    write("order.commands", Some(&key), &place(order_id)).await;
    let status = async |key: &str, expected: &str| {
        eventually(expected, SEEN_MAX, async || {
            let order = ada.client.get(&format!("/v1/orders/{key}")).send().await;
            let order = order.map_err(|error| integration::chain(&error))?;
            order.expect_code(200)?;
            must(order.text("status") == Some(expected), &order.body)
        })
        .await;
    };
    status(&key, "placed").await;

    // Then the page shows the error, and that the reservation waits behind it
    shows(page, "#parked", "begins with byte 112", true).await;
    shows(page, "#parked", "1 record", true).await;
    let records = format!("#parked [aria-label='Records of order.followups, key {key}']");
    page.click(&records).await;
    page.says("#parked pre", "begins with byte 112").await;

    // When a second order is poisoned in the same way, then a dry run counts both keys
    let second = Uuid::new_v4().to_string();
    write("order.followups", Some(&second), b"poison").await;
    shows(page, "#parked", &second, true).await;
    let all = format!("#parked [aria-label='All with this error: order.followups, key {second}']");
    page.click(&all).await;
    page.says("#ask-what", "2 keys with 3 parked records").await;
    page.click("#cancel").await;

    // When the admin tries again, then the record fails again
    press(page, "Try again", &key, "perhaps it was the network", "still fails").await;
    page.fits("operations").await;

    // When the admin gives it up, then the order is confirmed, and the desk tells who did it and
    // why
    press(page, "Give up first", &key, "nobody can read it", "The record is a dead letter").await;
    status(&key, "confirmed").await;
    shows(page, "#parked", &key, false).await;
    shows(page, "#dead", "dropped by the command", true).await;
    page.click("#dead summary").await;
    page.says("#dead pre", "begins with byte 112").await;
    shows(page, "#actions", "nobody can read it", true).await;
    shows(page, "#actions", "perhaps it was the network", true).await;

    // When the admin gives up all with this error, then nothing is parked
    page.click(&all).await;
    page.says("#ask-what", "1 key with 1 parked record").await;
    fill(page, "reason", "all of them are unreadable").await;
    page.click("#give-up").await;
    page.says("#say", "1 key: 1 applied").await;
    shows(page, "#parked", &second, false).await;
    shows(page, "#actions", "all of them are unreadable", true).await;

    // When a command is dead because it was written to another partition than its key's, and the
    // admin sends it again, then its order is confirmed, and the button is gone
    let third = Uuid::new_v4();
    let key = third.to_string();
    let partitions = topics::all().get("order.commands").expect("a declared topic").partitions;
    let wrong = (partition_of(key.as_bytes(), partitions) + 1) % partitions;
    write_to("order.commands", Some(wrong), Some(&key), &place(third)).await;
    shows(page, "#dead", &key, true).await;
    let send = "#dead li:first-child [aria-label^='Send again: order.commands']";
    page.click(send).await;
    page.says("#ask-what", "as a new command").await;
    fill(page, "reason", "it was in the wrong partition").await;
    page.click("#confirm").await;
    page.says("#say", "It was sent again.").await;
    status(&key, "confirmed").await;
    shows(page, "#actions", "it was in the wrong partition", true).await;
    page.says("#dead li:first-child", "It was sent again.").await;
    assert!(page.window.find(Locator::Css(send)).await.is_err(), "it can't be sent twice");
    page.click("#leave").await;
    page.says("#door-title", "Log in as an admin").await;
}

#[tokio::test]
#[ignore = "needs the stack and a browser"]
async fn poisoned_order_is_seen_and_mended_at_the_desk() {
    let system = system().await;
    Page::visit(&desk(&system), async |page| visit(&system, page).await).await;
}

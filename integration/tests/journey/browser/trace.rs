//! The page of a trace in a real browser: the sender of a command sees its records, by keyboard
//! too. It reads only what the page shows.

use std::panic::{AssertUnwindSafe, resume_unwind};

use fantoccini::{Locator, key::Key};
use futures_util::FutureExt;
use serde_json::json;

use super::Page;
use crate::support::{Judge, PASSWORD, SEEN_MAX, Send, System, User, eventually, must, system};

/// Selects the names of the records, in the order of the tree.
const NAMES: &str =
    "return [...document.querySelectorAll('#tree strong')].map(name => name.textContent)";
/// Whether the page is not wider than the window.
const FITS: &str = "const it = document.documentElement; return it.scrollWidth <= it.clientWidth";

async fn names(page: &Page) -> Vec<String> {
    let names = page.window.execute(NAMES, vec![]).await.expect("the records");
    serde_json::from_value(names).expect("texts")
}

async fn visit(system: &System, page: &Page, ada: &User) {
    // Given Bob, who is not the sender, then the page shows him nothing
    let bob = system.user("Bob").await;
    page.says("#door-title", "Log in to see the trace").await;
    page.log_in(&bob.email, PASSWORD).await;
    page.says("#door-say", "There is no such command of yours.").await;

    // When Ada logs in, then she sees all records of her order, each under its cause
    page.log_in(&ada.email, PASSWORD).await;
    page.says("#who", "Ada").await;
    page.says("#tiles", "accepted").await;
    let names = eventually("the notification is in the tree", SEEN_MAX, async || {
        let names = names(page).await;
        must(names.iter().any(|name| name == "NotificationRaised"), &names)?;
        Ok(names)
    })
    .await;
    assert_eq!("PlaceOrder", names[0], "{names:?}");
    for expected in ["OrderPlaced", "ReserveStock", "StockReserved", "OrderConfirmed", "Outcome"] {
        assert!(names.iter().any(|name| name == expected), "{expected} in {names:?}");
    }
    page.keep_screenshot("MILLRACE_SCREENSHOT_TRACE").await;

    // When she opens a record by keyboard, then it shows what its headers say, and its cause
    let second = page.window.find(Locator::Css("#tree ul summary")).await.expect("a record");
    second.send_keys(&Key::Enter.to_string()).await.expect("opened");
    page.says("#tree ul details[open] .facts", "millrace.order.OrderPlaced").await;
    page.says("#tree ul details[open] .facts", "PlaceOrder, order.commands").await;
    let cause = page.window.find(Locator::Css("#tree ul details[open] button")).await;
    cause.expect("a button").send_keys(&Key::Enter.to_string()).await.expect("pressed");
    let focused = "return document.activeElement.textContent";
    let focused = page.window.execute(focused, vec![]).await.expect("the focus");
    assert!(focused.as_str().is_some_and(|text| text.starts_with("PlaceOrder")), "{focused}");

    // And the page fits into a narrow window, and shows nobody's address
    page.window.set_window_size(360, 800).await.expect("a narrow window");
    assert_eq!(json!(true), page.window.execute(FITS, vec![]).await.expect("a width"));
    let text = page.text("#trace").await.expect("its text");
    assert!(!text.contains(&ada.email), "{text}");

    // When she asks for a command that is not hers, then the page says so
    let command = page.window.find(Locator::Css("#find input")).await.expect("the field");
    command.clear().await.expect("empty");
    let other = "c0ffee00-0000-4000-8000-000000000000";
    command.send_keys(&format!("{other}{}", Key::Enter)).await.expect("typed");
    page.says("#find-say", "There is no such command of yours.").await;
    page.click("#leave").await;
    page.says("#door-title", "Log in to see the trace").await;
}

#[tokio::test]
#[ignore = "needs the stack and a browser"]
async fn trace_shows_its_sender_every_record_of_an_order() {
    let system = system().await;
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 100).await;
    let ada = system.user("Ada").await;
    let placed = ada.client.place_order(&[(&sku, 1)]).answer().await;
    let location = placed.expect(202).header("location").expect("an address").to_owned();
    let command = location.trim_start_matches("/v1").to_owned();
    let page = Page::open(&format!("{}{command}", system.url)).await;
    let seen = AssertUnwindSafe(visit(&system, &page, &ada)).catch_unwind().await;
    page.window.close().await.expect("closed");
    if let Err(failure) = seen {
        resume_unwind(failure);
    }
}

//! The page of a trace in a real browser: the sender of a command sees its records, by keyboard
//! too, and comes to it from the live page. It reads only what the page shows.

use fantoccini::{Locator, key::Key, wd::WindowHandle};
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
    page.says("#door-say", "There is no such command, order or record of yours.").await;

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
    page.fits("trace").await;

    // When she opens a record by keyboard, then it shows what its headers say, and its cause
    let second = page.window.find(Locator::Css("#tree ul summary")).await.expect("a record");
    second.send_keys(&Key::Enter.to_string()).await.expect("opened");
    page.says("#tree ul details[open] .facts", "millrace.order.OrderPlaced").await;
    page.says("#tree ul details[open] .facts", "version 1, id ").await;
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

    // When she asks for a record of it, then the page shows the same trace with the record open
    let place = "return document.querySelector('#tree ul summary code').textContent";
    let place = page.window.execute(place, vec![]).await.expect("a record");
    let place = place.as_str().expect("its place").replace('[', ":").replace("]@", ":");
    let url = page.window.current_url().await.expect("the address");
    let named = url.join(&format!("/records/{place}")).expect("an address");
    page.window.goto(named.as_str()).await.expect("the page of the record");
    page.says("#door-title", "Log in to see the trace").await;
    page.log_in(&ada.email, PASSWORD).await;
    page.says("#tiles", "accepted").await;
    page.says("#tree ul details[open] .facts", "PlaceOrder, order.commands").await;

    // When she asks for a command that is not hers, then the page says so
    let command = page.window.find(Locator::Css("#find input")).await.expect("the field");
    command.clear().await.expect("empty");
    let other = "c0ffee00-0000-4000-8000-000000000000";
    command.send_keys(&format!("{other}{}", Key::Enter)).await.expect("typed");
    page.says("#find-say", "There is no such command, order or record of yours.").await;
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
    let url = format!("{}{command}", system.url);
    Page::visit(&url, async |page| visit(&system, page, &ada).await).await;
}

/// Opens a link of the page in a new window and switches to it. Returns the page's own window and
/// the new one.
async fn open(page: &Page, link: &str) -> [WindowHandle; 2] {
    let own = page.window.window().await.expect("the window");
    let windows = page.window.windows().await.expect("the windows");
    let link = page.window.find(Locator::Css(link)).await.expect("a link to a trace");
    link.send_keys(&Key::Enter.to_string()).await.expect("pressed");
    let opened = eventually("the trace is opened", SEEN_MAX, async || {
        let now = page.window.windows().await.map_err(|error| error.to_string())?;
        now.into_iter().find(|window| !windows.contains(window)).ok_or("no new window".to_owned())
    })
    .await;
    page.window.switch_to_window(opened.clone()).await.expect("the trace");
    [own, opened]
}

/// Opens a link of the page in a new window, looks at it, and closes it again.
async fn follow(page: &Page, link: &str, state: &str, expected: &[&str]) {
    let [own, _] = open(page, link).await;
    // The session of the page that has opened it is used.
    page.says("#who", "Ada").await;
    page.says("#tiles", state).await;
    eventually("the trace has its records", SEEN_MAX, async || {
        let names = names(page).await;
        must(expected.iter().all(|name| names.iter().any(|it| it == name)), &names)
    })
    .await;
    page.window.close_window().await.expect("closed");
    page.window.switch_to_window(own).await.expect("the live page");
}

async fn come_from_live_page(page: &Page, ada: &User, sku: &str) {
    // Given Ada on the live page, when she has ordered, then a link leads to the order's trace
    page.says("#door-title", "Log in").await;
    page.log_in(&ada.email, PASSWORD).await;
    page.says("#flow-state", "connected").await;
    let placed = ada.client.place_order(&[(sku, 1)]).wait(10).answer().await;
    let order = placed.expect(201).location_id().expect("its address").to_owned();
    page.says("#orders", "confirmed").await;
    let link = format!("#orders a[href='/orders/{order}']");
    follow(page, &link, "confirmed", &["PlaceOrder", "OrderConfirmed", "NotificationRaised"]).await;

    // And an event of the live stream leads to the trace of its command
    eventually("the event is in the list", SEEN_MAX, async || {
        page.text("#flow li summary").await.map(drop)
    })
    .await;
    page.click("#flow li summary").await;
    eventually("the event has a link", SEEN_MAX, async || page.text("#flow details a").await).await;
    follow(page, "#flow details a", "accepted", &["PlaceOrder", "OrderConfirmed"]).await;

    // When she cancels, then the order's trace has what both commands caused
    ada.client.cancel_order(&order).wait(10).answer().await.expect(200);
    follow(page, &link, "cancelled", &["PlaceOrder", "CancelOrder"]).await;
}

#[tokio::test]
#[ignore = "needs the stack and a browser"]
async fn live_page_leads_to_the_traces_of_an_order_and_of_an_event() {
    let system = system().await;
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 100).await;
    let ada = system.user("Ada").await;
    Page::visit(&system.url, async |page| come_from_live_page(page, &ada, &sku).await).await;
}

async fn log_out_here_and_there(page: &Page, ada: &User, order: &str) {
    let switch = async |window: &WindowHandle| {
        page.window.switch_to_window(window.clone()).await.expect("a window");
    };
    let link = format!("#orders a[href='/orders/{order}']");
    // Given Ada on the live page with a trace beside it, when she logs out on the live page, then
    // the trace is gone too
    page.says("#door-title", "Log in").await;
    page.log_in(&ada.email, PASSWORD).await;
    page.says("#orders", "confirmed").await;
    let [live, trace] = open(page, &link).await;
    page.says("#who", "Ada").await;
    switch(&live).await;
    page.click("#leave").await;
    switch(&trace).await;
    page.says("#door-say", "You have logged out on another page.").await;
    assert_eq!(page.text("#who").await.expect("the name"), "");
    page.window.close_window().await.expect("closed");

    // When she logs in again and logs out on the trace, then the live page has no session either
    switch(&live).await;
    page.log_in(&ada.email, PASSWORD).await;
    page.says("#orders", "confirmed").await;
    let [live, _] = open(page, &link).await;
    page.says("#who", "Ada").await;
    page.click("#leave").await;
    page.says("#door-title", "Log in to see the trace").await;
    switch(&live).await;
    page.says("#door-say", "You have logged out on another page.").await;
    assert_eq!(page.text("#orders").await.expect("the orders"), "");
}

#[tokio::test]
#[ignore = "needs the stack and a browser"]
async fn log_out_on_one_page_ends_the_session_on_all_that_share_it() {
    let system = system().await;
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 100).await;
    let ada = system.user("Ada").await;
    let placed = ada.client.place_order(&[(&sku, 1)]).wait(10).answer().await;
    let order = placed.expect(201).location_id().expect("its address").to_owned();
    Page::visit(&system.url, async |page| log_out_here_and_there(page, &ada, &order).await).await;
}

/// The shop's page has been loaded again meanwhile, so that it could not tell the trace that the
/// session is over.
async fn borrow_from_nobody_else(page: &Page, users: [&User; 2], order: &str) {
    // Given Ada's trace beside the live page, at which Bob is now
    page.log_in(&users[0].email, PASSWORD).await;
    page.says("#orders", "confirmed").await;
    let [live, trace] = open(page, &format!("#orders a[href='/orders/{order}']")).await;
    page.says("#who", "Ada").await;
    page.window.switch_to_window(live).await.expect("the live page");
    page.window.refresh().await.expect("the page again");
    page.log_in(&users[1].email, PASSWORD).await;
    page.says("#who", "Bob").await;

    // When the token of the trace expires, then it does not go on in Bob's session
    page.window.switch_to_window(trace).await.expect("the trace");
    let read_again = "accessToken = 'expired'; document.getElementById('again').click()";
    page.run(read_again, vec![]).await;
    page.says("#door-say", "Your session has ended.").await;
    assert_eq!(page.text("#who").await.expect("the name"), "");
}

#[tokio::test]
#[ignore = "needs the stack and a browser"]
async fn trace_of_one_user_does_not_use_the_session_of_the_next() {
    let system = system().await;
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 100).await;
    let (ada, bob) = (system.user("Ada").await, system.user("Bob").await);
    let order = ada.order(&[(&sku, 1)]).await;
    Page::visit(&system.url, async |page| {
        borrow_from_nobody_else(page, [&ada, &bob], &order).await;
    })
    .await;
}

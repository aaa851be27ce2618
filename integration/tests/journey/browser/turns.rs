//! Users take turns at one page. What it has begun for one of them, and has no answer yet, does
//! nothing in the session of the next one. And an answer that was lost, or that a later one has
//! overtaken, does not change what is shown or ordered.

use fantoccini::Locator;

use super::*;

const ORDERS: &str = "/v1/orders";

/// Adds a product that is on the first page of the shop, however many products there are.
async fn product(system: &System) -> String {
    let (admin, sku) = (system.admin().await, format!("a-{}", any()));
    admin.add_product(&sku, "Something", 100).wait(10).answer().await.expect(201);
    admin.receive_stock(&sku, 100).wait(10).answer().await.expect_one_of(&[200, 201]);
    sku
}

/// Logs in on the shop's page.
async fn enter(page: &Page, user: &User, name: &str) {
    page.log_in(&user.email, PASSWORD).await;
    page.says("#who", name).await;
    page.says("#flow-state", "connected").await;
}

/// Enters one piece of the product, and presses the button.
async fn place(page: &Page, sku: &str) {
    let input = format!("#shelf li[data-id='{sku}'] input");
    eventually("the product is shown", SEEN_MAX, async || {
        page.window.find(Locator::Css(&input)).await.map(drop).map_err(|error| error.to_string())
    })
    .await;
    page.fill(&input, "1").await;
    page.click("#place").await;
}

async fn leave(page: &Page) {
    page.click("#leave").await;
    page.says("#flow-state", "log in to see events").await;
}

/// Waits until each of both users has so many orders.
async fn have(users: [&User; 2], expected: [usize; 2]) {
    eventually("the users have their orders", SEEN_MAX, async || {
        let mut counts = [0, 0];
        for (user, count) in users.iter().zip(&mut counts) {
            let orders = user.client.get(ORDERS).send().await;
            *count = orders.map_err(|e| integration::chain(&e))?.expect_code(200)?.items().len();
        }
        must(counts == expected, counts)
    })
    .await;
}

/// Checks that the last two orders had one idempotency key.
async fn had_one_key(page: &Page) {
    let asked = page.asked("POST", ORDERS).await;
    let keys: Vec<_> = asked.iter().rev().map(|headers| &headers["Idempotency-Key"]).collect();
    assert!(keys[0].is_string() && keys[0] == keys[1], "{keys:?}");
}

/// Logs in two users in one browser, whose accounts have the same version.
async fn take_turns(system: &System, page: &Page) {
    let (ada, bob) = (system.user("Ada").await, system.user("Bob").await);
    for (user, name) in [(&ada, "Ada"), (&bob, "Bob"), (&ada, "Ada")] {
        page.log_in(&user.email, PASSWORD).await;
        page.says("#flow-state", "connected").await;
        assert_eq!(Ok(name), page.text("#who").await.as_deref());
        page.click("#leave").await;
        page.says("#flow-state", "log in to see events").await;
        // A reload makes the browser use its cache, if it has stored anything.
        page.window.refresh().await.expect("the page again");
    }
}

#[tokio::test]
#[ignore = "needs the stack and a browser"]
async fn one_browser_shows_each_user_their_own_account() {
    let system = system().await;
    Page::visit(&system.url, async |page| take_turns(&system, page).await).await;
}

async fn repeat_in_no_other_session(page: &Page, users: [&User; 2], sku: &str) {
    // Given Ada, whose token has expired when she orders: the page asks for a new one
    let [ada, bob] = users;
    enter(page, ada, "Ada").await;
    page.run("accessToken = 'expired'", vec![]).await;
    let refresh = page.hold("POST", "/v1/sessions/refresh").await;
    place(page, sku).await;
    refresh.here().await;

    // When she logs out, and Bob logs in, whose token expires too, then he does not wait for hers
    leave(page).await;
    enter(page, bob, "Bob").await;
    page.run("accessToken = 'expired'", vec![]).await;
    place(page, sku).await;
    page.says("#order-say", "The order is").await;
    let before = page.asked("POST", ORDERS).await.len();

    // When her new token arrives, then her order is not repeated
    refresh.release().await;
    assert_eq!(before, page.asked("POST", ORDERS).await.len());
    // And what is ordered from now on is Bob's
    place(page, sku).await;
    page.says("#order-say", "The order is").await;
    have(users, [0, 2]).await;
}

#[tokio::test]
#[ignore = "needs the stack and a browser"]
async fn request_of_one_user_is_not_repeated_in_the_session_of_the_next() {
    let system = system().await;
    let sku = product(&system).await;
    let (ada, bob) = (system.user("Ada").await, system.user("Bob").await);
    Page::visit(&system.url, async |page| {
        repeat_in_no_other_session(page, [&ada, &bob], &sku).await;
    })
    .await;
}

async fn answer_late(page: &Page, users: [&User; 2], sku: &str) {
    // Given an order of Ada's without an answer yet, and Bob, who has logged in and orders too
    let [ada, bob] = users;
    enter(page, ada, "Ada").await;
    let late = page.hold("POST", ORDERS).await;
    place(page, sku).await;
    late.here().await;
    leave(page).await;
    enter(page, bob, "Bob").await;
    let own = page.hold("POST", ORDERS).await;
    place(page, sku).await;
    own.here().await;

    // When Ada's order is answered, then Bob's page does not say so, and still waits for its own
    late.release().await;
    assert_eq!("Placing the order …", page.text("#order-say").await.expect("what it says"));
    let button = page.window.find(Locator::Css("#place")).await.expect("a button");
    assert!(!button.is_enabled().await.expect("its state"), "Bob's order has no answer yet");

    // When the answer to Bob's own order is cut off, then the page does not take it for an answer
    own.replace(201, r#"{"id": "#).await;
    page.says("#order-say", "The server's answer was cut off.").await;
    // And a repetition is the same order
    page.click("#place").await;
    page.says("#order-say", "The order is").await;
    had_one_key(page).await;
    have(users, [1, 1]).await;
}

#[tokio::test]
#[ignore = "needs the stack and a browser"]
async fn late_answer_to_an_order_is_not_shown_to_the_next_user() {
    let system = system().await;
    let sku = product(&system).await;
    let (ada, bob) = (system.user("Ada").await, system.user("Bob").await);
    Page::visit(&system.url, async |page| answer_late(page, [&ada, &bob], &sku).await).await;
}

async fn overtake(page: &Page, ada: &User, sku: &str) {
    // Given Ada without orders, and a page that waits for their list
    let before = page.hold("GET", ORDERS).await;
    enter(page, ada, "Ada").await;
    before.here().await;

    // When she orders, then the list is read again; and an older answer does not replace it
    place(page, sku).await;
    page.says("#orders", "confirmed").await;
    before.release().await;
    let shown = page.text("#orders").await.expect("the orders");
    assert!(shown.contains("confirmed"), "{shown}");
}

#[tokio::test]
#[ignore = "needs the stack and a browser"]
async fn list_of_orders_is_not_replaced_by_an_older_one() {
    let system = system().await;
    let sku = product(&system).await;
    let ada = system.user("Ada").await;
    Page::visit(&system.url, async |page| overtake(page, &ada, &sku).await).await;
}

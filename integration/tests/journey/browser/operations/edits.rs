//! A parked record is edited at the desk.

use fantoccini::Locator;
use schemas::{
    Message, Money, headers,
    order::{FollowUp, RecordReservation},
};
use uuid::Uuid;

use super::{admin_password, desk, enter, fill, press, shows};
use crate::browser::Page;
use crate::log::{codec, write, write_with};
use crate::support::{Judge, SEEN_MAX, Send, System, aged, eventually, must, system};

/// A record that nobody can read comes before the reservation of an order, and the admin writes
/// what it should have been: the release of nothing.
async fn edit(system: &System, page: &Page) {
    // Given an order that waits behind such a record, which an admin edits
    let (admin, ada) = (system.admin().await, system.user("Ada").await);
    enter(page).await;
    let sku = system.product(&admin, 100, 10).await;
    write("stock.followups", Some(&sku), b"poison").await;
    shows(page, "#parked", &sku, true).await;
    let placed = ada.client.place_order(&[(&sku, 1)]).answer().await;
    placed.expect(202);
    shows(page, "#parked", "1 record", true).await;
    page.click(&format!("#parked [aria-label='Edit first: stock.followups, key {sku}']")).await;
    page.says("#ask-title", "Edit first").await;
    fill(page, "type", "millrace.stock.ReleaseStock").await;
    fill(page, "reason", "it should have been a release").await;

    // When the value does not fit, then the dialog says the field, and stays open
    let value = |sku: &str| format!(r#"{{"sku": "{sku}", "order_id": "{}"}}"#, Uuid::new_v4());
    fill(page, "value", &value("a b")).await;
    page.click("#confirm").await;
    page.says("#ask-say", "value.sku: expected 1 to 64").await;
    page.fits("edit").await;

    // When it fits, but the log-in was ten minutes ago, then the page asks for the password
    let token = page.window.execute("return accessToken", vec![]).await.expect("a token");
    let old = aged(token.as_str().expect("a text")).into();
    page.window.execute("accessToken = arguments[0]", vec![old]).await.expect("set");
    fill(page, "value", &value(&sku)).await;
    page.click("#confirm").await;
    page.says("#step-up-title", "Your password, please").await;
    page.fits("step-up").await;
    let give = async |text: &str| {
        let css = Locator::Css("#step-up [name=password]");
        let input = page.window.find(css).await.expect("the password");
        input.clear().await.expect("the password");
        input.send_keys(text).await.expect("the password");
        page.click("#step-up-confirm").await;
    };
    give("another password").await;
    page.says("#step-up-say", "The address or the password is wrong.").await;
    give(&admin_password()).await;

    // Then it is applied, and the order behind it is confirmed
    page.says("#say", "The record was applied with the new value.").await;
    shows(page, "#parked", &sku, false).await;
    eventually("confirmed", SEEN_MAX, async || {
        let orders = ada.client.get("/v1/orders").send().await;
        let orders = orders.map_err(|error| integration::chain(&error))?;
        let orders = orders.expect_code(200)?.items();
        let mine = orders.iter().find(|it| it["lines"][0]["sku"] == *sku);
        must(mine.is_some_and(|it| it["status"] == "confirmed"), orders)
    })
    .await;
    shows(page, "#actions", "it should have been a release", true).await;
    page.click("#actions li:first-child summary").await;
    page.says("#actions li:first-child details", &sku).await;
}

#[tokio::test]
#[ignore = "needs the stack and a browser"]
async fn parked_record_is_edited_at_the_desk() {
    let system = system().await;
    Page::visit(&desk(&system), async |page| edit(&system, page).await).await;
}

/// An integer of 54 bits, which JavaScript rounds to an even one.
const LONG: i64 = 9_007_199_254_740_993;

/// A reservation with a price that JavaScript can't hold. Because of a header that is too long, it
/// is parked.
async fn park_long_price(order_id: Uuid) {
    let reservation = FollowUp::from(RecordReservation {
        order_id,
        sku: "tea".into(),
        reserved: false,
        quantity: 7,
        unit_price: Some(Money { amount_minor: LONG, currency: "EUR".into() }),
        reason: None,
        placed_at: None,
    });
    let mut bytes = Vec::new();
    reservation.encode(&codec().await, &mut bytes).expect("a record");
    let header = (headers::TRACE_PARENT, &*"x".repeat(2_000));
    write_with("order.followups", &order_id.to_string(), header, &bytes).await;
}

async fn keep_digits(page: &Page) {
    // Given a parked record with such a number, then the page shows all its digits
    let (order_id, long) = (Uuid::new_v4(), LONG.to_string());
    let key = order_id.to_string();
    park_long_price(order_id).await;
    enter(page).await;
    shows(page, "#parked", &key, true).await;
    let button = |text: &str| format!("#parked [aria-label='{text} order.followups, key {key}']");
    page.click(&button("Records of")).await;
    page.says("#parked pre", &long).await;

    // When the record is edited, then the editor has them too
    page.click(&button("Edit first:")).await;
    page.says("#ask-title", &key).await;
    let editor = page.window.find(Locator::Css("#redrive [name=value]")).await.expect("an editor");
    let text = editor.prop("value").await.expect("a property").expect("a value");
    assert!(text.contains(&long), "{text}");

    // And they are sent: the gateway says which number it got instead of one of 32 bits
    fill(page, "value", &text.replace("\"quantity\": 7", &format!("\"quantity\": {long}"))).await;
    fill(page, "type", "millrace.order.RecordReservation").await;
    fill(page, "reason", "more of them").await;
    page.click("#confirm").await;
    page.says("#ask-say", &format!("not {long}")).await;
    page.click("#cancel").await;
    press(page, "Give up first", &key, "nobody ordered it", "The record is a dead letter").await;
    shows(page, "#parked", &key, false).await;
}

#[tokio::test]
#[ignore = "needs the stack and a browser"]
async fn long_integers_keep_their_digits_at_the_desk() {
    let system = system().await;
    Page::visit(&desk(&system), async |page| keep_digits(page).await).await;
}

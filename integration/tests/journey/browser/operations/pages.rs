//! The desk shows more than one page of a parked key's records, and the figures of each processor
//! and projection.

use fantoccini::{Locator, key::Key};
use serde_json::json;

use super::{desk, enter, give_up, shows};
use crate::browser::Page;
use crate::log::write;
use crate::support::{RECOVERY_MAX, SEEN_MAX, System, eventually, must, system};

/// More records than a page has.
const RECORDS: u64 = 21;
/// How many records of the parked key are shown, and what has the focus.
const SHOWN: &str = "return [document.querySelectorAll('#parked details[open] pre').length,
    document.activeElement.textContent]";

async fn visit(system: &System, page: &Page) {
    // Given a key with more parked records than a page has
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 0).await;
    for _ in 0..RECORDS {
        write("stock.followups", Some(&sku), b"waits").await;
    }
    enter(page).await;
    shows(page, "#parked", &format!("{} records", RECORDS - 1), true).await;

    // When the admin opens its records, and asks for more by keyboard, then all are shown
    page.click(&format!("#parked [aria-label='Records of stock.followups, key {sku}']")).await;
    let more = format!("#parked [aria-label='Show more records of stock.followups, key {sku}']");
    let shown = async || page.window.execute(SHOWN, vec![]).await.expect("the records");
    eventually("the first page of records is shown", SEEN_MAX, async || {
        let shown = shown().await;
        must(shown[0] == json!(20), shown)
    })
    .await;
    let button = page.window.find(Locator::Css(&more)).await.expect("a button for more");
    button.send_keys(&Key::Enter.to_string()).await.expect("pressed");
    eventually("all records are shown", SEEN_MAX, async || {
        let shown = shown().await;
        must(shown[0] == json!(RECORDS), shown)
    })
    .await;
    // And the focus is on the first one that was added, and there is no more
    let focused = shown().await[1].clone();
    assert!(focused.as_str().is_some_and(|text| text.contains("it waits")), "{focused}");
    assert!(page.window.find(Locator::Css(&more)).await.is_err(), "there are no more records");

    // And the page shows the tasks of each processor, and the position of each projection
    for (table, parts) in [
        ("#each-processors", &["notification", "order", "user"][..]),
        ("#each-projections", &["orders", "users", "statistics"]),
    ] {
        eventually(&format!("{table} has numbers"), RECOVERY_MAX, async || {
            page.click("#read").await;
            let text = page.text(table).await?;
            let rows: Vec<_> = text.lines().collect();
            let has = |part: &&str| {
                let row = rows.iter().find_map(|row| row.strip_prefix(part));
                row.is_some_and(|row| row.starts_with(' ') && row.contains(" s"))
            };
            must(parts.iter().all(has), &text)
        })
        .await;
    }
    page.fits("operations-figures").await;
    give_up(&admin, b'w').await;
}

#[tokio::test]
#[ignore = "needs the stack and a browser"]
async fn all_records_of_a_parked_key_and_the_figures_are_shown_at_the_desk() {
    let system = system().await;
    Page::visit(&desk(&system), async |page| visit(&system, page).await).await;
}
